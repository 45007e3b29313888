package launch

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/page"
	"github.com/handoff-health/handoff/gateway/signin"
	"github.com/handoff-health/handoff/gateway/smart"
)

// An offer is a scope that the person can leave out.
type offer struct {
	Number      int // place in the request's scopes
	Text, Scope string
}

// offers are the scopes that open something, in words; the others come with the
// launch itself.
func (f *flow) offers() []offer {
	var out []offer
	for i, scope := range strings.Fields(f.request.Scope) {
		if text := scopeWords(scope); text != "" {
			out = append(out, offer{i, text, scope})
		}
	}
	return out
}

func (s *Server) showDecision(w http.ResponseWriter, r *http.Request, f *flow, status int, faults []page.Fault) error {
	return pages.Write(w, status, "decision", page.View{Title: "Let " + appName(f.app) + " open records?", Faults: faults, Data: struct {
		frame
		Patient, About, Encounter string
		Purpose                   string
		Offers                    []offer
	}{s.frame(w, r, f), f.chosen.Name, f.chosen.About, f.chosen.Visit, purposeOf(f.chosen.Purposes), f.offers()}})
}

func purposeOf(purposes []string) string {
	var out []string
	for _, p := range purposes {
		out = append(out, purposeWords(codeOf(p)))
	}
	return strings.Join(out, ", ")
}

// decide takes the form: what the person lets the app do, or that they do not.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, f *flow) error {
	if f.chosen.Role == "" || f.needsPatient() && f.chosen.Patient == "" || f.request.Launch != "" && !f.chosen.Launched {
		again(w, r, f)
		return nil
	}
	switch r.PostForm.Get("decision") {
	case "allow":
	case "deny":
		return s.end(w, r, f, "access_denied", "the person did not allow it", "denied")
	default:
		return s.showDecision(w, r, f, http.StatusUnprocessableEntity, []page.Fault{{Text: "Choose whether to allow it."}})
	}
	scope, opens := f.granted(r.PostForm["scope"])
	if !opens {
		return s.showDecision(w, r, f, http.StatusUnprocessableEntity, []page.Fault{{Field: "scope", Text: "Leave at least one thing in that the app may do, or deny it."}})
	}
	if !among(f.roles(), f.chosen.Role) {
		return errBarred
	}
	switch changed, err := s.closed(r, f); {
	case err != nil:
		return s.contextFailed(w, r, f, err)
	case changed: // the person sees what is left before they decide
		if err := s.keep(r.Context(), f); err != nil {
			return err
		}
		again(w, r, f)
		return nil
	}
	to, err := s.o.Requests.Approve(r.Context(), f.request.ID, f.decision(scope))
	if err != nil {
		return err
	}
	return page.Forward(w, to)
}

// closed asks once more for the patient and the encounter in context: what stood
// open when it was chosen may be closed by now, and is taken out then.
func (s *Server) closed(r *http.Request, f *flow) (changed bool, err error) {
	if f.chosen.Patient == "" {
		return false, nil
	}
	seen, err := s.patient(r, f, f.chosen.Patient)
	switch {
	case err != nil:
		return false, err
	case seen == nil && f.chosen.Launched:
		return false, errContext
	case seen == nil:
		f.chosen.take(&found{})
		return true, nil
	case f.chosen.Encounter == "":
		return false, nil
	}
	if seen, err = s.encounter(r, f, f.chosen.Encounter); err != nil || seen != nil {
		return false, err
	}
	f.chosen.Encounter, f.chosen.Visit = "", ""
	return true, nil
}

// granted is what is left of the request's scopes: those chosen, and those that
// are no choice. opens: something of it opens anything.
func (f *flow) granted(numbers []string) (scope string, opens bool) {
	offers := f.offers()
	var kept []string
	for i, text := range strings.Fields(f.request.Scope) {
		offered := slices.ContainsFunc(offers, func(o offer) bool { return o.Number == i })
		if offered && !slices.Contains(numbers, strconv.Itoa(i)) {
			continue
		}
		kept = append(kept, text)
		_, err := smart.ParseScope(text)
		operation, _ := smart.OperationScope(text)
		opens = opens || err == nil || operation || text == "openid"
	}
	return strings.Join(kept, " "), opens
}

// decision is what the person lets the app do; of somebody who is not known yet it
// is empty.
func (f *flow) decision(scope string) oauth.Decision {
	p := f.person
	if p == nil {
		return oauth.Decision{}
	}
	return oauth.Decision{
		Provider: p.Provider, Subject: p.Subject, Session: p.Session, Said: f.said(), ACR: p.ACR, MFA: p.MFA, SignedIn: p.SignedIn, FHIRUser: p.FHIRUser,
		Scope: scope, Patient: f.chosen.Patient, Encounter: f.chosen.Encounter, Context: f.chosen.Context,
	}
}

// frame fills in what every form has.
func (s *Server) frame(w http.ResponseWriter, r *http.Request, f *flow) frame {
	return frame{
		ID: f.request.ID, Field: signin.Field, Token: s.o.Sessions.Token(w, r), App: appName(f.app), Organization: s.organization(f),
		Person: f.person.Name, Role: words(codeOf(f.chosen.Role)),
	}
}

func (s *Server) organization(f *flow) string {
	if name := s.o.Organization(f.app.Organization); name != "" {
		return name
	}
	return f.app.Organization
}

func appName(c *auth.Client) string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}
