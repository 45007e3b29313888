package launch

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/oauth"
	"github.com/handoff-health/handoff/gateway/page"
	"github.com/handoff-health/handoff/gateway/smart"
)

// An offer is a scope that the person can leave out.
type offer struct {
	Number int // place in the request's scopes
	Text   string
}

// offers are the scopes that open something, in words; the others come with the
// launch itself.
func (f *flow) offers() []offer {
	var out []offer
	for i, scope := range strings.Fields(f.request.Scope) {
		if text := scopeWords(scope); text != "" {
			out = append(out, offer{i, text})
		}
	}
	return out
}

func (s *Server) showDecision(w http.ResponseWriter, r *http.Request, f *flow, status int, faults []page.Fault) error {
	return pages.Write(w, status, "decision", page.View{Title: "Let " + f.app.Name + " open records?", Faults: faults, Data: struct {
		frame
		Patient, Encounter string
		Purpose            string
		Offers             []offer
	}{s.frame(w, r, f), f.chosen.Name, f.chosen.Encounter, purposeOf(f.chosen.Purposes), f.offers()}})
}

func purposeOf(purposes []string) string {
	var out []string
	for _, p := range purposes {
		out = append(out, purposeWords(p[strings.LastIndexByte(p, '#')+1:]))
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
		to, err := s.o.Requests.Refuse(r.Context(), f.request.ID, "access_denied", "the person did not allow it")
		if err != nil {
			return err
		}
		return s.forward(w, to)
	default:
		return s.showDecision(w, r, f, http.StatusUnprocessableEntity, []page.Fault{{Text: "Choose whether to allow it."}})
	}
	scope, opens := f.granted(r.PostForm["scope"])
	if !opens {
		return s.showDecision(w, r, f, http.StatusUnprocessableEntity, []page.Fault{{Field: "scope", Text: "Leave at least one thing in that the app may do, or deny it."}})
	}
	// What stood open when it was chosen may be closed by now.
	if !among(f.roles(), f.chosen.Role) {
		return errBarred
	}
	if f.chosen.Patient != "" {
		seen, err := s.patient(r.Context(), r, f, f.chosen.Patient)
		if err != nil {
			return err
		}
		if seen == nil && !guard.Off(guard.LaunchPatient) {
			f.chosen.Patient, f.chosen.Name, f.chosen.Encounter = "", "", ""
			if f.chosen.Launched {
				return s.refuse(w, r, f, errContext)
			}
			if err := s.keep(r.Context(), f); err != nil {
				return err
			}
			again(w, r, f)
			return nil
		}
	}
	to, err := s.o.Requests.Approve(r.Context(), f.request.ID, f.decision(scope))
	if err != nil {
		return err
	}
	return s.forward(w, to)
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

func (f *flow) decision(scope string) oauth.Decision {
	p := f.person
	return oauth.Decision{
		Subject: p.Subject, Session: p.Session, Said: f.said(), ACR: p.ACR, MFA: p.MFA, SignedIn: p.SignedIn, FHIRUser: p.FHIRUser,
		Scope: scope, Patient: f.chosen.Patient, Encounter: f.chosen.Encounter, Context: f.chosen.Context,
	}
}

// forward sends the browser back to the app.
func (s *Server) forward(w http.ResponseWriter, to string) error { return page.Forward(w, to) }

// frame fills in what every form has.
func (s *Server) frame(w http.ResponseWriter, r *http.Request, f *flow) frame {
	name := s.o.Organization(f.app.Organization)
	if name == "" {
		name = f.app.Organization
	}
	return frame{
		ID: f.request.ID, Field: pageField, Token: s.o.Sessions.Token(w, r), App: appName(f.app), Organization: name,
		Person: f.person.Name, Role: words(f.chosen.Role[strings.LastIndexByte(f.chosen.Role, '#')+1:]),
	}
}

func appName(c *auth.Client) string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}
