package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

// launches are begun in an EHR, or go on from one person, browser or patient to
// another.
func launches() Family {
	const scope = "launch openid user/Patient.rs user/Observation.rs"
	// register opens a launch as the EHR does, and returns its handle.
	register := func(t *Target, party, app string, context object) (string, error) {
		token, err := t.tokenOf(party, "")
		if err != nil {
			return "", err
		}
		p, err := t.party(app)
		if err != nil {
			return "", err
		}
		body, err := json.Marshal(merged(object{"client_id": p.ID}, context))
		if err != nil {
			return "", err
		}
		a, err := t.ask(token, http.MethodPost, t.Origin()+"/oauth/launch", body, with("Content-Type", "application/json"))
		if err != nil {
			return "", err
		}
		if a.text("launch") == "" {
			return "", fmt.Errorf("no launch: %s", a)
		}
		return a.text("launch"), nil
	}
	ada := func(t *Target) object { return object{"patient": t.Records["ada"]} }
	start := func(t *Target, app, handle string) error {
		t.Provider.as(nil)
		_, _, p, err := t.opened(app, scope, nil, atDecision, "launch", handle)
		if err != nil && p != nil { // a page from which nothing leads on
			err = nil
		}
		return onward(p, err)
	}
	try := func(app string, handle func(*Target) (string, error)) func(*Target) error {
		return func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			if t.endpoint("authorization_endpoint") == "" {
				return Missing("authorization endpoint")
			}
			if err := t.has("{ada}"); err != nil {
				return err
			}
			h, err := handle(t)
			if err != nil {
				return err
			}
			return start(t, app, h)
		}
	}
	return Family{Area: Authorize, Name: "launches", Control: func(t *Target) error {
		err := try("app", func(t *Target) (string, error) { return register(t, "ehr", "app", ada(t)) })(t)
		var got *Breach
		if errors.As(err, &got) { // it goes on: that is what it should do
			return nil
		}
		if err == nil {
			err = errors.New("a good launch does not go on")
		}
		return err
	}, Attacks: []Attack{
		{"made-up-launch", "a launch that nobody opened does not go on", "smart.md 1.2 A1", nil, try("app", func(*Target) (string, error) { return strings.Repeat("h", 43), nil })},
		{"other-apps-launch", "a launch for one app opens nothing in another", "a handle that leaks must not name a patient to others", []guard.Name{guard.LaunchClient}, try("second app", func(t *Target) (string, error) { return register(t, "ehr", "app", ada(t)) })},
		{"used-launch", "a launch counts once", "replay of an address from a history", []guard.Name{guard.LaunchOnce}, try("app", func(t *Target) (string, error) {
			h, err := register(t, "ehr", "app", ada(t))
			if err != nil {
				return "", err
			}
			var got *Breach
			if err := start(t, "app", h); !errors.As(err, &got) {
				return "", fmt.Errorf("the first use does not go on: %w", err)
			}
			return h, nil
		})},
		{"other-persons-launch", "a launch for one person opens nothing for another", "an address sent to a colleague", []guard.Name{guard.LaunchSubject}, try("app", func(t *Target) (string, error) {
			return register(t, "ehr", "app", merged(ada(t), object{"subject": "somebody-else"}))
		})},
		{"unseen-patient-launch", "a launch brings no patient into context whom the person may not see", "smart.md 1.2 A8; decisions 3.1", []guard.Name{guard.LaunchPatient}, func(t *Target) error {
			if err := t.has("{ben}"); err != nil {
				return err
			}
			if t.Provider == nil {
				return Missing("identity provider")
			}
			h, err := register(t, "ehr", "desk app", object{"patient": t.Records["ben"]})
			if err != nil {
				return err
			}
			t.Provider.as(func(_, c object) *Key { c["roles"] = []string{"clerk"}; return nil })
			defer t.Provider.as(nil)
			_, _, p, err := t.opened("desk app", scope, nil, atDecision, "launch", h)
			if err != nil && p != nil {
				err = nil
			}
			return onward(p, err)
		}},
		{"register-without-scope", "who may not open launches opens none", "operations have scopes of their own", []guard.Name{guard.LaunchScope}, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			if _, err := register(t, "ehr", "app", ada(t)); err != nil {
				return err
			}
			h, err := register(t, "clinician", "app", ada(t))
			if h != "" {
				return breach("it has the launch %s", h)
			}
			if err != nil && !strings.Contains(err.Error(), "403") {
				return err
			}
			return nil
		}},
		{"register-for-others-app", "an EHR opens no launch of another organisation's app", "issue 4.4", nil, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			if _, err := t.party("field app"); err != nil {
				return err
			}
			h, err := register(t, "ehr", "field app", ada(t))
			if h != "" {
				return breach("it has the launch %s", h)
			}
			if err != nil && !strings.Contains(err.Error(), "400") {
				return err
			}
			return nil
		}},
		{"other-browser", "a request that one browser opened is not taken over by another", "RFC 9700 4.7: an address sent to a victim", []guard.Name{guard.LaunchBrowser}, func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			t.Provider.as(nil)
			_, _, p, err := t.opened("app", personScope, nil, atDecision)
			if err != nil {
				return err
			}
			f, _, ok := p.consenting()
			if !ok || f.fields.Get("id") == "" {
				return fmt.Errorf("no request on %s", p)
			}
			// The other browser has signed in for something else before.
			_, b, _, err := t.opened("app", personScope, nil, atDecision)
			if err != nil {
				return err
			}
			return onward(b.open(t.Origin() + "/oauth/launch/authorize?id=" + f.fields.Get("id")))
		}},
		{"other-organizations-person", "who signed in for one organisation's app is nobody at another's", "a provider belongs to one organisation", []guard.Name{guard.LaunchProvider}, func(t *Target) error {
			if t.Police == nil {
				return Missing("second identity provider")
			}
			t.Police.as(func(_, c object) *Key { c["roles"], c["sub"] = []string{"officer", "clinician"}, "vance"; return nil })
			defer t.Police.as(nil)
			// The role is not chosen yet: another than that would have to sign in again.
			_, b, _, err := t.opened("field app", "openid user/Patient.rs", nil, atLaunch)
			if err != nil {
				return err
			}
			_, _, p, err := t.opened("app", personScope, b, func(*page, webForm) bool { return true })
			if err != nil && p != nil {
				err = nil
			}
			return onward(p, err)
		}},
		{"role-the-app-has-not", "a person with a role that the app is not registered for does not use it", "issue 4.4: registration, user and policy", []guard.Name{guard.LaunchRole}, func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			t.Provider.as(func(_, c object) *Key { c["roles"] = []string{"physician"}; return nil })
			defer t.Provider.as(nil)
			_, _, p, err := t.opened("app", personScope, nil, atDecision)
			if err != nil && p != nil {
				err = nil
			}
			return onward(p, err)
		}},
		{"no-page", "nothing is granted without a page, signed in or not", "OpenID Connect Core 3.1.2.1: prompt none with a session of somebody's", nil, func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			t.Provider.as(nil)
			_, b, _, err := t.opened("app", personScope, nil, atDecision)
			if err != nil {
				return err
			}
			for _, b := range []*browser{newBrowser(""), b} {
				_, _, p, err := t.opened("app", personScope, b, func(*page, webForm) bool { return true }, "prompt", "none")
				switch {
				case err != nil:
					return err
				case !p.arrived():
					return breach("a page is shown: %s", p)
				case p.at.Query().Has("code"), !strings.HasSuffix(p.at.Query().Get("error"), "_required"):
					return breach("the app gets %s", p.at)
				}
			}
			return nil
		}},
		{"sign-in-of-before", "an app that wants a new sign-in is not served with an old one", "OpenID Connect Core 3.1.2.1: prompt login; CJIS IA-11", []guard.Name{guard.LaunchAge}, func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			t.Provider.as(nil)
			_, b, _, err := t.opened("app", personScope, nil, atDecision)
			if err != nil {
				return err
			}
			_, _, p, err := t.opened("app", personScope, b, func(*page, webForm) bool { return true }, "prompt", "login")
			return onward(p, err)
		}},
		{"other-role-of-ones-own", "a person does not slip from one role into another", "CJIS IA-11: change of roles", []guard.Name{guard.LaunchOtherRole}, func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			t.Provider.as(func(_, c object) *Key { c["roles"] = []string{"clinician", "clerk"}; return nil })
			defer t.Provider.as(nil)
			_, b, _, err := t.opened("app", personScope, nil, atDecision)
			if err != nil {
				return err
			}
			_, _, p, err := t.opened("desk app", "openid user/Patient.rs", b, func(*page, webForm) bool { return true })
			return onward(p, err)
		}},
		{"encounter-by-hand", "an encounter that was not found is not put into context", "smart.md 1.2 A8", []guard.Name{guard.LaunchEncounter}, func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			if err := t.has("{ada}"); err != nil {
				return err
			}
			t.Provider.as(nil)
			form := func(p *page, action string) (webForm, error) {
				for _, f := range p.forms() {
					if strings.Contains(f.action, action) {
						return f, nil
					}
				}
				return webForm{}, fmt.Errorf("no form %s: %s", action, p)
			}
			_, b, p, err := t.opened("app", "launch/patient launch/encounter openid patient/Observation.rs", nil, atLaunch)
			if p == nil {
				return err
			}
			f, err := form(p, "/launch/patient")
			if err != nil {
				return err
			}
			if p, err = b.submit(p, f, "", func(v url.Values) { v.Set("patient", t.Records["ada"]) }); err != nil {
				return err
			}
			if f, err = form(p, "/launch/encounter"); err != nil {
				return err
			}
			return onward(b.submit(p, f, "", func(v url.Values) { v.Set("encounter", "Encounter/"+nobodyHere) }))
		}},
		{"patient-by-hand", "a patient who was not found cannot be put into the form", "smart.md 1.2 A8", nil, func(t *Target) error {
			if t.Provider == nil {
				return Missing("identity provider")
			}
			t.Provider.as(nil)
			_, b, p, err := t.opened("app", "launch/patient openid patient/Observation.rs", nil, func(_ *page, f webForm) bool { return strings.Contains(f.action, "/launch/patient") })
			if p == nil {
				return err
			}
			for _, f := range p.forms() {
				if strings.Contains(f.action, "/launch/patient") {
					f.fields.Set("patient", "Patient/"+nobodyHere)
					next, err := b.submit(p, f, "", nil)
					if err != nil {
						return err
					}
					if strings.Contains(string(next.answer.body), "/launch/decision") {
						return breach("%s", next)
					}
					return nil
				}
			}
			return fmt.Errorf("nobody asks for a patient: %s", p)
		}},
	}}
}
