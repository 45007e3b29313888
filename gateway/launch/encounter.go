package launch

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/page"
	"github.com/handoff-health/handoff/gateway/smart"
)

// unavailable: what the pipeline refuses a person is nothing to choose from; only
// its own trouble is an error.
func unavailable(status int) error {
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return errors.New("the records cannot be asked at the moment")
	}
	return nil
}

// maxListed bounds a list of which one is chosen.
const maxListed = 20

// encounters are the newest that the person may see of the patient in context.
func (s *Server) encounters(r *http.Request, f *flow) ([]found, error) {
	target := "/Encounter?" + url.Values{"patient": {f.chosen.Patient}, "_sort": {"-date"}, "_count": {strconv.Itoa(maxListed)}}.Encode()
	return s.find(r, f, target, "Encounter", describeEncounter)
}

// encounter finds one of the patient in context that the person may see at this
// moment; nil if there is none. Hidden, absent and somebody else's are the same.
func (s *Server) encounter(r *http.Request, f *flow, reference string) (*found, error) {
	id, typed := strings.CutPrefix(reference, "Encounter/")
	if !typed || !idForm.MatchString(id) {
		return nil, nil
	}
	list, err := s.find(r, f, ofPatient(id, f.chosen.Patient), "Encounter", describeEncounter)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(e found) bool { return e.Reference == reference }); i >= 0 {
		return &list[i], nil
	}
	if guard.Off(guard.LaunchEncounter) {
		return &found{Reference: reference, Text: "An encounter"}, nil
	}
	return nil, nil
}

// ofPatient asks for an encounter among those of a patient and of the Patients that
// are linked to it as the same person.
func ofPatient(id, patient string) string {
	return "/Encounter?" + url.Values{"_id": {id}, "patient": {patient}}.Encode()
}

func (s *Server) showEncounter(w http.ResponseWriter, r *http.Request, f *flow, status int, faults []page.Fault) error {
	list, err := s.encounters(r, f)
	if err != nil {
		return err
	}
	return pages.Write(w, status, "encounter", page.View{Title: "Which encounter?", Faults: faults, Data: struct {
		frame
		Patient, About string
		Found          []found
		More           bool
	}{s.frame(w, r, f), f.chosen.Name, f.chosen.About, list, len(list) == maxListed}})
}

// chooseEncounter takes the form: one of the patient's, or none.
func (s *Server) chooseEncounter(w http.ResponseWriter, r *http.Request, f *flow) error {
	if f.chosen.Role == "" || f.chosen.Patient == "" || f.chosen.Launched || !f.asks(smart.ScopeLaunchEncounter) {
		again(w, r, f)
		return nil
	}
	picked := r.PostForm.Get("encounter")
	f.chosen.Encounter, f.chosen.Visit, f.chosen.Skipped = "", "", picked == "none"
	if !f.chosen.Skipped {
		seen, err := s.encounter(r, f, picked)
		if err != nil {
			return err
		}
		if seen == nil {
			return s.showEncounter(w, r, f, http.StatusUnprocessableEntity, []page.Fault{{Field: "encounter", Text: "Choose an encounter, or go on without one."}})
		}
		f.chosen.Encounter, f.chosen.Visit = seen.Reference, seen.whole()
	}
	if err := s.keep(r.Context(), f); err != nil {
		return err
	}
	again(w, r, f)
	return nil
}

func describeEncounter(n resource.Node) (text, more string) {
	for t := range n.All("type") {
		if text = conceptText(t); text != "" {
			break
		}
	}
	if text == "" {
		if text = n.Get("class").Get("display").Text(); text == "" {
			text = "Encounter"
		}
	}
	var about []string
	if v := n.Get("period").Get("start").Text(); v != "" {
		about = append(about, "from "+minute(v))
	}
	if v := n.Get("status").Text(); v != "" {
		about = append(about, v)
	}
	return text, strings.Join(about, ", ")
}

// minute writes a FHIR date or time as people read it: to the minute, in the time
// zone in which it was recorded.
func minute(t string) string {
	if len(t) >= len("2006-01-02T15:04") && t[10] == 'T' {
		return t[:10] + " " + t[11:16]
	}
	return t
}

func conceptText(n resource.Node) string {
	if t := n.Get("text").Text(); t != "" {
		return t
	}
	for c := range n.All("coding") {
		if t := c.Get("display").Text(); t != "" {
			return t
		}
	}
	return ""
}
