package attack

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

func accessFamilies() []Family {
	return []Family{hiddenResources(), searches(), redacted(), pages(), spoofing(), writes(), forms()}
}

// leaks is an attack that succeeds if an answer to the party holds a text of what
// is hidden from it.
func leaks(party, path, hidden string, changes ...change) func(*Target) error {
	return func(t *Target) error {
		if err := t.has(path + hidden); err != nil {
			return err
		}
		a, err := t.as(party, t.fill(path), changes...)
		if err != nil {
			return err
		}
		if text := t.fill(hidden); a.ok() && (strings.Contains(string(a.body), text) || strings.Contains(fmt.Sprint(a.header), text)) {
			return breach("%s: %s", path, a)
		}
		return nil
	}
}

// empty is an attack that succeeds if a search finds anything.
func empty(party, path string, changes ...change) func(*Target) error {
	return func(t *Target) error {
		if err := t.has(path); err != nil {
			return err
		}
		a, err := t.as(party, t.fill(path), changes...)
		if err != nil {
			return err
		}
		total, _ := a.json()["total"].(float64)
		if a.ok() && (a.text("resourceType") != "Bundle" || len(a.entries()) > 0 || total > 0) {
			return breach("%s: %s", path, a)
		}
		return nil
	}
}

// refused is an attack that succeeds if the request is answered.
func refused(party, path string, changes ...change) func(*Target) error {
	return func(t *Target) error {
		if err := t.has(path); err != nil {
			return err
		}
		a, err := t.as(party, t.fill(path), changes...)
		if err == nil && (a.ok() || a.status == http.StatusNotModified) {
			err = breach("%s: %s", path, a)
		}
		return err
	}
}

// shape is an answer without what differs from one request to the next, and
// without the names that were asked for.
func shape(a *answer, names ...string) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	for _, name := range []string{"Content-Type", "Etag", "Last-Modified", "Location", "Cache-Control", "Allow", "Www-Authenticate", "Retry-After", "Vary", "Content-Location"} {
		fmt.Fprintln(&b, name, a.header[name])
	}
	body := string(a.body)
	for _, n := range names {
		if n != "" {
			body = strings.ReplaceAll(body, n, "X")
		}
	}
	b.WriteString(body)
	return b.String()
}

// indistinct succeeds as an attack if what is there can be told from what is not.
func indistinct(t *Target, party, there, absent string, want int, changes ...change) error {
	return indistinctTo(t, party, "", there, absent, want, changes...)
}

// indistinctTo is indistinct for a token of these scopes.
func indistinctTo(t *Target, party, scope, there, absent string, want int, changes ...change) error {
	if err := t.has(there + absent); err != nil {
		return err
	}
	token, err := t.tokenOf(party, scope)
	if err != nil {
		return err
	}
	there, absent = t.fill(there), t.fill(absent)
	a, err := t.get(token, there, changes...)
	if err != nil {
		return err
	}
	b, err := t.get(token, absent, changes...)
	if err != nil {
		return err
	}
	one, other := shape(a, there, lastID(there)), shape(b, absent, lastID(absent))
	if one != other {
		return breach("what is hidden (%s) is answered\n%s\nwhat is absent (%s)\n%s", there, one, absent, other)
	}
	if a.status != want {
		return breach("both are answered %d, want %d: %s", a.status, want, a)
	}
	return nil
}

// lastID is the last reference's id in a path or query.
func lastID(path string) string {
	i := strings.LastIndexAny(path, "/=")
	return path[i+1:]
}

func alike(party, there, absent string, changes ...change) func(*Target) error {
	return func(t *Target) error { return indistinct(t, party, there, absent, http.StatusNotFound, changes...) }
}

const (
	nobodyHere  = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
	nobodyThere = "q-aaaaaaaaaaaaaaaaaaaaaaaaaa"
)

