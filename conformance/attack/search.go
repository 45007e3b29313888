package attack

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

func searches() Family {
	return Family{Area: Access, Name: "filters, counts and sorts", Control: allOf(sees("officer", "CarePlan?patient={ada}"), sees("clinician", "Encounter?_count=1"), sees("clinician", "Condition?patient={ada}")), Attacks: []Attack{
		{"chain-through-hidden", "a chain through a hidden Condition finds nothing", "decisions 3.1: chains are filters", nil, empty("officer", "CarePlan?patient={ada}&condition.code=J45.20")},
		{"reverse-chain-hidden", "a reverse chain from hidden Conditions finds nothing", "decisions 3.1", nil, empty("officer", "Patient?_id={#ada}&_has:Condition:patient:code=J45.20")},
		{"include-hidden", "an include brings no hidden Condition", "microsoft/fhir-server#5683", nil, leaks("officer", "CarePlan?patient={ada}&_include=CarePlan:condition", "{#asthma}")},
		{"revinclude-hidden", "a reverse include brings no hidden resource", "microsoft/fhir-server#5683", nil, leaks("officer", "Patient?_id={#ada}&_revinclude=CarePlan:patient", "{#therapy}")},
		{"everything", "Patient/$everything brings nothing beyond", "HAPI #5275", nil, leaks("officer", "{ada}/$everything", "{#therapy}")},
		{"total", "a total counts what may be seen alone", "smart.md 4, convention 4", nil, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			for _, more := range []string{"", "&_total=accurate", "&_summary=count", "&_total=estimate", "&_count=0"} {
				a, err := t.as("officer", t.fill("CarePlan?patient={ada}"+more))
				if err != nil {
					return err
				}
				if n, ok := a.json()["total"].(float64); ok && n != 1 {
					return breach("%s: it counts %v, one is visible", more, n)
				}
			}
			return nil
		}},
		{"sort-by-hidden", "a sort by what does not go out tells no order", "decisions 3.1: sort values come from the returned form", nil, refused("officer", "CarePlan?patient={ada}&_sort=condition.code")},
		{"others-data", "a search for one person brings nobody else, whatever the connected system answers", "decisions 3.1: an upstream's filters are not relied upon", []guard.Name{guard.AccessPerson}, func(t *Target) error {
			if err := t.has("{ada}{asthma}{sprain}"); err != nil {
				return err
			}
			a, err := t.as("clinician", t.fill("Condition?patient={ada}"))
			if err != nil {
				return err
			}
			for _, ref := range a.entries() {
				if ref != t.Records["asthma"] && ref != t.Records["sprain"] {
					return breach("%s: %s", ref, a)
				}
			}
			return nil
		}},
		{"browse", "police do not look around among persons", "decisions 3.6", []guard.Name{guard.AccessOnePerson}, refused("officer", "Encounter?status=finished")},
		{"browse-by-name", "police do not look around among persons by half a name", "decisions 3.6", []guard.Name{guard.AccessOnePerson}, refused("officer", "Patient?family=OKAFOR")},
		{"browse-alternatives", "police do not look around among persons by a list of ids", "decisions 3.6: alternatives are several persons", []guard.Name{guard.AccessOnePerson}, refused("officer", "Patient?_id={#ada},{#ben}")},
		{"browse-two-persons", "a search is about one person", "decisions 3.6", nil, refused("officer", "Encounter?patient={ada},{ben}")},
		{"browse-by-post", "police do not look around by POST", "a second door to the same search", []guard.Name{guard.AccessOnePerson}, func(t *Target) error {
			token, err := t.tokenOf("officer", "")
			if err != nil {
				return err
			}
			a, err := t.ask(token, http.MethodPost, "Encounter/_search", []byte("status=finished"), with("Content-Type", "application/x-www-form-urlencoded"))
			if err == nil && a.ok() {
				err = breach("%s", a)
			}
			return err
		}},
		{"count-all", "nobody counts over all persons", "decisions 3.6; small cells", []guard.Name{guard.AccessCountOnePerson}, refused("clinician", "Encounter?_summary=count")},
		{"unknown-parameter", "a narrowing parameter that is not known refuses the search, and is not dropped", "smart.md 4, convention 5", nil, refused("officer", "CarePlan?patient={ada}&secret=1")},
		{"unknown-modifier", "a modifier that is not known refuses the search", "smart.md 4, convention 5", nil, refused("officer", "CarePlan?patient={ada}&status:hidden=active")},
		{"lenient", "Prefer: handling=lenient drops no parameter", "decisions 3.8: no lenient mode", nil, refused("officer", "CarePlan?patient={ada}&secret=1", with("Prefer", "handling=lenient"))},
		{"elements-around-notice", "_elements and _summary take no label and no mark away", "decisions 3.5: one render rule on every path", nil, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			for _, more := range []string{"_elements=title", "_summary=true"} {
				a, err := t.as("officer", t.fill("CarePlan?patient={ada}&"+more))
				if err != nil {
					return err
				}
				if a.ok() && len(a.entries()) > 0 && !strings.Contains(string(a.body), "SUBSETTED") {
					return breach("%s: %s", more, a)
				}
			}
			return nil
		}},
	}}
}

