package cases

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// situations are the rows of the decision table, by number from 1: what
// happens, and the paragraph that answers it.
var situations = [...]string{
	"treatment, payment, operations: a covered provider asks",
	"the same, where police ask \"for treatment\"",
	"a written authorization to police",
	"psychotherapy notes, whoever asks",
	"family or a caregiver at the scene",
	"another law requires the disclosure",
	"order of a court or tribunal",
	"subpoena without an order",
	"warrant, judge-issued subpoena, grand-jury subpoena",
	"administrative request",
	"law that has wounds or injuries reported",
	"police look for a suspect, fugitive, witness or missing person",
	"police ask about the victim of a crime",
	"suspicious death",
	"crime on the custodian's premises",
	"crime met in emergency care elsewhere",
	"serious and imminent threat",
	"admission of a violent crime, or escape",
	"lawful custody",
	"minimum necessary, accounting, the patient's restriction: whatever is permitted by 45 CFR 164.512",
	"emergency treatment against an agreed restriction",
	"substance use record of a federally assisted program",
	"written consent under Part 2",
	"one consent for treatment, payment and operations",
	"consent that goes through an intermediary",
	"redisclosure of Part 2 records",
	"counselling notes and proceedings",
	"notice and copy that go with what is disclosed on consent",
	"medical emergency in a Part 2 program",
	"crime on a Part 2 program's premises or against its staff",
	"report of child abuse by a Part 2 program",
	"criminal justice referral into a Part 2 program",
	"court order under 42 CFR 2 subpart E",
	"\"is this person a patient with you?\"",
	"use against the patient",
	"California: mental-health records to police",
	"Texas: offender with special needs",
	"Texas: a professional and a probable injury",
	"New York: report of a danger, endangered individual",
	"Illinois, Florida: risk and threat",
	"criminal history from police to a provider",
	"an agency's own contact data to a provider",
	"juvenile, sealed and victim data from police",
}

func builtin(t *testing.T) []*packs.Pack {
	t.Helper()
	ids, err := packs.BuiltinIDs()
	if err != nil {
		t.Fatal(err)
	}
	var out []*packs.Pack
	for _, id := range ids {
		p, err := packs.Builtin(id)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestEveryRowOfTheDecisionTableHasAHome(t *testing.T) {
	homes := map[int]int{}
	for _, p := range builtin(t) {
		for _, r := range p.Rules {
			for _, n := range r.Rows {
				homes[n]++
			}
		}
		for _, e := range p.Elsewhere {
			if len(e.Reason) < 20 {
				t.Errorf("%s: row %d is said to be elsewhere without a reason", p.ID, e.Row)
			}
			homes[e.Row]++
		}
	}
	for i := range situations {
		if homes[i+1] == 0 {
			t.Errorf("row %d (%s) has neither a rule nor a reason", i+1, situations[i])
		}
	}
	if len(situations) != 43 || len(homes) != 43 {
		t.Errorf("%d rows, %d of them with a home", len(situations), len(homes))
	}
}

// TestWhatRulesNameExists follows every name from one rule to another.
func TestWhatRulesNameExists(t *testing.T) {
	all := builtin(t)
	ids, types, passable := map[string]bool{}, map[string]bool{}, map[string]bool{"patient-deny": true, "unnamed-deny": true, "residual": true}
	for _, p := range all {
		for _, r := range p.Rules {
			ids[r.ID], passable[r.ID] = true, passable[r.ID] || r.Effect == "gate"
			if r.Type != "" {
				if types[r.Type] {
					t.Errorf("two rules have the type %s", r.Type)
				}
				types[r.Type] = true
			}
		}
	}
	for _, p := range all {
		for _, r := range p.Rules {
			at := p.ID + "/" + r.ID
			missing(t, at, "a gate", r.Passes, passable)
			missing(t, at, "a gate", r.Overrides, passable)
			if r.Within != "" {
				missing(t, at, "a type", []string{r.Within}, types)
			}
			for _, c := range conditionsOf(&r) {
				missing(t, at, "a type", c.Basis, types)
				missing(t, at, "a gate", c.Through, passable)
				missing(t, at, "a rule", c.Rule, ids)
			}
		}
	}
}

func missing(t *testing.T, at, what string, names []string, known map[string]bool) {
	t.Helper()
	for _, n := range names {
		if !known[n] {
			t.Errorf("%s: %q is not %s of any pack", at, n, what)
		}
	}
}

// conditionsOf lists all conditions of a rule.
func conditionsOf(r *packs.Rule) []packs.Condition {
	out := slices.Concat(r.When, r.Require)
	for _, a := range r.Alternatives {
		out = append(out, a.Require...)
	}
	return out
}

// TestTheTableOfLaw keeps docs/law.md at what the packs say.
func TestTheTableOfLaw(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "law.md")
	want := lawTable(builtin(t))
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/law.md is not what the packs say (%v); run go test ./conformance/cases -update", err)
	}
}

func lawTable(all []*packs.Pack) []byte {
	var b bytes.Buffer
	b.WriteString("# The law as rules\n\n" +
		"Which rule answers which situation, and where each paragraph was compared with its rule. The rules stand in `gateway/policy/packs`; this file is written from them by `go test ./conformance/cases -update`. It is no legal advice.\n\n" +
		"A rule that is **off** was not compared with the text: it decides nothing until the configuration enables it by name. A restriction may rest on a summary of its paragraph; what opens anything rests on the text itself.\n\n" +
		"## Situations\n\n| # | situation | answered by |\n|---|---|---|\n")
	for i, s := range situations {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", i+1, s, strings.Join(answers(all, i+1), "; "))
	}
	for _, p := range all {
		fmt.Fprintf(&b, "\n## %s %s\n\n%s (%s).\n\n| rule | says | paragraph | compared |\n|---|---|---|---|\n", p.ID, p.Version, p.Title, p.Jurisdiction)
		for _, r := range p.Rules {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.ID, r.Says, r.Citation, compared(p, &r))
		}
	}
	return b.Bytes()
}

func answers(all []*packs.Pack, row int) (out []string) {
	for _, p := range all {
		for _, r := range p.Rules {
			if slices.Contains(r.Rows, row) {
				off := ""
				if r.Unverified {
					off = " (off)"
				}
				out = append(out, "`"+p.ID+"/"+r.ID+"`"+off)
			}
		}
		for _, e := range p.Elsewhere {
			if e.Row == row {
				out = append(out, e.Reason)
			}
		}
	}
	return out
}

func compared(p *packs.Pack, r *packs.Rule) string {
	if r.Verified == nil {
		return "**off**"
	}
	where := r.Verified.Where
	for _, s := range p.Sources {
		if s.ID == where {
			where = "[" + s.Title + "](" + s.URL + ")"
		}
	}
	if r.Verified.Note != "" {
		return where + ", " + r.Verified.On + ": " + r.Verified.Note
	}
	return where + ", " + r.Verified.On
}
