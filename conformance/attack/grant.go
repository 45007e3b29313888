package attack

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

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
	consent := planConsent
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
