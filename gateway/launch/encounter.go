package launch

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/page"
	"github.com/handoff-health/handoff/gateway/smart"
)

// unavailable: what the pipeline refuses a person is nothing to choose from; only
// its own trouble is an error.
func unavailable(status int) error {
	if status >= http.StatusInternalServerError {
		return errors.New("the records cannot be asked at the moment")
	}
	return nil
}

func (s *Server) encounters(r *http.Request, f *flow) ([]found, error) {
	target := "/Encounter?" + url.Values{"patient": {f.chosen.Patient}, "_count": {"20"}}.Encode()
	return s.find(r.Context(), r, f, target, "Encounter", describeEncounter)
}

func (s *Server) showEncounter(w http.ResponseWriter, r *http.Request, f *flow, status int, faults []page.Fault) error {
	list, err := s.encounters(r, f)
	if err != nil {
		return err
	}
	return pages.Write(w, status, "encounter", page.View{Title: "Which encounter?", Faults: faults, Data: struct {
		frame
		Patient string
		Found   []found
	}{s.frame(w, r, f), f.chosen.Name, list}})
}

// chooseEncounter takes the form: one of those shown, or none.
func (s *Server) chooseEncounter(w http.ResponseWriter, r *http.Request, f *flow) error {
	if f.chosen.Patient == "" || !f.asks(smart.ScopeLaunchEncounter) {
		again(w, r, f)
		return nil
	}
	picked := r.PostForm.Get("encounter")
	f.chosen.Encounter, f.chosen.Skipped = "", picked == "none"
	if !f.chosen.Skipped {
		list, err := s.encounters(r, f)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list, func(e found) bool { return e.Reference == picked }) {
			return s.showEncounter(w, r, f, http.StatusUnprocessableEntity, []page.Fault{{Field: "encounter", Text: "Choose an encounter, or go on without one."}})
		}
		f.chosen.Encounter = picked
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
		about = append(about, "from "+v)
	}
	if v := n.Get("status").Text(); v != "" {
		about = append(about, v)
	}
	return text, strings.Join(about, ", ")
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
