package attack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

func scopeFamilies() []Family {
	return []Family{interactionScopes(), granularScopes(), requestedScopes(), writtenScopes(), levels()}
}

// forbidden wants a 403 that was given before any data was looked at.
func forbidden(a *answer, err error) error {
	switch {
	case err != nil:
		return err
	case a.ok():
		return breach("it is answered: %s", a)
	case a.status != http.StatusForbidden:
		return breach("it is answered %d, want 403, which depends on the token alone: %s", a.status, a)
	}
	return nil
}

// beyond is an attack with a token of a party whose scopes do not suffice.
func beyond(party, path string) func(*Target) error {
	return func(t *Target) error {
		if err := t.has(path); err != nil {
			return err
		}
		return forbidden(t.as(party, t.fill(path)))
	}
}

// named finds {name} and {#name} in a path or body.
var named = regexp.MustCompile(`\{#?([a-z][a-z' ]*)\}`)

// has says whether the records that a path names are given.
func (t *Target) has(path string) error {
	for _, m := range named.FindAllStringSubmatch(path, -1) {
		if _, err := t.record(m[1]); err != nil {
			return err
		}
	}
	return nil
}

// sees is a control: the party is given a path with at least one resource.
func sees(party, path string) func(*Target) error {
	return func(t *Target) error {
		if err := t.has(path); err != nil {
			return err
		}
		a, err := t.as(party, t.fill(path))
		if err != nil {
			return err
		}
		if !a.ok() || a.text("resourceType") == "Bundle" && len(a.entries()) == 0 {
			return fmt.Errorf("%s gets nothing at %s: %s", party, path, a)
		}
		return nil
	}
}

// allOf is a control of several parts.
func allOf(controls ...func(*Target) error) func(*Target) error {
	return func(t *Target) error {
		for _, c := range controls {
			if err := c(t); err != nil {
				return err
			}
		}
		return nil
	}
}

