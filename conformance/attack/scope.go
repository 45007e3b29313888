package attack

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

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

// beyond is an attack with a token of the clinician's that was asked for with
// scopes that do not suffice.
func beyond(scope, path string) func(*Target) error {
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

const (
	patientsAlone = "system/Patient.rs"
	readAlone     = "system/*.r"
	searchAlone   = "system/*.s"
)

// within is a control: with these scopes a token of the clinician's gets a path.
func within(scope, path string) func(*Target) error {
	return func(t *Target) error {
		if err := t.has(path); err != nil {
			return err
		}
		token, err := t.tokenOf("clinician", scope)
		if err != nil {
			return err
		}
		a, err := t.get(token, t.fill(path))
		if err == nil && !a.ok() {
			err = fmt.Errorf("%s with %s: %s", path, scope, a)
		}
		return err
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
	return Family{Area: Scopes, Name: "interactions", Control: allOf(sees("clinician", "{weight}"), sees("clinician", "Observation?patient={ada}"), within(patientsAlone, "{ada}"), within(readAlone, "{weight}"), within(searchAlone, "Observation?patient={ada}")), Attacks: []Attack{
		{"read-other-type", "a token for Patients reads no Observation", "smart.md 1.5; g10_restricted_resource_type_access", interaction, beyond(patientsAlone, "{weight}")},
		{"search-other-type", "a token for Patients searches no Observations", "smart.md 1.5", interaction, beyond(patientsAlone, "Observation?patient={ada}")},
		{"vread-other-type", "a token for Patients reads no version of an Encounter", "smart.md 1.5: r holds vread", interaction, beyond(patientsAlone, "{contact}/_history/1")},
		{"search-with-read", "a token that may read may not search", "smart.md 1.5: letters of SMART 2", interaction, beyond(readAlone, "Observation?patient={ada}")},
		{"read-with-search", "a token that may search may not read", "smart.md 1.5: letters of SMART 2", interaction, beyond(searchAlone, "{weight}")},
		{"post-search-with-read", "a token that may read may not search by POST", "smart.md 1.5; a second door to the same search", interaction, func(t *Target) error {
			token, err := t.tokenOf("clinician", readAlone)
			if err != nil {
				return err
			}
			return forbidden(t.ask(token, http.MethodPost, "Observation/_search", []byte(t.fill("patient={ada}")), with("Content-Type", "application/x-www-form-urlencoded")))
		}},
		{"oracle", "a token beyond its scopes hears the same of what is there and of what is not", "LinuxForHealth #2669: 403 or 404 told what exists", nil, func(t *Target) error {
			return indistinctTo(t, "clinician", patientsAlone, "{weight}", "Observation/q-"+strings.Repeat("a", 26), http.StatusForbidden)
		}},
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
			token, err := t.tokenOf("clinician", patientsAlone)
			if err != nil {
				return err
			}
			a, err := t.get(token, t.fill("Patient?_id={#ada}&_has:Observation:patient:code=2345-7"))
			if err == nil && a.ok() && len(a.entries()) > 0 {
				err = breach("%s", a)
			}
			return err
		}},
	}}
}
