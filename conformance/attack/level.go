package attack

import (
	"crypto/rand"
	"errors"

	"github.com/handoff-health/handoff/gateway/guard"
)

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
		c["auth_time"], c["mfa"], c["amr"] = Clock().Unix(), true, []string{"pwd", "otp"}
		c["extensions"] = object{"hl7-b2b": object{
			"version": "1", "organization_id": "Organization/clinic", "subject_id": "Practitioner/ortiz", "subject_name": "Ana Ortiz",
			"purpose_of_use": []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason#TREAT"},
		}}
		vary(h, c)
	})
}