func interactionScopes() Family {
	interaction := []guard.Name{guard.ScopeInteraction}
	narrowed := func(scope, path string) func(*Target) error {
		return func(t *Target) error {
			if err := t.has(path); err != nil {
				return err
			}
			token, err := t.tokenOf("clinician", scope)
			if err != nil {
				return err
			}
			return forbidden(t.get(token, t.fill(path)))
		}
	}
	stated := func(scope, path string) func(*Target) error {
		return func(t *Target) error {
			if err := t.has(path); err != nil {
				return err
			}
			token, err := t.forged("clinician", func(_, c object) { c["scope"] = scope })
			if err != nil {
				return err
			}
			return forbidden(t.get(token, t.fill(path)))
		}
	}
	return Family{Area: Scopes, Name: "interactions", Control: allOf(sees("clinician", "{weight}"), sees("clinician", "Observation?patient={ada}"), sees("narrow", "{ada}"), sees("reader", "{weight}"), sees("searcher", "Observation?patient={ada}")), Attacks: []Attack{
		{"read-other-type", "a token for Patients reads no Observation", "smart.md 1.5; g10_restricted_resource_type_access", interaction, beyond("narrow", "{weight}")},
		{"search-other-type", "a token for Patients searches no Observations", "smart.md 1.5", interaction, beyond("narrow", "Observation?patient={ada}")},
		{"vread-other-type", "a token for Patients reads no version of an Encounter", "smart.md 1.5: r holds vread", interaction, beyond("narrow", "{contact}/_history/1")},
		{"search-with-read", "a token that may read may not search", "smart.md 1.5: letters of SMART 2", interaction, beyond("reader", "Observation?patient={ada}")},
		{"read-with-search", "a token that may search may not read", "smart.md 1.5: letters of SMART 2", interaction, beyond("searcher", "{weight}")},
		{"post-search-with-read", "a token that may read may not search by POST", "smart.md 1.5; a second door to the same search", interaction, func(t *Target) error {
			token, err := t.tokenOf("reader", "")
			if err != nil {
				return err
			}
			return forbidden(t.ask(token, http.MethodPost, "Observation/_search", []byte(t.fill("patient={ada}")), with("Content-Type", "application/x-www-form-urlencoded")))
		}},
		{"oracle", "a token beyond its scopes hears the same of what is there and of what is not", "LinuxForHealth #2669: 403 or 404 told what exists", nil, func(t *Target) error {
			return indistinct(t, "narrow", "{weight}", "Observation/q-"+strings.Repeat("a", 26), http.StatusForbidden)
		}},
		{"less-than-registered", "a token that was asked for less opens no more than it says", "smart.md 1.4: scopes limit the registration [R240]", interaction, narrowed("system/Patient.rs", "{weight}")},
		{"more-than-registered", "a token that says more than the registration opens no more than the registration", "decisions 2.6: the registration of the day", []guard.Name{guard.ClientRegisteredScopes}, func(t *Target) error {
			ref, err := t.record("weight")
			if err != nil {
				return err
			}
			token, err := t.forged("narrow", func(_, c object) { c["scope"] = "system/*.rs" })
			if err != nil {
				return err
			}
			return forbidden(t.get(token, ref))
		}},
		{"user-level", "a client's token with user/ scopes opens nothing", "smart.md 1.7: levels are never mixed; microsoft/fhir-server#5717", nil, stated("user/*.rs", "{weight}")},
		{"patient-level", "a client's token with patient/ scopes opens nothing", "smart.md 1.2 A8: no patient in context", nil, stated("patient/*.rs", "{weight}")},
		{"split-levels", "read at one level and search at another make neither", "smart.md 1.7", nil, stated("user/Observation.r system/Observation.s", "{weight}")},
		{"letters-out-of-order", "a scope whose letters are out of order opens nothing", "smart.md 1.5: .rd must not be read as .read [R129]", []guard.Name{guard.ScopeLetters}, stated("system/Observation.sr", "{weight}")},
		{"other-case", "a scope of a type in other case opens nothing", "smart.md 1.5: exact grammar", nil, stated("system/observation.rs SYSTEM/*.rs system/*.RS", "{weight}")},
		{"type-prefix", "a scope of a type that another's name starts with opens nothing", "string-prefix checks of scopes", nil, stated("system/Obs*.rs system/Observation system/O.rs", "{weight}")},
		{"other-separators", "scopes joined by other characters than spaces open nothing", "RFC 6749 3.3: space-delimited", nil, stated("system/Patient.rs,system/*.rs", "{weight}")},
		{"not-evaluable", "a scope with criteria that cannot be evaluated opens nothing", "smart.md 1.5: unsupported criteria match nothing", []guard.Name{guard.ScopeUnsupported}, stated("system/Observation.rs?performer=Practitioner/x", "{weight}")},
		{"modifier", "a scope with a modifier in its criteria opens nothing", "smart.md 1.5: modifiers are refused", []guard.Name{guard.ScopeUnsupported}, stated("system/Observation.rs?code:not=x", "{weight}")},
		{"crisis-summary", "a token for Patients does not get a CarePlan by way of the crisis summary", "scopes: every returned resource, on every path", []guard.Name{guard.ScopeReturned}, func(t *Target) error {
			if err := t.has("{ada}{plan}"); err != nil {
				return err
			}
			token, err := t.tokenOf("officer", "system/Patient.rs")
			if err != nil {
				return err
			}
			a, err := t.get(token, t.fill("{ada}/$crisis-summary"))
			if err == nil && strings.Contains(string(a.body), t.fill("{plan}")) {
				err = breach("%s", a)
			}
			return err
		}},
		{"definitions-need-a-token", "what the gateway publishes is not given without a token", "one pipeline for every route", nil, func(t *Target) error {
			a, err := t.get("", "OperationDefinition")
			if err == nil && a.status != http.StatusUnauthorized {
				err = breach("%s", a)
			}
			return err
		}},
		{"explain", "a token without its own scope does not explain access", "decisions 3.7; no wildcard holds an operation", []guard.Name{guard.ScopeOperation}, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			token, err := t.tokenOf("privacy", "system/*.rs")
			if err != nil {
				return err
			}
			return forbidden(t.ask(token, http.MethodPost, "$explain-access", []byte(explainBody(t))))
		}},
		{"explain-by-one-factor", "somebody who signed in with one factor does not explain access", "decisions 3.7; CJIS IA-2", []guard.Name{guard.ClientBelievedMFA}, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			p, err := t.party("desk")
			if err != nil {
				return err
			}
			token, err := t.newToken(p, p.Scope)
			if err != nil {
				return err
			}
			return forbidden(t.ask(token, http.MethodPost, "$explain-access", []byte(explainBody(t))))
		}},
	}}
}

func explainBody(t *Target) string {
	return t.fill(`{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"{ada}"}},{"name":"client","valueString":"officer"}]}`)
}