func hiddenResources() Family {
	decision := []guard.Name{guard.AccessDecision}
	return Family{Area: Access, Name: "what is hidden", Control: allOf(sees("officer", "{ada}"), sees("officer", "{plan}"), sees("clinician", "{asthma}"), sees("clinician", "{therapy}"), sees("clinician", "{consent}")), Attacks: []Attack{
		{"read-other-agency", "another agency's Patient reads like one that never was", "smart.md 4, convention 3", decision, alike("deputy", "{ada}", "Patient/"+nobodyHere)},
		{"vread-other-agency", "a version of another agency's Patient reads like one that never was", "smart.md 4: history versions are decided too", decision, alike("deputy", "{ada}/_history/1", "Patient/"+nobodyHere+"/_history/1")},
		{"read-consent", "a Consent that may not be seen reads like one that never was", "decisions 3.1", decision, alike("deputy", "{consent}", "Consent/"+strings.Repeat("Z", 26))},
		{"read-connected", "a connected system's resource that may not be seen reads like one that never was", "decisions 3.2", nil, alike("officer", "{asthma}", "Condition/"+nobodyThere)},
		{"read-restricted", "a restricted plan beside an open one reads like one that never was", "decisions 3.1", decision, alike("officer", "{therapy}", "CarePlan/"+nobodyThere)},
		{"search-other-agency", "a search for another agency's person is like one for nobody", "smart.md 4, convention 3", nil, func(t *Target) error {
			return indistinct(t, "deputy", "Encounter?patient={ada}", "Encounter?patient=Patient/"+nobodyHere, http.StatusOK)
		}},
		{"search-restricted", "a search brings no restricted plan", "decisions 3.1", decision, leaks("officer", "CarePlan?patient={ada}", "{#therapy}")},
		{"search-conditions", "a consent to care plans brings no Condition", "42 CFR 2.31: what a consent names", nil, empty("officer", "Condition?patient={ada}")},
		{"etag-of-hidden", "If-None-Match on what is hidden gives no 304", "smart.md 4: absent from ETags", decision, func(t *Target) error {
			return indistinct(t, "deputy", "{ada}", "Patient/"+nobodyHere, http.StatusNotFound, with("If-None-Match", `W/"1"`))
		}},
		{"modified-since-of-hidden", "If-Modified-Since on what is hidden gives no 304", "smart.md 4: conditional reads", decision, func(t *Target) error {
			return indistinct(t, "deputy", "{ada}", "Patient/"+nobodyHere, http.StatusNotFound, with("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"))
		}},
		{"head-of-hidden", "HEAD on what is hidden tells nothing", "issue 4.6: HEAD and OPTIONS", nil, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			token, err := t.tokenOf("deputy", "")
			if err != nil {
				return err
			}
			var heard []string
			for _, path := range []string{t.fill("{ada}"), "Patient/" + nobodyHere} {
				a, err := t.ask(token, http.MethodHead, path, nil)
				if err != nil {
					return err
				}
				heard = append(heard, shape(a)+a.header.Get("Content-Length"))
			}
			if heard[0] != heard[1] {
				return breach("%s\n%s", heard[0], heard[1])
			}
			return nil
		}},
		{"guessed-upstream-id", "an id as the connected system writes it opens nothing", "decisions 3.3: ids are opaque", nil, refused("clinician", "Condition/asthma")},
		{"prefixed-upstream-id", "an upstream id behind the system's slug opens nothing", "decisions 3.3: the id is an HMAC, not a prefix", nil, refused("clinician", "Condition/q-asthma")},
		{"other-type-same-id", "an id of one type opens nothing under another", "decisions 3.3: the type is in the HMAC", nil, refused("clinician", "Observation/{#asthma}")},
		{"references-to-hidden", "a plan does not point at the Condition that may not be seen", "decisions 3.3: references to what is hidden are removed", []guard.Name{guard.AccessReferences}, leaks("officer", "{plan}", "{#asthma}")},
		{"system-names", "an answer does not tell which system it comes from", "decisions 3.2, 3.3", nil, leaks("officer", "CarePlan?patient={ada}", "ehr")},
		{"error-texts", "a refusal does not quote what is stored", "smart.md 4; CWE-209", nil, func(t *Target) error {
			if err := t.has("{ada}{therapy}"); err != nil {
				return err
			}
			for _, path := range []string{"{therapy}", "{ada}/_history/99", "CarePlan?patient={ada}&_sort=nothing", "CarePlan?patient={ada}&title:exact=x"} {
				a, err := t.as("officer", t.fill(path))
				if err != nil {
					return err
				}
				for _, secret := range []string{"Therapy", "OKAFOR", "Okafor", "sqlite", "127.0.0.1", ".go:"} {
					if !a.ok() && strings.Contains(string(a.body), secret) {
						return breach("%s: %s", path, a)
					}
				}
			}
			return nil
		}},
		{"no-store", "what holds a person's data may not be kept by a cache", "smart.md 4, convention 8", nil, func(t *Target) error {
			ref, err := t.record("ada")
			if err != nil {
				return err
			}
			a, err := t.as("officer", ref)
			if err == nil && !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
				err = breach("Cache-Control: %q", a.header.Get("Cache-Control"))
			}
			return err
		}},
	}}
}
