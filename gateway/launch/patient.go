package launch

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/page"
)

// A search is what a person knows of a patient.
type search struct{ Family, Given, Birth, Identifier string }

// A found is a patient or an encounter as the person may see it.
type found struct{ Reference, Text, More string }

var (
	dateForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	idForm   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
)

// check wants enough to find one person: nobody leafs through everybody.
func (q search) check() []page.Fault {
	switch {
	case q.Identifier != "":
		return nil
	case q.Family == "":
		return []page.Fault{{Field: "family", Text: "Give the family name and the date of birth, or an identifier."}}
	case !dateForm.MatchString(q.Birth):
		return []page.Fault{{Field: "birth", Text: "Give the date of birth as year-month-day, such as 1980-03-17, or an identifier."}}
	}
	return nil
}

func (q search) target() string {
	v := url.Values{"_count": {"20"}}
	for name, value := range map[string]string{"family": q.Family, "given": q.Given, "birthdate": q.Birth, "identifier": q.Identifier} {
		if value != "" {
			v.Set(name, strings.NewReplacer(`\`, `\\`, ",", `\,`, "$", `\$`).Replace(value))
		}
	}
	return "/Patient?" + v.Encode()
}

func (s *Server) showPatient(w http.ResponseWriter, r *http.Request, f *flow, status int, q search, list []found, faults []page.Fault) error {
	return pages.Write(w, status, "patient", page.View{Title: "Which patient?", Faults: faults, Data: struct {
		frame
		Search search
		Found  []found
	}{s.frame(w, r, f), q, list}})
}

// choosePatient takes the form: a search, or a patient that was found.
func (s *Server) choosePatient(w http.ResponseWriter, r *http.Request, f *flow) error {
	if f.chosen.Role == "" || !f.needsPatient() {
		again(w, r, f)
		return nil
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	q := search{Family: field("family"), Given: field("given"), Birth: field("birth"), Identifier: field("identifier")}
	if picked := field("patient"); picked != "" {
		seen, err := s.patient(r.Context(), r, f, picked)
		if err != nil {
			return err
		}
		if seen == nil {
			return s.showPatient(w, r, f, http.StatusUnprocessableEntity, q, nil, []page.Fault{{Field: "family", Text: "This patient cannot be chosen. Search again."}})
		}
		f.chosen.Patient, f.chosen.Name, f.chosen.Encounter, f.chosen.Skipped = seen.Reference, seen.Text, "", false
		if err := s.keep(r.Context(), f); err != nil {
			return err
		}
		again(w, r, f)
		return nil
	}
	if faults := q.check(); faults != nil {
		return s.showPatient(w, r, f, http.StatusUnprocessableEntity, q, nil, faults)
	}
	list, err := s.find(r.Context(), r, f, q.target(), "Patient", describePatient)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return s.showPatient(w, r, f, http.StatusOK, q, nil, []page.Fault{{Field: "family", Text: "Nobody was found whom you may see. Check what you entered."}})
	}
	return s.showPatient(w, r, f, http.StatusOK, q, list, nil)
}

// patient reads one that the person may see at this moment; nil if not: hidden
// and absent are the same.
func (s *Server) patient(ctx context.Context, r *http.Request, f *flow, reference string) (*found, error) {
	id := strings.TrimPrefix(reference, "Patient/")
	if !idForm.MatchString(id) {
		return nil, nil
	}
	p, err := s.o.Registry.Picking(ctx, f.app.ID, f.said(), s.o.Base)
	if err != nil {
		return nil, err
	}
	status, body := s.o.Records.Ask(ctx, p, "/Patient/"+id, r)
	if status != http.StatusOK {
		return nil, unavailable(status)
	}
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return nil, err
	}
	text, more := describePatient(doc.Root())
	return &found{"Patient/" + id, text, more}, nil
}

// find asks for matches as the person, and describes them.
func (s *Server) find(ctx context.Context, r *http.Request, f *flow, target, typ string, describe func(resource.Node) (text, more string)) ([]found, error) {
	p, err := s.o.Registry.Picking(ctx, f.app.ID, f.said(), s.o.Base)
	if err != nil {
		return nil, err
	}
	status, body := s.o.Records.Ask(ctx, p, target, r)
	if status != http.StatusOK {
		return nil, unavailable(status)
	}
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return nil, err
	}
	var out []found
	for e := range doc.Root().All("entry") {
		n := e.Get("resource")
		if n.Get("resourceType").Is(typ) && idForm.MatchString(n.Get("id").Text()) {
			text, more := describe(n)
			out = append(out, found{typ + "/" + n.Get("id").Text(), text, more})
		}
	}
	return out, nil
}

// describePatient says of a Patient what tells one from another.
func describePatient(n resource.Node) (text, more string) {
	for name := range n.All("name") {
		var parts []string
		for g := range name.All("given") {
			parts = append(parts, g.Text())
		}
		if text = strings.TrimSpace(strings.Join(append(parts, name.Get("family").Text()), " ")); text == "" {
			text = name.Get("text").Text()
		}
		if text != "" {
			break
		}
	}
	if text == "" {
		text = "A patient without a name"
	}
	var about []string
	if d := n.Get("birthDate").Text(); d != "" {
		about = append(about, "born "+d)
	}
	if g := n.Get("gender").Text(); g != "" {
		about = append(about, g)
	}
	for id := range n.All("identifier") {
		if v := id.Get("value").Text(); v != "" {
			about = append(about, "identifier "+v)
		}
	}
	return text, strings.Join(about, ", ")
}