func granularScopes() Family {
	finds := func(path, hidden string) func(*Target) error {
		return func(t *Target) error {
			if err := t.has(path + "{" + hidden + "}"); err != nil {
				return err
			}
			a, err := t.as("granular", t.fill(path))
			if err != nil {
				return err
			}
			if strings.Contains(string(a.body), t.fill("{#"+hidden+"}")) && a.ok() {
				return breach("%s: %s", path, a)
			}
			return nil
		}
	}
	criteria := []guard.Name{guard.ScopeCriteria, guard.ScopeReturned}
	return Family{Area: Scopes, Name: "granular scopes", Control: allOf(sees("granular", "{weight}"), sees("clinician", "{glucose}"), sees("granular", "Observation?patient={ada}")), Attacks: []Attack{
		{"read-outside", "a token for vital signs reads no laboratory result", "US Core granular scopes; ONC HTI-1", criteria, finds("{glucose}", "glucose")},
		{"search-outside", "a token for vital signs finds no laboratory result", "US Core: searches give exactly the matching subset", criteria, finds("Observation?patient={ada}", "glucose")},
		{"ask-outside", "a token for vital signs that asks for laboratory results finds none", "US Core granular scopes", criteria, finds("Observation?patient={ada}&category=laboratory", "glucose")},
		{"hidden-is-absent", "a resource outside the criteria reads like one that never was", "smart.md 4, convention 3", nil, func(t *Target) error {
			return indistinct(t, "granular", "{glucose}", "Observation/q-"+strings.Repeat("a", 26), http.StatusNotFound)
		}},
		{"count-outside", "a count holds nothing outside the criteria", "smart.md 4, convention 4", []guard.Name{guard.ScopeCriteria, guard.ScopeReturned}, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			a, err := t.as("granular", t.fill("Observation?patient={ada}&_summary=count"))
			if err != nil {
				return err
			}
			if n, ok := a.json()["total"].(float64); !ok || n != 1 {
				return breach("it counts %v, one is visible: %s", a.json()["total"], a)
			}
			return nil
		}},
		{"include-outside", "an include brings nothing outside the scopes", "microsoft/fhir-server#5683: out-of-compartment _include", nil, finds("Patient?_id={#ada}&_revinclude=Observation:patient", "glucose")},
		{"reverse-chain", "a reverse chain tells nothing of a type beyond the scopes", "smart.md 3: chains are filters on what they pass", nil, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			a, err := t.as("narrow", t.fill("Patient?_id={#ada}&_has:Observation:patient:code=2345-7"))
			if err == nil && a.ok() && len(a.entries()) > 0 {
				err = breach("%s", a)
			}
			return err
		}},
	}}
}

// requestedScopes are asked for at the token endpoint.
func requestedScopes() Family {
	ask := func(party, scope string, allowed ...string) func(*Target) error {
		return func(t *Target) error {
			p, err := t.party(party)
			if err != nil {
				return err
			}
			a, err := t.grant(p, scope, nil)
			if err != nil {
				return err
			}
			if a.json()["refresh_token"] != nil || a.json()["id_token"] != nil {
				return breach("a backend gets more than an access token: %s", a)
			}
			for s := range strings.FieldsSeq(a.text("scope")) {
				if !slices.Contains(allowed, s) {
					return breach("it is granted %q", s)
				}
			}
			if a.status >= 500 {
				return errors.New(a.String())
			}
			return nil
		}
	}
	return Family{Area: Scopes, Name: "scopes that are asked for", Control: granted("narrow"), Attacks: []Attack{
		{"ask-wildcard", "a client for Patients that asks for everything gets Patients", "smart.md 1.4: requested within pre-authorised [R250]", []guard.Name{guard.ClientRegisteredScopes}, ask("narrow", "system/*.rs", "system/Patient.rs")},
		{"ask-other-type", "a client for Patients that asks for Observations gets none", "smart.md 1.4 [R250]", []guard.Name{guard.ClientRegisteredScopes}, ask("narrow", "system/Observation.rs")},
		{"ask-letters", "a client that may read and asks to write may not write", "smart.md 1.4 [R250]", []guard.Name{guard.ClientRegisteredScopes}, ask("narrow", "system/Patient.cruds", "system/Patient.rs")},
		{"ask-v1-write", "a client that may read and asks in the old grammar to write may not write", "smart.md 1.5 [R126]", []guard.Name{guard.ClientRegisteredScopes}, ask("narrow", "system/Patient.write")},
		{"ask-without-criteria", "a client for vital signs that asks for all Observations gets vital signs", "smart.md 1.5: criteria of the registration stay", []guard.Name{guard.ClientRegisteredScopes}, ask("granular", "system/Observation.rs", "system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs")},
		{"ask-user-level", "a backend gets no user/ scope", "smart.md 1.4: needs out-of-band context", nil, ask("clinician", "user/*.rs")},
		{"ask-patient-level", "a backend gets no patient/ scope", "smart.md 1.4: needs out-of-band context", nil, ask("clinician", "patient/*.rs launch/patient")},
		{"ask-offline", "a backend gets no refresh token and no id token", "smart.md 1.4: refresh tokens should not be issued [R262]", nil, ask("clinician", "system/Patient.rs openid fhirUser offline_access", "system/Patient.rs")},
		{"ask-not-evaluable", "criteria that cannot be evaluated are never granted", "smart.md 1.5", []guard.Name{guard.ScopeUnsupported}, ask("clinician", "system/Observation.rs?performer=Practitioner/x")},
		{"ask-out-of-order", "letters out of order are refused", "smart.md 1.5 [R129]", []guard.Name{guard.ScopeLetters}, ask("clinician", "system/Observation.sr")},
		{"ask-operation", "a client that is not registered for an operation does not get its scope", "decisions 3.7", nil, ask("clinician", "https://handoff-health.github.io/fhir/scope/explain-access")},
		{"ask-admin", "scopes of other servers' administrators open nothing here", "Keycloak, Entra and HAPI names", nil, ask("clinician", "admin root system/*.* openid https://graph.microsoft.com/.default", "")},
	}}
}