func redacted() Family {
	return Family{Area: Access, Name: "elements that do not go out", Control: allOf(sees("officer", "CarePlan?patient={ada}"), sees("clinician", "CarePlan?patient={ada}&condition={addressed}")), Attacks: []Attack{
		{"filter-on-redacted", "a filter on an element that does not go out finds nothing", "decisions 3.1: a redacted element is as invisible as a hidden resource", []guard.Name{guard.AccessReturnedForm}, empty("officer", "CarePlan?patient={ada}&condition={addressed}")},
		{"sort-on-redacted", "a sort on an element that does not go out is refused, or puts nothing apart", "decisions 3.1: sort values come from the returned form", nil, func(t *Target) error {
			if err := t.has("{ada}"); err != nil {
				return err
			}
			for _, sort := range []string{"condition", "-condition"} {
				a, err := t.as("officer", t.fill("CarePlan?patient={ada}&_sort="+sort))
				if err != nil {
					return err
				}
				if a.ok() && strings.Contains(string(a.body), t.fill("{#addressed}")) {
					return breach("%s", a)
				}
			}
			return nil
		}},
		{"elements-on-redacted", "_elements brings no element back that policy took away", "decisions 3.1: projection comes after the decision", nil, leaks("officer", "CarePlan?patient={ada}&_elements=addresses,subject", "{#addressed}")},
	}}
}

func pages() Family {
	next := func(t *Target, party, path string) (string, error) {
		if err := t.has(path); err != nil {
			return "", err
		}
		a, err := t.as(party, t.fill(path))
		if err != nil {
			return "", err
		}
		link := a.link("next")
		if link == "" {
			return "", fmt.Errorf("%s has no second page: %s", path, a)
		}
		return link, nil
	}
	const two = "Encounter?patient={ada}&_count=1"
	return Family{Area: Access, Name: "page links", Control: func(t *Target) error {
		link, err := next(t, "clinician", two)
		if err != nil {
			return err
		}
		a, err := t.as("clinician", link)
		if err == nil && len(a.entries()) != 1 {
			err = fmt.Errorf("the second page: %s", a)
		}
		return err
	}, Attacks: []Attack{
		{"other-client", "a page link of another client opens nothing, even within one organisation", "smart.md 4, convention 7", []guard.Name{guard.AccessPageOwner}, func(t *Target) error {
			link, err := next(t, "clinician", two)
			if err != nil {
				return err
			}
			return refused("twin", link)(t)
		}},
		{"other-query", "a page link does not serve another query", "smart.md 4, convention 7", []guard.Name{guard.AccessPageQuery}, func(t *Target) error {
			link, err := next(t, "clinician", two)
			if err != nil {
				return err
			}
			u, err := url.Parse(link)
			if err != nil {
				return err
			}
			return refused("clinician", "Encounter?patient={ben}&_count=1&_cursor="+u.Query().Get("_cursor"))(t)
		}},
		{"changed", "a page link that was changed opens nothing", "smart.md 4, convention 7: sealed", nil, func(t *Target) error {
			link, err := next(t, "clinician", two)
			if err != nil {
				return err
			}
			at, other := len(link)-4, "A"
			if link[at] == 'A' {
				other = "Q"
			}
			return refused("clinician", link[:at]+other+link[at+1:])(t)
		}},
		{"made-up", "a page link that somebody made up opens nothing", "google fhir-gateway: _getpages let through unchecked", nil, refused("clinician", "Encounter?_count=1&_cursor=eyJhIjoiMCJ9")},
		{"readable", "a page link tells nothing about where it stands", "smart.md 4, convention 7", nil, func(t *Target) error {
			link, err := next(t, "clinician", two)
			if err != nil {
				return err
			}
			u, err := url.Parse(link)
			if err != nil {
				return err
			}
			for _, part := range strings.FieldsFunc(u.Query().Get("_cursor"), func(r rune) bool { return r == '.' }) {
				if raw, err := unb64(part); err == nil && (strings.Contains(raw, "{") || strings.Contains(raw, "20")) && isText(raw) {
					return breach("the cursor reads %q", raw)
				}
			}
			return nil
		}},
		{"without-token", "a page link needs its owner's token", "it carries no rights", nil, func(t *Target) error {
			link, err := next(t, "clinician", two)
			if err != nil {
				return err
			}
			a, err := t.get("", link)
			if err == nil && a.status != http.StatusUnauthorized {
				err = breach("%s", a)
			}
			return err
		}},
	}}
}
