package attack

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

// registrations are clients that are registered while the gateway runs.
func registrations() Family {
	app := func(more object) object {
		k, err := NewKey(rand.Text(), "ES384")
		if err != nil {
			return nil
		}
		return merged(object{
			"client_name": "a new one", "grant_types": []string{"client_credentials"}, "scope": "system/Patient.rs",
			"jwks": object{"keys": []object{k.Public()}}, "roles": []string{"treating-clinician"}, "purposes": []string{"TREAT"},
		}, more)
	}
	refused := func(a *answer, err error) error {
		switch {
		case err != nil:
			return err
		case a.ok():
			return breach("it is done: %s", a)
		case a.status >= 500:
			return fmt.Errorf("the registration failed: %s", a)
		}
		return nil
	}
	register := func(party string, more object) func(*Target) error {
		return func(t *Target) error { return refused(t.manage(party, http.MethodPost, "", app(more))) }
	}
	return Family{Area: Clients, Name: "registrations", Control: func(t *Target) error {
		a, err := t.manage("registrar", http.MethodPost, "", app(nil))
		if err == nil && a.status != http.StatusCreated {
			err = fmt.Errorf("a good registration: %s", a)
		}
		return err
	}, Attacks: []Attack{
		{"register-without-scope", "a client that may not register others registers none", "operations have scopes of their own; RFC 7591 5", []guard.Name{guard.ClientManageScope}, register("clinician", nil)},
		{"register-by-one-factor", "a person who signed in with one factor registers no client", "CJIS IA-2", []guard.Name{guard.ClientManageMFA}, register("clerk", nil)},
		{"register-unasked", "nobody registers a client without a token", "RFC 7591 3: open registration is not offered", nil, func(t *Target) error {
			e := t.endpoint("registration_endpoint")
			if e == "" {
				return Missing("registration endpoint")
			}
			body, err := json.Marshal(app(nil))
			if err != nil {
				return err
			}
			return refused(t.ask("", http.MethodPost, e, body, with("Content-Type", "application/json")))
		}},
		{"register-for-others", "nobody registers a client of another organisation", "issue 4.4", []guard.Name{guard.ClientManageOwn}, register("registrar", object{"organization": "Organization/so", "roles": []string{"law-enforcement-officer"}, "purposes": []string{"CRISIS"}})},
		{"read-others", "nobody reads the registration of another organisation's client", "issue 4.4: it holds keys, addresses and roles", []guard.Name{guard.ClientManageOwn}, func(t *Target) error {
			return refused(t.manage("registrar", http.MethodGet, "/deputy", nil))
		}},
		{"register-more-roles", "nobody registers a client with a role that the organisation has not", "issue 4.4: the operator says which", []guard.Name{guard.ClientCeiling}, register("registrar", object{"roles": []string{"law-enforcement-officer"}})},
		{"register-more-purposes", "nobody registers a client with a purpose that the organisation has not", "issue 4.4: the operator says which", []guard.Name{guard.ClientCeiling}, register("registrar", object{"purposes": []string{"BTG"}})},
		{"register-registrar", "who may register clients gives nobody else the right", "issue 4.5; privilege escalation", []guard.Name{guard.ClientCeiling}, register("registrar", object{"scope": "https://handoff-health.github.io/fhir/scope/manage-clients"})},
		{"register-explain-for-police", "no client of the police is registered to explain access", "decisions 3.7", nil, register("police registrar", object{"scope": "https://handoff-health.github.io/fhir/scope/explain-access", "roles": []string{"law-enforcement-officer"}, "purposes": []string{"CRISIS"}})},
		{"register-secret-key", "a private key is not taken for a public one", "RFC 7517 9.3: its owner has lost it", nil, func(t *Target) error {
			a := app(nil)
			for _, k := range a["jwks"].(object)["keys"].([]object) {
				k["d"] = b64(make([]byte, 48))
			}
			return refused(t.manage("registrar", http.MethodPost, "", a))
		}},
		{"register-own-id", "nobody chooses the id of a client, and so none that exists", "RFC 7591 3.2.1: the server gives it", nil, func(t *Target) error {
			a, err := t.manage("registrar", http.MethodPost, "", app(object{"client_id": "clinician", "client_secret": "guess"}))
			if err == nil && a.text("client_id") == "clinician" {
				err = breach("%s", a)
			}
			return err
		}},
		{"register-inner-keys", "keys are not fetched from within", "CWE-918: jwks_uri as a way into the network", nil, register("registrar", object{"jwks": nil, "jwks_uri": "http://169.254.169.254/latest/meta-data"})},
		{"overwrite", "a registration is not overwritten unseen", "lost updates (CWE-362)", []guard.Name{guard.ClientManageVersion}, func(t *Target) error {
			a, err := t.manage("registrar", http.MethodPost, "", app(nil))
			if err != nil {
				return err
			}
			id := a.text("client_id")
			if id == "" {
				return fmt.Errorf("registering: %s", a)
			}
			return refused(t.manage("registrar", http.MethodPut, "/"+id, app(object{"client_id": id}), with("If-Match", `"stale"`)))
		}},
	}}
}