// writtenScopes are about what is written.
func writtenScopes() Family {
	post := func(party, path, body string, changes ...change) func(*Target) error {
		return func(t *Target) error {
			if err := t.has(path + body); err != nil {
				return err
			}
			token, err := t.tokenOf(party, "")
			if err != nil {
				return err
			}
			return forbidden(t.ask(token, http.MethodPost, t.fill(path), []byte(t.fill(body)), changes...))
		}
	}
	interaction := []guard.Name{guard.ScopeInteraction}
	consent := strings.ReplaceAll(planConsent, "PATIENT", "{ada}")
	return Family{Area: Scopes, Name: "writes", Control: allOf(sees("officer", "{ada}"), func(t *Target) error {
		// The clinician's own Consent was filed: what is refused here can be done.
		_, err := t.record("consent")
		return err
	}), Attacks: []Attack{
		{"create-without-c", "a token that may read creates no Consent", "smart.md 1.5", nil, post("officer", "Consent", consent)},
		{"write-outside-criteria", "a token for inactive Consents creates no active one", "smart.md 1.5: criteria hold for what is written", []guard.Name{guard.ScopeWritten}, post("granular", "Consent", consent)},
		{"capture-without-c", "a token that may read captures no Consent", "operations are mapped one by one", interaction, post("officer", "Consent/$capture", `{"resourceType":"Parameters"}`)},
		{"revoke-without-u", "a token that may read revokes no Consent", "operations are mapped one by one", interaction, post("officer", "{consent}/$revoke", `{"resourceType":"Parameters"}`)},
		{"what-if-without-c", "a token that may read does not try Consents", "a question about what a Consent would open", interaction, post("officer", "Consent/$what-if", consent)},
		{"declare-without-task", "a token without Task.c declares no legal basis", "operations are mapped one by one", interaction, post("officer", "Task/$declare-basis", `{"resourceType":"Parameters"}`)},
		{"accept-by-police", "police do not accept a legal basis for health records", "decisions 2.6: a user of the custodian accepts", nil, post("unit", "Task/x/$accept-basis", `{"resourceType":"Parameters"}`)},
		{"break-glass-by-police", "police do not break the glass", "42 CFR 2.51: medical personnel", nil, post("officer", "{ada}/$break-glass", `{"resourceType":"Parameters"}`)},
		{"explain-by-police", "police do not explain access", "decisions 3.7", nil, post("officer", "$explain-access", `{"resourceType":"Parameters"}`)},
	}}
}

