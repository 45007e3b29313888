package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/smart"
)

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
