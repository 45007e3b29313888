package launch

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/page"
)

// A choice is one line of a list of which one is chosen.
type choice struct{ Value, Text string }

// roles are those that the person has and the app is registered for.
func (f *flow) roles() []choice {
	var out []choice
	for _, r := range f.app.Roles {
		if slices.Contains(f.person.Roles, r) || guard.Off(guard.LaunchRole) {
			out = append(out, choice{r.System + "#" + r.Code, words(r.Code)})
		}
	}
	return out
}

// purposes are those of the app's registration, one a token: several would all
// have to be permitted.
func (f *flow) purposes() []choice {
	var out []choice
	for _, p := range f.app.Purposes {
		i := strings.LastIndexByte(p, '|')
		out = append(out, choice{p[:max(i, 0)] + "#" + p[i+1:], purposeWords(p[i+1:])})
	}
	return out
}

func (s *Server) showRole(w http.ResponseWriter, r *http.Request, f *flow, status int, faults []page.Fault) error {
	return pages.Write(w, status, "role", page.View{Title: "For what do you open " + appName(f.app) + "?", Faults: faults, Data: struct {
		frame
		Roles, Purposes []choice
	}{s.frame(w, r, f), f.roles(), f.purposes()}})
}

// chooseRole takes the form.
func (s *Server) chooseRole(w http.ResponseWriter, r *http.Request, f *flow) error {
	roles, purposes := f.roles(), f.purposes()
	role, purpose := r.PostForm.Get("role"), r.PostForm.Get("purpose")
	var faults []page.Fault
	if !among(roles, role) {
		faults = append(faults, page.Fault{Field: "role", Text: "Choose the role in which you act."})
	}
	if !among(purposes, purpose) {
		faults = append(faults, page.Fault{Field: "purpose", Text: "Choose what you need the records for."})
	}
	if faults != nil {
		return s.showRole(w, r, f, http.StatusUnprocessableEntity, faults)
	}
	// What was found in another role or for another purpose does not count.
	f.chosen = chosen{Browser: f.chosen.Browser, Session: f.chosen.Session, Asked: f.chosen.Asked, Role: role, Purposes: []string{purpose}}
	if done, err := s.roleChanged(w, r, f); done || err != nil {
		return err
	}
	if err := s.keep(r.Context(), f); err != nil {
		return err
	}
	again(w, r, f)
	return nil
}

func among(list []choice, v string) bool {
	return slices.ContainsFunc(list, func(c choice) bool { return c.Value == v })
}

// roleChanged has a person sign in again who acts in another role than before in
// this session (CJIS IA-11). done: the browser was sent there.
func (s *Server) roleChanged(w http.ResponseWriter, r *http.Request, f *flow) (done bool, err error) {
	key := roleKey + f.person.Session
	fact, err := s.o.Facts.Get(r.Context(), key)
	expires := s.o.Now().Add(12 * time.Hour)
	switch {
	case errors.Is(err, store.ErrNotFound):
		_, err = s.o.Facts.PutIfAbsent(r.Context(), key, []byte(f.chosen.Role), expires)
	case err != nil || string(fact.Value) == f.chosen.Role:
	case !f.again(f.person) && !guard.Off(guard.LaunchOtherRole):
		was := f.chosen
		f.chosen = chosen{Browser: was.Browser, Session: was.Session, Asked: was.Asked}
		return true, s.ask(w, r, f, true)
	default:
		_, err = s.o.Facts.CompareAndSet(r.Context(), key, fact.Version, []byte(f.chosen.Role), expires)
	}
	return false, err
}

// frame is what every form of this package has.
type frame struct {
	ID, Field, Token                string
	App, Organization, Person, Role string
}