// levels are about tokens for people, which only an authorization server makes:
// here the gateway's own key does.
func levels() Family {
	read := func(scope, patient, path string) func(*Target) (*answer, error) {
		return func(t *Target) (*answer, error) {
			if err := t.has(path + patient); err != nil {
				return nil, err
			}
			token, err := t.forPerson("both", func(_, c object) {
				c["scope"] = scope
				if patient != "" {
					c["patient"] = t.fill(patient)
				}
			})
			if err != nil {
				return nil, err
			}
			return t.get(token, t.fill(path))
		}
	}
	opened := func(a *answer, err error) error {
		if err == nil && (!a.ok() || a.text("resourceType") == "Bundle" && len(a.entries()) == 0) {
			err = errors.New(a.String())
		}
		return err
	}
	stays := func(do func(*Target) (*answer, error)) func(*Target) error {
		return func(t *Target) error {
			a, err := do(t)
			if err == nil && opened(a, nil) == nil {
				err = breach("%s", a)
			}
			return err
		}
	}
	return Family{Area: Scopes, Name: "levels", Control: func(t *Target) error {
		if err := opened(read("user/*.rs", "", "{weight}")(t)); err != nil {
			return err
		}
		return opened(read("patient/*.rs", "{ada}", "{weight}")(t))
	}, Attacks: []Attack{
		{"client-as-user", "a client's own token opens nothing by the user/ scopes that its registration has too", "smart.md 1.7; microsoft/fhir-server#5717", []guard.Name{guard.ScopeLevel}, func(t *Target) error {
			ref, err := t.record("weight")
			if err != nil {
				return err
			}
			token, err := t.forged("both", func(_, c object) { c["scope"] = "user/*.rs" })
			if err != nil {
				return err
			}
			return forbidden(t.get(token, ref))
		}},
		{"person-as-system", "a person's token opens nothing by the system/ scopes that the registration has too", "smart.md 1.7; microsoft/fhir-server#5717", []guard.Name{guard.ScopeLevel}, stays(read("system/*.rs", "", "{ada}"))},
		{"other-patient-read", "patient/ scopes read nothing of anybody but the patient in context", "smart.md 1.2 A8; LinuxForHealth #1849", []guard.Name{guard.ScopePatient}, stays(read("patient/*.rs", "{ben}", "{weight}"))},
		{"other-patient-search", "patient/ scopes find nothing of anybody but the patient in context", "smart.md 1.2 A8", []guard.Name{guard.ScopePatient}, stays(read("patient/*.rs", "{ben}", "Observation?patient={ada}"))},
		{"other-patient-id", "patient/ scopes read no other Patient", "smart.md 1.2 A8", []guard.Name{guard.ScopePatient}, stays(read("patient/*.rs", "{ben}", "{ada}"))},
		{"no-patient", "patient/ scopes without a patient in context open nothing", "smart.md 1.2 A8", nil, stays(read("patient/*.rs", "", "{weight}"))},
		{"two-patients", "patient/ scopes with a list in place of a patient open nothing", "CWE-20: a context that is concatenated into a query", nil, stays(read("patient/*.rs", "{ben},{ada}", "{weight}"))},
		{"half-and-half", "read at the one level does not help search at the other", "smart.md 1.7", nil, stays(read("user/Observation.r patient/Observation.s", "{ben}", "Observation?patient={ada}"))},
		{"nobody", "a person's token that names no person opens nothing", "issue 4.4: user and policy", nil, func(t *Target) error {
			token, err := t.forPerson("both", func(_, c object) { delete(c, "extensions") })
			if err != nil {
				return err
			}
			return opensRecord(t, token, "weight")
		}},
		{"others-organization", "a person's token that names another organisation than the client's opens nothing", "issue 4.4", []guard.Name{guard.ClientOwnOrganization}, func(t *Target) error {
			token, err := t.forPerson("both", func(_, c object) {
				c["extensions"].(object)["hl7-b2b"].(object)["organization_id"] = "Organization/pd"
			})
			if err != nil {
				return err
			}
			return opensRecord(t, token, "weight")
		}},
	}}
}

// forPerson makes an access token of an app for somebody who signed in, as the
// gateway would.
func (t *Target) forPerson(party string, vary func(header, claims object)) (string, error) {
	return t.forged(party, func(h, c object) {
		c["sub"], c["authorization"], c["sid"], c["scope"] = "person-7", "authorization-"+rand.Text(), "session-7", "user/*.rs"
		c["auth_time"], c["mfa"], c["amr"] = time.Now().Unix(), true, []string{"pwd", "otp"}
		c["extensions"] = object{"hl7-b2b": object{
			"version": "1", "organization_id": "Organization/clinic", "subject_id": "Practitioner/ortiz", "subject_name": "Ana Ortiz",
			"purpose_of_use": []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT"},
		}}
		vary(h, c)
	})
}
