package launch

import (
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/page"
)

// A search is what a person knows of a patient.
type search struct{ Family, Given, Birth, Identifier string }

// A found is a patient or an encounter as the person may see it.
type found struct{ Reference, Text, More string }

func (e *found) whole() string {
	if e.More == "" {
		return e.Text
	}
	return e.Text + " (" + e.More + ")"
}

var (
	dateForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	idForm   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
)

// check wants enough to find one person: nobody leafs through everybody. Of police
// the gateway wants more than of others, so that they learn here what is missing
// and not that nobody was found.
func (q search) check(police bool) []page.Fault {
	fault := func(field, text string) []page.Fault { return []page.Fault{{Field: field, Text: text}} }
	system, value, typed := strings.Cut(q.Identifier, "|")
	switch {
	case strings.ContainsRune(q.Family+q.Given+q.Identifier, ','):
		return fault("family", "Search for one person: leave out commas.")
	case q.Identifier != "" && police && (!typed || system == "" || value == ""):
		return fault("identifier", "Give the identifier with its system before it, as system|number, or search by name and date of birth.")
	case q.Identifier != "":
		return nil
	case q.Family == "" && police:
		return fault("family", "Give family name, given name and date of birth, or an identifier.")
	case q.Family == "":
		return fault("family", "Give the family name and the date of birth, or an identifier.")
	case police && len([]rune(q.Family)) < 2:
		return fault("family", "Give the whole family name.")
	case police && len([]rune(q.Given)) < 2:
		return fault("given", "Give the given name too: a search of a police agency is for one person.")
	case !dateForm.MatchString(q.Birth) || !day(q.Birth):
		return fault("birth", "Give the date of birth as year-month-day, such as 1980-03-17, or an identifier.")
	}
	return nil
}

func day(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

func (q search) target() string {
	v := url.Values{"_count": {strconv.Itoa(maxListed)}}
	for name, value := range map[string]string{"family": q.Family, "given": q.Given, "birthdate": q.Birth, "identifier": q.Identifier} {
		if value != "" {
			v.Set(name, strings.NewReplacer(`\`, `\\`, "$", `\$`).Replace(value))
		}
	}
	return "/Patient?" + v.Encode()
}

func (s *Server) showPatient(w http.ResponseWriter, r *http.Request, f *flow, status int, q search, list []found, faults []page.Fault) error {
	return pages.Write(w, status, "patient", page.View{Title: "Which patient?", Faults: faults, Data: struct {
		frame
		Search       search
		Police, More bool
		Found        []found
	}{s.frame(w, r, f), q, police(f.app), len(list) == maxListed, list}})
}

func police(app *auth.Client) bool { return app.OrganizationKind == auth.Police }

// choosePatient takes the form: a search, or a patient that was found.
func (s *Server) choosePatient(w http.ResponseWriter, r *http.Request, f *flow) error {
	if f.chosen.Role == "" || !f.needsPatient() || f.chosen.Launched && f.chosen.Patient != "" || f.request.Launch != "" && !f.chosen.Launched {
		again(w, r, f)
		return nil
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	q := search{Family: field("family"), Given: field("given"), Birth: field("birth"), Identifier: field("identifier")}
	if picked := field("patient"); picked != "" {
		seen, err := s.patient(r, f, picked)
		if err != nil {
			return err
		}
		if seen == nil {
			return s.showPatient(w, r, f, http.StatusUnprocessableEntity, q, nil, []page.Fault{{Field: "family", Text: "This patient cannot be chosen. Search again."}})
		}
		f.chosen.take(seen)
		if err := s.keep(r.Context(), f); err != nil {
			return err
		}
		again(w, r, f)
		return nil
	}
	if faults := q.check(police(f.app)); faults != nil {
		return s.showPatient(w, r, f, http.StatusUnprocessableEntity, q, nil, faults)
	}
	list, err := s.find(r, f, q.target(), "Patient", describePatient)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		nobody := page.Fault{Field: "family", Text: "Nobody was found whom you may see. Check what you entered."}
		if q.Identifier != "" { // numbers are never sent to connected systems
			nobody = page.Fault{Field: "identifier", Text: "Nobody was found whom you may see. Numbers find records that this gateway keeps itself; search by name and date of birth for all others."}
		}
		return s.showPatient(w, r, f, http.StatusOK, q, nil, []page.Fault{nobody})
	}
	return s.showPatient(w, r, f, http.StatusOK, q, list, nil)
}

// patient reads one that the person may see at this moment; nil if not: hidden
// and absent are the same.
func (s *Server) patient(r *http.Request, f *flow, reference string) (*found, error) {
	id := strings.TrimPrefix(reference, "Patient/")
	if !idForm.MatchString(id) {
		return nil, nil
	}
	p, err := s.o.Registry.Picking(r.Context(), f.app.ID, f.said(), s.o.Base)
	if err != nil {
		return nil, err
	}
	status, body := s.o.Records.Ask(r.Context(), p, "/Patient/"+id, r)
	switch err := unavailable(status); {
	case err != nil:
		return nil, err
	case status != http.StatusOK && guard.Off(guard.LaunchPatient):
		return &found{Reference: "Patient/" + id, Text: "A patient"}, nil
	case status != http.StatusOK:
		return nil, nil
	}
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return nil, err
	}
	text, more := describePatient(doc.Root())
	return &found{"Patient/" + id, text, more}, nil
}

// find asks for matches as the person, and describes them.
func (s *Server) find(r *http.Request, f *flow, target, typ string, describe func(resource.Node) (text, more string)) ([]found, error) {
	p, err := s.o.Registry.Picking(r.Context(), f.app.ID, f.said(), s.o.Base)
	if err != nil {
		return nil, err
	}
	status, body := s.o.Records.Ask(r.Context(), p, target, r)
	if status != http.StatusOK {
		return nil, unavailable(status)
	}
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return nil, err
	}
	var out []found
	for n := range matches(doc, typ) {
		text, more := describe(n)
		out = append(out, found{typ + "/" + n.Get("id").Text(), text, more})
	}
	return out, nil
}

// matches are the resources of a type in a searchset.
func matches(doc *resource.Document, typ string) iter.Seq[resource.Node] {
	return func(yield func(resource.Node) bool) {
		for e := range doc.Root().All("entry") {
			n := e.Get("resource")
			if n.Get("resourceType").Is(typ) && idForm.MatchString(n.Get("id").Text()) && !yield(n) {
				return
			}
		}
	}
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
