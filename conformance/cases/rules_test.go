package cases

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy/casefile"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// scenes are the scenes of each pack; each is a file of cases.
func scenes() map[string][]scene {
	return map[string][]scene{
		"rule-us-federal": slices.Concat(groundScenes(), gateScenes(), emergencyScenes(), dutyScenes(), basisScenes()),
		"rule-us-tx":      texasScenes(), "rule-us-ca": californiaScenes(), "rule-us-ny": newYorkScenes(),
		"rule-us-il": illinoisScenes(), "rule-us-fl": floridaScenes(),
	}
}

// sceneRows are the rows of scenes, numbered where several say the same.
func sceneRows() map[string][]row {
	out := map[string][]row{}
	seen := map[string]int{}
	for family, all := range scenes() {
		for i := range all {
			for _, r := range all[i].expand() {
				if seen[r.says]++; seen[r.says] > 1 {
					r.says += " (another way)"
				}
				r.semantics, r.source = reg, citationOf(r.rule)
				out[family] = append(out[family], r)
			}
		}
	}
	return out
}

// ruleOf finds a rule by "pack/rule".
func ruleOf(p *packs.Pack, name string) *packs.Rule {
	for i := range p.Rules {
		if p.ID+"/"+p.Rules[i].ID == name {
			return &p.Rules[i]
		}
	}
	return nil
}

func citationOf(name string) string {
	id, _, _ := strings.Cut(name, "/")
	if p, err := packs.Builtin(id); err == nil {
		if r := ruleOf(p, name); r != nil {
			return r.Citation
		}
	}
	return "no rule " + name
}

// idle are conditions that another part of the same rule, or of the way to it,
// already makes sure of: no case can fail for them alone.
var idle = map[string]string{
	"us-federal/baseline/directory nobody":        "a type about persons is never open as a directory",
	"us-federal/baseline/directory not-part2":     "what comes from a Part 2 program is labelled so, which unlabelled excludes",
	"us-federal/baseline/agreement police-record": "towards health systems only agencies' records go",
	"us-federal/break-glass/part2 declared":       "that consent cannot be obtained is said by the declaration",
	"us-federal/baseline/unknown-person treating": "the next rule denies too: only the reason differs",
	"us-federal/baseline/unknown-person purpose":  "the next rule denies too: only the reason differs",
}

// A shownCase is a case of a rule, read back from its file.
type shownCase struct {
	c          *casefile.Case
	rule       string
	conditions []string
}

func shownCases(t *testing.T) []shownCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("data", "rule-*.json"))
	if err != nil || len(files) != len(scenes()) {
		t.Fatalf("%d files of rules for %d packs: %v", len(files), len(scenes()), err)
	}
	var out []shownCase
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all, errs := casefile.Read(raw)
		for _, err := range errs {
			t.Errorf("%s: %v", f, err)
		}
		tags := tagsOf(t, raw)
		for _, c := range all {
			s := shownCase{c: c}
			for _, tag := range tags[c.ID] {
				if rule, ok := strings.CutPrefix(tag, "rule:"); ok {
					s.rule = rule
				}
				if condition, ok := strings.CutPrefix(tag, "condition:"); ok {
					s.conditions = append(s.conditions, condition)
				}
			}
			out = append(out, s)
		}
	}
	return out
}

func tagsOf(t *testing.T, raw []byte) map[string][]string {
	t.Helper()
	document, err := resource.ParseDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for c := range document.Root().Elements() {
		for tag := range c.All("tags") {
			id := c.Get("id").Text()
			out[id] = append(out[id], tag.Text())
		}
	}
	return out
}

// opens says whether a case lets something out, or for a duty whether it goes
// along.
func (s *shownCase) opens(effect string) bool {
	e := s.c.Expected
	if effect == "oblige" {
		return len(e.Obligations) > 0
	}
	return slices.ContainsFunc(e.Resources, func(r casefile.ExpectedResource) bool { return r.Decision != "deny" })
}

