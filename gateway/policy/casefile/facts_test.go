package casefile

import (
	"strings"
	"testing"
)

func caseWith(members string) string {
	return `{"id":"x","request":{"at":"2026-08-05T12:00:00Z","actor":{"organization":"Organization/pd"},"scopes":["user/*.rs"]},` + members + `}`
}

func TestFactsOfACaseAreRead(t *testing.T) {
	cases, errs := Read([]byte(caseWith(`"packs":["us-federal","us-ca"],"enable":["us-ca/basis/5328.4"],"directory":["Practitioner"],
		"organizations":{"Organization/pd":{"kind":"police","designations":["a"]},"Organization/clinic":{"part2":true}}`)))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	q := cases[0].Request.Requester
	if !q.Police || q.OrganizationKind != "police" || len(q.Designations) != 1 {
		t.Errorf("the requester's organisation: %+v", q)
	}
	if o := cases[0].origin("Organization/clinic"); !o.Part2 || o.Police {
		t.Errorf("the clinic's origin: %+v", o)
	}
	if o := cases[0].origin("Organization/pd"); !o.Police {
		t.Errorf("the agency's origin: %+v", o)
	}
}

func TestFactsThatCannotBe(t *testing.T) {
	for members, want := range map[string]string{
		`"packs":["us-zz"]`:                               "us-zz",
		`"packs":"us-ca"`:                                 "wrong kind",
		`"enable":["us-ca/basis/5328.4"]`:                 "not in force",
		`"enable":["us-federal/no-such-rule"]`:            "no-such-rule",
		`"packs":["us-ca"]`:                               "court-order",
		`"organizations":{"Organization/x":{"kind":"x"}}`: "none of police",
		`"organizations":{"Organization/x":{"part2":1}}`:  "wrong kind",
	} {
		_, errs := Read([]byte(caseWith(members)))
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), want) || !strings.HasPrefix(errs[0].Error(), "1:") {
			t.Errorf("%s: %v; want one error at its place about %s", members, errs, want)
		}
	}
}

func TestAgreementsOfACaseArePacks(t *testing.T) {
	for agreement, want := range map[string]string{
		`"mou-7"`:        "",
		`7`:              "an agreement is an id or a pack",
		`{"id":"mou-7"}`: "version",
	} {
		raw := `{"id":"x","request":{"at":"2026-08-05T12:00:00Z","agreements":[` + agreement + `]}}`
		_, errs := Read([]byte(raw))
		if want == "" && len(errs) > 0 || want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), want)) {
			t.Errorf("%s: %v; want %q", agreement, errs, want)
		}
	}
}
