package attack

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

// writes try to reach by writing what reading does not give.
func writes() Family {
	send := func(party, method, path, body string, then func(*Target, *answer) error, changes ...change) func(*Target) error {
		return func(t *Target) error {
			if err := t.has(path + body); err != nil {
				return err
			}
			token, err := t.tokenOf(party, "")
			if err != nil {
				return err
			}
			changes = append(slices.Clip(changes), func(r *http.Request) {
				for _, values := range r.Header {
					values[0] = t.fill(values[0])
				}
			})
			a, err := t.ask(token, method, t.fill(path), []byte(t.fill(body)), changes...)
			if err != nil {
				return err
			}
			return then(t, a)
		}
	}
	stopped := func(_ *Target, a *answer) error {
		if a.ok() {
			return breach("it is done: %s", a)
		}
		return nil
	}
	consent := planConsent
	identified := func(value string) string { return strings.Replace(consent, "{mark}", value+"-{mark}", 1) }
	toConditions := strings.NewReplacer(`"code": "CarePlan"`, `"code": "Condition"`, "{mark}", "U-{mark}").Replace(consent)
	return Family{Area: Access, Name: "writes", Control: func(t *Target) error {
		_, err := t.record("consent") // the clinician's own was filed
		return err
	}, Attacks: []Attack{
		{"unseen-condition", "a conditional create does not feel a Consent that may not be seen", "decisions 3.4", []guard.Name{guard.AccessUnseenCondition}, send("unit", http.MethodPost, "Consent", consent, func(t *Target, a *answer) error {
			if a.status == http.StatusOK || strings.Contains(a.header.Get("Location"), t.fill("{#consent}")) {
				return breach("it finds the hidden Consent: %d %s", a.status, a.header.Get("Location"))
			}
			return nil
		}, with("If-None-Exist", "identifier=https://handoff-health.github.io/fhir/sid/clinic/consent|{mark}"))},
		{"stranger", "a Consent about a person unknown to the writer is not taken", "decisions 2.4; an oracle of who is known", []guard.Name{guard.AccessKnownSubject}, send("deputy", http.MethodPost, "Consent", identified("D"), stopped)},
		{"stranger-is-nobody", "a Consent about a hidden person is refused like one about nobody", "decisions 3.4", nil, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			token, err := t.tokenOf("deputy", "")
			if err != nil {
				return err
			}
			var heard []string
			for _, ref := range []string{t.Records["ada"], "Patient/" + nobodyHere} {
				a, err := t.ask(token, http.MethodPost, "Consent", []byte(t.fill(strings.ReplaceAll(planConsent, "{ada}", ref))))
				if err != nil {
					return err
				}
				heard = append(heard, shape(a, ref))
			}
			if heard[0] != heard[1] {
				return breach("%s\n%s", heard[0], heard[1])
			}
			return nil
		}},
		{"own-favour", "a Consent that police file for themselves opens no health record", "decisions 2.4: who may grant", nil, send("unit", http.MethodPost, "Consent", toConditions, func(t *Target, a *answer) error {
			if !a.ok() {
				return fmt.Errorf("filing a Consent: %s", a)
			}
			return empty("officer", "Condition?patient={ada}")(t)
		})},
		{"for-another-custodian", "a Consent that one custodian's recorder files grants nothing of another's", "decisions 2.4: recorders are registered per custodian", []guard.Name{guard.AccessRecorder}, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			// The police say that the sheriff may have what the clinic keeps of Ada.
			body := t.fill(strings.NewReplacer("{pd}", "{so}", "{mark}", rand.Text()).Replace(planConsent))
			token, err := t.tokenOf("unit", "")
			if err != nil {
				return err
			}
			a, err := t.ask(token, http.MethodPost, "Consent", []byte(body))
			if err != nil {
				return err
			}
			if !a.ok() {
				return fmt.Errorf("filing a Consent: %s", a)
			}
			return empty("deputy", "CarePlan?patient={ada}")(t)
		}},
		{"move", "a Consent does not move to another person", "decisions 3.4", []guard.Name{guard.AccessSameSubject}, func(t *Target) error {
			if err := t.has("{ada}{ben}"); err != nil {
				return err
			}
			if err := t.file("moving", "clinician", identified("M")); err != nil {
				return err
			}
			body := strings.Replace(strings.Replace(planConsent, "{", `{"id": "{#moving}",`, 1), "{mark}", "M-{mark}", 1)
			return send("clinician", http.MethodPut, "{moving}", strings.ReplaceAll(body, "{ada}", "{ben}"), stopped, with("If-Match", `W/"1"`))(t)
		}},
		{"replace-unseen", "a Consent that may not be seen is not replaced", "decisions 3.4", nil, send("unit", http.MethodPut, "{consent}", strings.Replace(consent, "{", `{"id": "{#consent}",`, 1), stopped, with("If-Match", `W/"1"`))},
		{"revoke-unseen", "a Consent that may not be seen is not revoked, and reads like none", "decisions 3.4", nil, func(t *Target) error {
			if err := t.has("{consent}"); err != nil {
				return err
			}
			token, err := t.tokenOf("deputy", "")
			if err != nil {
				return err
			}
			var heard []string
			for _, ref := range []string{t.Records["consent"], "Consent/" + strings.Repeat("Z", 26)} {
				a, err := t.ask(token, http.MethodPost, ref+"/$revoke", []byte(`{"resourceType":"Parameters"}`))
				if err != nil {
					return err
				}
				if a.ok() {
					return breach("%s", a)
				}
				heard = append(heard, shape(a))
			}
			if heard[0] != heard[1] {
				return breach("%s\n%s", heard[0], heard[1])
			}
			return nil
		}},
		{"blind-update", "an update without the version that it replaces is refused", "lost updates (CWE-362)", nil, send("clinician", http.MethodPut, "{consent}", strings.Replace(consent, "{", `{"id": "{#consent}",`, 1), stopped)},
		{"upsert", "nobody chooses the id of a new resource by PUT", "decisions 3.4: ids in the client's own space", nil, send("clinician", http.MethodPut, "Consent/chosen", strings.Replace(consent, "{", `{"id": "chosen",`, 1), stopped, with("If-Match", `W/"1"`))},
		{"write-upstream", "nothing is written into a connected system's ids", "decisions 3.3", nil, send("clinician", http.MethodPut, "Consent/"+nobodyThere, strings.Replace(consent, "{", `{"id": "`+nobodyThere+`",`, 1), stopped, with("If-Match", `W/"1"`))},
		{"delete", "nothing is deleted", "no route deletes", nil, send("clinician", http.MethodDelete, "{consent}", "", stopped)},
		{"patch", "nothing is patched", "google fhir-gateway: a PATCH without a subject was let through", nil, send("clinician", http.MethodPatch, "{consent}", `[{"op":"replace","path":"/status","value":"inactive"}]`, stopped, with("Content-Type", "application/json-patch+json"))},
		{"other-types", "no other type is written", "records come from their systems", nil, send("clinician", http.MethodPost, "Patient", `{"resourceType":"Patient"}`, stopped)},
		{"batch", "a batch does not go around the routes", "google fhir-gateway: GET entries in a Bundle need only r", nil, send("officer", http.MethodPost, "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"{therapy}"}}]}`, stopped)},
		{"own-labels", "labels that a Consent brings do not open it to others", "decisions 2.1: labels only add", nil, send("clinician", http.MethodPost, "Consent", strings.Replace(identified("L"), "{", `{"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "U"}], "source": "urn:handoff:system:pd-rms"},`, 1), func(t *Target, a *answer) error {
			_, at, ok := strings.Cut(a.header.Get("Location"), "/Consent/")
			if !ok {
				return fmt.Errorf("filing a Consent: %s", a)
			}
			id, _, _ := strings.Cut(at, "/")
			return refused("officer", "Consent/"+id)(t)
		})},
	}}
}