// TestEveryConditionHasAPermitAndADeny walks over the packs, not the cases: a
// rule or condition that nobody thought of is found.
func TestEveryConditionHasAPermitAndADeny(t *testing.T) {
	permits, denies := map[string]int{}, map[string]int{}
	known := map[string]bool{}
	all := builtin(t)
	for _, s := range shownCases(t) {
		effect := ""
		for _, p := range all {
			if r := ruleOf(p, s.rule); r != nil {
				effect = r.Effect
				for _, c := range conditionsOf(r) {
					known[s.rule+" "+c.ID] = true
				}
			}
		}
		if effect == "" {
			t.Errorf("%s is about %q, which no pack has", s.c.ID, s.rule)
		}
		for _, c := range append(s.conditions, "") {
			key := s.rule + " " + c
			if c != "" && !known[key] {
				t.Errorf("%s is about a condition that the rule does not have: %s", s.c.ID, c)
			}
			if s.opens(effect) {
				permits[key]++
			} else {
				denies[key]++
			}
		}
	}
	rules, conditions := 0, 0
	for _, p := range all {
		for _, r := range p.Rules {
			if len(conditionsOf(&r)) == 0 && r.Effect != "basis" {
				continue // it always holds
			}
			rules++
			name := p.ID + "/" + r.ID
			for _, c := range conditionsOf(&r) {
				conditions++
				if key := name + " " + c.ID; idle[key] == "" && (permits[key] == 0 || denies[key] == 0) {
					t.Errorf("%s: %d cases that permit, %d that deny", key, permits[key], denies[key])
				}
			}
			if permits[name+" "]+denies[name+" "] == 0 {
				t.Errorf("%s: no case", name)
			}
		}
	}
	t.Logf("%d rules with %d conditions", rules, conditions)
}

// withoutCondition reads a pack again and takes one condition out of a rule.
func withoutCondition(t *testing.T, id, rule, condition string) *packs.Pack {
	t.Helper()
	raw, err := packs.SourceOf(id)
	if err != nil {
		t.Fatal(err)
	}
	p, err := packs.Read(id+".yaml", raw)
	if err != nil {
		t.Fatal(err)
	}
	is := func(c packs.Condition) bool { return c.ID == condition }
	r := ruleOf(p, rule)
	r.When, r.Require = slices.DeleteFunc(r.When, is), slices.DeleteFunc(r.Require, is)
	for i := range r.Alternatives {
		r.Alternatives[i].Require = slices.DeleteFunc(r.Alternatives[i].Require, is)
	}
	return p
}

// TestEachConditionDecides takes every condition out of its pack: then a case
// that is denied for its sake must no longer be. Where the condition says when a
// restriction applies, a case that is spared for its sake must no longer be. A
// condition for which none changes is not tested, however many cases name it.
func TestEachConditionDecides(t *testing.T) {
	cases := shownCases(t)
	runner := casefile.NewRunner()
	for _, p := range builtin(t) {
		for _, r := range p.Rules {
			name := p.ID + "/" + r.ID
			for _, c := range conditionsOf(&r) {
				if idle[name+" "+c.ID] != "" {
					continue
				}
				changed := withoutCondition(t, p.ID, name, c.ID)
				runner.Packs = func(id string) (*packs.Pack, error) {
					if id == p.ID {
						return changed, nil
					}
					return packs.Builtin(id)
				}
				opening := slices.Contains([]string{"deny", "require", "gate", "limit"}, r.Effect) &&
					slices.ContainsFunc(r.When, func(w packs.Condition) bool { return w.ID == c.ID })
				red := 0
				for _, s := range cases {
					if s.rule != name || !slices.Contains(s.conditions, c.ID) || s.opens(r.Effect) != opening {
						continue
					}
					o := runner.Run(s.c)
					if o.Problem != "" {
						t.Fatalf("%s without %s: %s", name, c.ID, o.Problem)
					}
					if len(o.Check(s.c)) > 0 {
						red++
					}
				}
				if red == 0 {
					t.Errorf("%s: without %s all its cases come out the same", name, c.ID)
				}
			}
		}
	}
}

// TestUnverifiedRulesAreOff runs the cases of each unverified rule without
// turning it on: none may rely on it.
func TestUnverifiedRulesAreOff(t *testing.T) {
	runner := casefile.NewRunner()
	for _, p := range builtin(t) {
		for _, r := range p.Rules {
			if !r.Unverified {
				continue
			}
			name, tried := p.ID+"/"+r.ID, 0
			for _, s := range shownCases(t) {
				if s.rule != name || !slices.Contains(s.c.Facts.Enable, name) {
					continue
				}
				off := *s.c
				off.Facts.Enable = slices.DeleteFunc(slices.Clone(off.Facts.Enable), func(e string) bool { return e == name })
				o := runner.Run(&off)
				for _, j := range o.Resources {
					if r.Effect == "basis" && j.Decision != "deny" {
						t.Errorf("%s: %s opens %s while it is off", s.c.ID, name, j.Reference)
					}
					for _, reason := range j.Reasons {
						if reason.Rule == r.ID {
							t.Errorf("%s: %s is among the reasons while it is off", s.c.ID, name)
						}
					}
				}
				tried++
			}
			if tried == 0 {
				t.Errorf("%s: no case turns it on", name)
			}
		}
	}
}
