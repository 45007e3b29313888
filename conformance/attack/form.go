package attack

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

var versionTag = regexp.MustCompile(`^W/"\d{1,9}"$`)

// forms are attacks on what an answer says of the form in which something goes
// out: ETags, versions, parts.
func forms() Family {
	part := func(path string) func(*Target) error {
		return func(t *Target) error {
			if err := t.has(path); err != nil {
				return err
			}
			a, err := t.as("officer", t.fill(path))
			if err != nil {
				return err
			}
			if !a.ok() || !strings.Contains(string(a.body), "SUBSETTED") {
				return fmt.Errorf("%s is not received in part: %s", path, a)
			}
			body := string(a.body)
			if versionTag.MatchString(a.header.Get("ETag")) || a.header.Get("Last-Modified") != "" || strings.Contains(body, "versionId") || strings.Contains(body, "lastUpdated") {
				return breach("it tells a version or a time of the whole: %v %s", a.header, a)
			}
			return nil
		}
	}
	return Family{Area: Access, Name: "forms", Control: allOf(sees("officer", "{plan}"), sees("clinician", "{consent}")), Attacks: []Attack{
		{"version-of-the-whole", "what is received in part has no version and no time of the whole", "decisions 3.1: they would change with what is out of sight", []guard.Name{guard.AccessValidator}, part("{plan}")},
		{"version-of-the-whole-in-search", "nor has it in a search", "decisions 3.1", []guard.Name{guard.AccessValidator}, part("CarePlan?patient={ada}")},
		{"old-version", "a version that the scopes cover, of a Consent whose newest they do not, reads like one that never was", "smart.md 4, convention 6: history versions are decided too", []guard.Name{guard.AccessOldVersion}, func(t *Target) error {
			body := t.fill(strings.Replace(planConsent, "{mark}", "V-{mark}", 1))
			if err := t.has(planConsent); err != nil {
				return err
			}
			if err := t.file("versioned", "clinician", body); err != nil {
				return err
			}
			all, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			id := t.fill("{#versioned}")
			body = strings.NewReplacer(`"active"`, `"inactive"`, `"resourceType"`, `"id": "`+id+`", "resourceType"`).Replace(body)
			if a, err := t.ask(all, http.MethodPut, "Consent/"+id, []byte(body), with("If-Match", `W/"1"`)); err != nil || !a.ok() {
				return fmt.Errorf("the second version: %v %w", a, err)
			}
			narrow, err := t.tokenOf("clinician", "system/Consent.r?status=active")
			if err != nil {
				return err
			}
			a, err := t.get(narrow, "Consent/"+id+"/_history/1")
			if err == nil && a.status != http.StatusNotFound {
				err = breach("%s", a)
			}
			return err
		}},
		{"write-a-part", "what was received in part is not written as if it were whole", "decisions 3.4: SUBSETTED", []guard.Name{guard.AccessPartialWrite}, func(t *Target) error {
			if err := t.has(planConsent); err != nil {
				return err
			}
			token, err := t.tokenOf("clinician", "")
			if err != nil {
				return err
			}
			body := t.fill(strings.NewReplacer("{mark}", "S-{mark}", `"resourceType"`,
				`"meta": {"tag": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}]}, "resourceType"`).Replace(planConsent))
			a, err := t.ask(token, http.MethodPost, "Consent", []byte(body))
			if err == nil && a.ok() {
				err = breach("it is taken: %s", a)
			}
			return err
		}},
	}}
}

// bounds are requests of which there is too much.
func bounds() Family {
	taken := func(path string, want int, changes ...change) func(*Target) error {
		return func(t *Target) error {
			a, err := t.get("", path, changes...)
			switch {
			case err != nil:
				return err
			case a.status != want:
				return breach("it is answered %d, want %d", a.status, want)
			}
			return nil
		}
	}
	many := func(r *http.Request) {
		for i := range 120 {
			r.Header.Add("X-Many", fmt.Sprint(i))
		}
	}
	return Family{Area: Parsers, Name: "bounds", Control: func(t *Target) error {
		a, err := t.get("", "metadata?x=1")
		if err == nil && !a.ok() {
			err = fmt.Errorf("%s", a)
		}
		return err
	}, Attacks: []Attack{
		{"long-address", "an address of more bytes than allowed is refused, also of what is open", "CWE-400; issue 4.6", []guard.Name{guard.ParserURLSize}, taken("metadata?x="+strings.Repeat("y", 9<<10), http.StatusRequestURITooLong)},
		{"many-headers", "more header lines than allowed are refused", "CWE-400; issue 4.6", []guard.Name{guard.ParserHeaders}, taken("metadata", http.StatusRequestHeaderFieldsTooLarge, many)},
	}}
}