// manage sends a request to the registration API with a new token of the party's.
func (t *Target) manage(party, method, path string, body object, changes ...change) (*answer, error) {
	if t.endpoint("registration_endpoint") == "" {
		return nil, Missing("registration endpoint")
	}
	p, err := t.party(party)
	if err != nil {
		return nil, err
	}
	token, err := t.newToken(p, p.Scope)
	if err != nil {
		return nil, err
	}
	var raw []byte
	if body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return t.ask(token, method, t.endpoint("registration_endpoint")+path, raw, append([]change{with("Content-Type", "application/json")}, changes...)...)
}

// guesses come too often, from one address.
func guesses() Family {
	try := func(t *Target, secret string) (*answer, error) {
		p, err := t.party("confidential")
		if err != nil {
			return nil, err
		}
		f := url.Values{"grant_type": {"authorization_code"}, "code": {"none"}, "code_verifier": {strings.Repeat("v", 43)}, "redirect_uri": {p.Redirect}}
		return t.post(t.Token, f, func(r *http.Request) { r.SetBasicAuth(p.ID, secret) })
	}
	// proven says whether the right secret was taken: it was the code that failed.
	proven := func(t *Target) (bool, *answer, error) {
		p, err := t.party("confidential")
		if err != nil {
			return false, nil, err
		}
		a, err := try(t, p.Secret)
		if err != nil {
			return false, nil, err
		}
		return a.text("error") == "invalid_grant", a, nil
	}
	return Family{Area: Clients, Name: "guesses", Control: func(t *Target) error {
		if t.endpoint("authorization_endpoint") == "" {
			return Missing("authorization endpoint")
		}
		ok, a, err := proven(t.alone())
		if err == nil && !ok {
			err = errors.New(a.String())
		}
		return err
	}, Attacks: []Attack{
		{"guess-secret", "after five guesses at a secret the right one opens nothing from there either", "CJIS AC-7", []guard.Name{guard.ClientLock}, func(t *Target) error {
			there := t.alone()
			for range 5 {
				if _, err := try(there, rand.Text()); err != nil {
					return err
				}
			}
			ok, a, err := proven(there)
			if err == nil && ok {
				err = breach("the sixth is taken: %s", a)
			}
			return err
		}},
		{"guess-elsewhere", "guesses at one place lock nobody out at another", "CWE-645: a lock that is a way to lock others out", nil, func(t *Target) error {
			there := t.alone()
			for range 6 {
				if _, err := try(there, rand.Text()); err != nil {
					return err
				}
			}
			ok, a, err := proven(t.alone())
			if err == nil && !ok {
				err = breach("the client is locked out at its own place: %s", a)
			}
			return err
		}},
		{"flood", "who proves nothing cannot ask without end", "issue 4.5; CWE-770", []guard.Name{guard.ClientRate}, func(t *Target) error {
			there, began, asked := t.alone(), Clock(), 0
			// What comes back meanwhile, and what two gateways may be off, is allowed.
			for ; asked < countyRate+50+int(Clock().Sub(began).Seconds()*countyRate/60); asked++ {
				a, err := there.post(t.Token, url.Values{"grant_type": {"client_credentials"}, "client_id": {"nobody"}, "scope": {"system/*.rs"}})
				if err != nil {
					return err
				}
				if a.status == http.StatusTooManyRequests {
					return nil
				}
			}
			return breach("%d requests in a row were looked at", asked)
		}},
	}}
}
