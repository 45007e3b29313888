package attack

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
)

func accessFamilies() []Family {
	return []Family{hiddenResources(), searches(), pages(), spoofing(), writes()}
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
	if err := t.has(there + absent); err != nil {
		return err
	}
	there, absent = t.fill(there), t.fill(absent)
	a, err := t.as(party, there, changes...)
	if err != nil {
		return err
	}
	b, err := t.as(party, absent, changes...)
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

func searches() Family {
	return Family{Area: Access, Name: "filters, counts and sorts", Control: allOf(sees("officer", "CarePlan?patient={ada}"), sees("clinician", "CarePlan?patient={ada}&condition={asthma}"), sees("clinician", "Encounter?_count=1"), sees("clinician", "Condition?patient={ada}")), Attacks: []Attack{
		{"filter-on-redacted", "a filter on an element that does not go out finds nothing", "decisions 3.1: a redacted element is as invisible as a hidden resource", []guard.Name{guard.AccessReturnedForm}, empty("officer", "CarePlan?patient={ada}&condition={asthma}")},
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
		{"browse-alternatives", "police do not look around among persons by a list of identifiers", "decisions 3.6: alternatives are several persons", []guard.Name{guard.AccessOnePerson}, refused("officer", "Patient?identifier="+ori+"M300001,"+ori+"M300002")},
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

// spoofing is a request that says of itself more than its token does.
func spoofing() Family {
	claims := func(headers ...string) func(*Target) error {
		return func(t *Target) error {
			var changes []change
			for i := 0; i < len(headers); i += 2 {
				changes = append(changes, with(headers[i], t.fill(headers[i+1])))
			}
			if err := empty("officer", "Condition?patient={ada}", changes...)(t); err != nil {
				return err
			}
			return refused("officer", "{therapy}", changes...)(t)
		}
	}
	return Family{Area: Access, Name: "what a request says of itself", Control: allOf(sees("clinician", "Condition?patient={ada}"), sees("clinician", "{therapy}"), sees("officer", "{plan}")), Attacks: []Attack{
		{"purpose-header", "a purpose in a header opens nothing", "issue 4.4: never a header or body", nil, claims("X-Purpose-Of-Use", "TREAT", "X-Handoff-Purpose", "ETREAT", "Purpose", "TREAT", "X-POU", "BTG")},
		{"role-header", "a role in a header opens nothing", "issue 4.4", nil, claims("X-Role", "treating-clinician", "X-User-Role", "emergency-physician", "X-Roles", "admin")},
		{"organization-header", "an organisation in a header opens nothing", "issue 4.4", nil, claims("X-Organization", "Organization/clinic", "X-Tenant-Id", "clinic", "X-Client-Id", "clinician", "X-User", "admin")},
		{"scope-header", "scopes in a header open nothing", "Keycloak and Kong proxies pass them on", nil, claims("X-Scope", "system/*.cruds", "X-Auth-Request-Groups", "admin", "X-Forwarded-User", "clinician")},
		{"break-glass-header", "a broken glass in a header opens nothing", "decisions 2.6; peers' X-Break-Glass", nil, claims("X-Break-Glass", "true", "X-Emergency", "true", "Category", "btg; scheme=http://hl7.org/fhir/tag/security")},
		{"consent-header", "a consent in a header opens nothing", "SMART consent_reference is a claim", nil, claims("X-Consent", "{consent}", "X-Consent-Directive", "permit")},
		{"forwarded", "a forged forwarding header opens nothing", "smart.md 2.4: gin trusts X-Forwarded-For from everywhere", nil, claims("X-Forwarded-For", "127.0.0.1", "X-Real-IP", "127.0.0.1", "Forwarded", "for=127.0.0.1;host=admin;proto=https", "X-Forwarded-Host", "admin")},
		{"rewritten-path", "a path in a header is not the path", "CVE-2018-14773 (X-Original-URL, X-Rewrite-URL)", nil, func(t *Target) error {
			ref, err := t.record("therapy")
			if err != nil {
				return err
			}
			return leaks("officer", "{plan}", "{#therapy}", with("X-Original-URL", "/fhir/"+ref), with("X-Rewrite-URL", "/fhir/"+ref), with("X-HTTP-Path", "/fhir/"+ref))(t)
		}},
		{"method-override", "a method in a header is not the method", "X-HTTP-Method-Override, _method: a read that writes", nil, func(t *Target) error {
			if err := t.has("{consent}"); err != nil {
				return err
			}
			before, err := t.as("clinician", t.fill("{consent}"))
			if err != nil {
				return err
			}
			for _, m := range []string{"DELETE", "PUT", "PATCH"} {
				if _, err := t.as("clinician", t.fill("{consent}"), with("X-HTTP-Method-Override", m), with("X-HTTP-Method", m), with("X-Method-Override", m)); err != nil {
					return err
				}
			}
			after, err := t.as("clinician", t.fill("{consent}"))
			if err == nil && after.header.Get("Etag") != before.header.Get("Etag") {
				err = breach("the Consent changed from %s to %s", before.header.Get("Etag"), after.header.Get("Etag"))
			}
			return err
		}},
		{"purpose-parameter", "a purpose in a parameter opens nothing", "issue 4.4", nil, refused("officer", "Condition?patient={ada}&purpose=TREAT&_purpose=TREAT")},
		{"labels-asked-for", "a filter on security labels brings out nothing", "decisions 2.1, 3.1", nil, leaks("officer", "CarePlan?patient={ada}&_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R", "{#therapy}")},
	}}
}

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
	consent := strings.ReplaceAll(planConsent, "PATIENT", "{ada}")
	identified := func(value string) string { return strings.Replace(consent, `"C-1"`, strconv.Quote(value), 1) }
	toConditions := strings.NewReplacer(`"code": "CarePlan"`, `"code": "Condition"`, `"C-1"`, `"U-1"`).Replace(consent)
	return Family{Area: Access, Name: "writes", Control: func(t *Target) error {
		_, err := t.record("consent") // the clinician's own was filed
		return err
	}, Attacks: []Attack{
		{"unseen-condition", "a conditional create does not feel a Consent that may not be seen", "decisions 3.4", []guard.Name{guard.AccessUnseenCondition}, send("unit", http.MethodPost, "Consent", identified("C-1"), func(t *Target, a *answer) error {
			if a.status == http.StatusOK || strings.Contains(a.header.Get("Location"), t.fill("{#consent}")) {
				return breach("it finds the hidden Consent: %d %s", a.status, a.header.Get("Location"))
			}
			return nil
		}, with("If-None-Exist", "identifier=https://handoff-health.github.io/fhir/sid/clinic/consent|C-1"))},
		{"stranger", "a Consent about a person unknown to the writer is not taken", "decisions 2.4; an oracle of who is known", []guard.Name{guard.AccessKnownSubject}, send("deputy", http.MethodPost, "Consent", identified("D-1"), stopped)},
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
				a, err := t.ask(token, http.MethodPost, "Consent", []byte(strings.ReplaceAll(planConsent, "PATIENT", ref)))
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
			body := strings.NewReplacer(`"Organization/pd"`, `"Organization/so"`, `"C-1"`, strconv.Quote(rand.Text()), "PATIENT", t.Records["ada"]).Replace(planConsent)
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
			if err := t.file("moving", "clinician", t.fill(identified("M-1"))); err != nil {
				return err
			}
			body := strings.Replace(strings.Replace(planConsent, "{", t.fill(`{"id": "{#moving}",`), 1), `"C-1"`, `"M-1"`, 1)
			return send("clinician", http.MethodPut, "{moving}", strings.ReplaceAll(body, "PATIENT", "{ben}"), stopped, with("If-Match", `W/"1"`))(t)
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
		{"own-labels", "labels that a Consent brings do not open it to others", "decisions 2.1: labels only add", nil, send("clinician", http.MethodPost, "Consent", strings.Replace(identified("L-1"), "{", `{"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "U"}], "source": "urn:handoff:system:pd-rms"},`, 1), func(t *Target, a *answer) error {
			_, at, ok := strings.Cut(a.header.Get("Location"), "/Consent/")
			if !ok {
				return fmt.Errorf("filing a Consent: %s", a)
			}
			id, _, _ := strings.Cut(at, "/")
			return refused("officer", "Consent/"+id)(t)
		})},
	}}
}
