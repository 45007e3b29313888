package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/smart"
)

// Pack is a rule pack that is in force: written as its name alone, or with what
// is turned on in it.
type Pack struct {
	ID     string   `yaml:"id"`     // of one that is built in, or the path of a file: ./our-rules.yaml
	Enable []string `yaml:"enable"` // rules that are off because they are unverified, by id
}

// UnmarshalYAML reads a name, or a mapping.
func (p *Pack) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&p.ID) == nil {
		return nil
	}
	type plain Pack
	return unmarshal((*plain)(p))
}

// Agreement is a sharing agreement between two organisations.
type Agreement struct {
	ID       string   `yaml:"id"`
	From     string   `yaml:"from"`     // whose data
	To       string   `yaml:"to"`       // who may get them
	Purposes []string `yaml:"purposes"` // empty: any
	Roles    []string `yaml:"roles"`    // who asks for To holds one of these; empty: any
	Types    []string `yaml:"types"`    // resource types; empty: any
	// Elements limits types to elements; then nothing goes of the other types.
	Elements map[string][]string `yaml:"elements"`
	Starts   string              `yaml:"starts"` // date, inclusive
	Ends     string              `yaml:"ends"`   // date, inclusive; required: agreements expire
	// Accepts lists which declarations of legal bases, by To for data of From,
	// are accepted in advance.
	Accepts []Accept `yaml:"accepts"`
}

// A LawError says why there is no law.
type LawError struct {
	Pack  int      // its place in packs, -1 if it is none of them
	Lines []string // each with file, line and column, where it has them
}

// checkPacks wants packs that are named once, and has them read where the rest
// is right.
func (k *checker) checkPacks() {
	seen := map[string]bool{}
	for i, p := range k.Packs {
		at := fmt.Sprintf("$.packs[%d]", i)
		switch {
		case p.ID == "":
			k.fault(at+".id", "is missing: the name of a pack that is built in, or the path of a file")
		case seen[p.ID]:
			k.value(at+".id", p.ID, "stands twice")
		}
		seen[p.ID] = true
	}
	if k.with.Law == nil || len(k.faults) > 0 {
		return
	}
	if e := k.with.Law(k.Config); e != nil {
		at := "$.packs"
		if e.Pack >= 0 {
			at = fmt.Sprintf("$.packs[%d]", e.Pack)
		}
		for _, line := range e.Lines {
			k.fault(at, line)
		}
	}
}

// terms checks what an agreement is about.
func (k *checker) terms(at string, a Agreement) {
	for n, t := range a.Types {
		if !smart.ResourceType(t) {
			k.value(fmt.Sprintf("%s.types[%d]", at, n), t, "is no resource type of R4")
		}
	}
	for t, names := range a.Elements {
		switch {
		case !smart.ResourceType(t):
			k.value(at+".elements", t, "is no resource type of R4")
		case len(a.Types) > 0 && !slices.Contains(a.Types, t):
			k.value(at+".elements", t, "is not among its types")
		case len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return strings.TrimSpace(n) == "" }):
			k.fault(at+".elements."+t, "names no element")
		}
	}
}
