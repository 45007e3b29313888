package law

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/policy"
)

const base = `site:
  key: 0123456789abcdef0123456789abcdef
organizations:
  - {id: pd, name: Police, kind: police}
  - {id: clinic, name: Clinic, kind: health, state: TX}
  - {id: ranch, name: Ranch, kind: health, state: WY}
agreements:
  - {id: moa, from: pd, to: clinic, ends: 2030-01-01, purposes: [TREAT], roles: [treating-clinician], types: [Encounter]}
`

func configured(t *testing.T, dir, text string) *config.Config {
	t.Helper()
	c, err := config.Parse(filepath.Join(dir, "handoff.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(l *policy.Law) (out []string) {
	for _, p := range l.Packs() {
		out = append(out, p.ID)
		if !strings.HasPrefix(p.Hash, "sha256:") {
			out = append(out, "no hash")
		}
	}
	return out
}

func TestTheUsualLawIsFederalWithTheStates(t *testing.T) {
	c := configured(t, t.TempDir(), base)
	l, err := Load(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(l); !slices.Equal(got, []string{"us-federal", "us-tx", "moa"}) {
		t.Errorf("got %v", got)
	}
	if got := Uncovered(c, l); !slices.Equal(got, []string{"WY"}) {
		t.Errorf("without overlay: %v", got)
	}
}

func TestASitesPackIsReadOrItsFaultHasAPlace(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const head = "id: ours\nversion: \"2026.11\"\ntitle: t\nkind: agreement\njurisdiction: US\ncombining: deny-overrides\nsources: [{id: s, title: s}]\nperiod: {end: 2030-01-01}\nrules:\n"
	write("good.yaml", head+"  - {id: share, effect: permit, within: baseline/agreement, citation: c}\n")
	write("bad.yaml", head+"  - {id: share, effect: permit, within: baseline/agreement, citation: c, wen: []}\n")
	write("nowhere.yaml", head+"  - {id: share, effect: permit, within: baseline/none-such, citation: c}\n")
	for _, c := range []struct{ list, want string }{
		{"[us-federal, ./good.yaml]", ""},
		{"[us-federal, {id: us-ca, enable: [\"basis/5328(a)(18)\"]}]", ""},
		{"[us-federal, ./bad.yaml]", "./bad.yaml:10:74: rules[0].wen: unknown key"},
		{"[us-federal, ./nowhere.yaml]", "./nowhere.yaml:10:"},
		{"[us-federal, ./none.yaml]", "none.yaml: no such file"},
		{"[us-federal, us-xx]", `no built-in pack "us-xx"`},
		{"[us-federal, {id: us-ca, enable: [no-such]}]", `no rule "no-such" to enable`},
	} {
		_, err := Load(configured(t, dir, base+"packs: "+c.list+"\n"))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.list, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %q is missing in %v", c.list, c.want, err)
		}
	}
	_, err := Load(configured(t, dir, base+"packs: [us-federal, ./bad.yaml]\n"))
	var named *PackError
	if !errors.As(err, &named) || named.Index != 1 {
		t.Errorf("which pack is it: %v", err)
	}
}

// How long, for which purposes and types an agreement accepts a basis in advance
// is the directory's to say. A rule beside it would accept the same for longer,
// for any purpose and with other records named.
func TestWhatAnAgreementOfTheConfigurationAcceptsIsNoRule(t *testing.T) {
	text := strings.Replace(base, "agreements:\n", "agreements:\n  - {id: custody, from: clinic, to: pd, ends: 2030-01-01, purposes: [TREAT], accepts: [{type: hipaa-512k5-custody, roles: [custody-officer], types: [CarePlan], within: 24h}]}\n", 1)
	l, err := Load(configured(t, t.TempDir(), text))
	if err != nil {
		t.Fatal(err)
	}
	q := &policy.Request{
		At: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), Action: "access", Jurisdiction: "US-TX",
		Requester: policy.Requester{Organization: "Organization/pd", OrganizationKind: "police", Police: true, Roles: []label.Code{{System: terminology.ActorRole.URI(), Code: "custody-officer"}}},
		Purposes:  []label.Code{{System: terminology.PurposeOfUse.URI(), Code: "LAWENF"}},
	}
	basis := &policy.LegalBasis{Type: "hipaa-512k5-custody", Covers: []string{"CarePlan/1", "Condition/2"}, Attributes: map[string]any{"represented": []any{"transport"}}}
	if got := policy.New(policy.Options{Law: l}).Begin(q).AcceptedInAdvance(basis, "Organization/clinic"); len(got) > 0 {
		t.Errorf("accepted by %+v", got)
	}
}

func TestAnEndedAgreementIsTold(t *testing.T) {
	c := &config.Config{Site: config.Site{TimeZone: "America/Chicago"}, Agreements: []config.Agreement{{ID: "past", Ends: "2026-05-31"}, {ID: "last-day", Ends: "2026-06-01"}}}
	evening := time.Date(2026, 6, 2, 4, 0, 0, 0, time.UTC) // still the first in Chicago
	if got := Ended(c, evening); !slices.Equal(got, []string{"past"}) {
		t.Errorf("got %v", got)
	}
}
