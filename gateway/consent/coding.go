package consent

import (
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A coding is a code of a system in canonical form. A coding without a system
// is not known to mean what a rule means, nor known not to.
type coding struct {
	system terminology.System
	uri    string // if the system is not one of terminology
	code   string
}

func newCoding(system, code string) coding {
	c := coding{system: terminology.SystemOf(system), code: code}
	if c.system == terminology.Unknown {
		c.uri = system
	}
	return c
}

func codingOf(c label.Code) coding { return newCoding(c.System, c.Code) }

func readCoding(n resource.Node) coding {
	return newCoding(n.Get("system").Text(), n.Get("code").Text())
}

func (c coding) hasSystem() bool { return c.system != terminology.Unknown || c.uri != "" }

// same compares two codings.
func (c coding) same(o coding) truth {
	switch {
	case c.code == "" || c.code != o.code:
		return no
	case !c.hasSystem() || !o.hasSystem():
		return unknown
	}
	return truthOf(c.system == o.system && c.uri == o.uri)
}

// sameNode compares with a Coding that stands in a resource, without allocating.
func (c coding) sameNode(system, code resource.Node) truth {
	if c.code == "" || !code.Is(c.code) {
		return no
	}
	raw := system.Raw()
	if system.Kind() != resource.String || len(raw) <= 2 || !c.hasSystem() {
		return unknown
	}
	if c.system != terminology.Unknown {
		return truthOf(terminology.SystemOf(raw[1:len(raw)-1]) == c.system)
	}
	return truthOf(system.Is(c.uri))
}

// codings lists what stands as a code in the resource, meta excepted. They are
// collected when the first rule about codes asks, and once.
func (d *Datum) codings() []resource.Node {
	if d.coded {
		return d.codes
	}
	d.coded = true
	root := d.Resource.Root()
	for code := range root.Named("code", root.Get("meta")) {
		if code.Kind() == resource.String {
			d.codes = append(d.codes, code)
		}
	}
	return d.codes
}

// isCoding says whether a code is that of a Coding: not of a Quantity, nor of a
// label of a contained resource.
func isCoding(code resource.Node) bool {
	n := code.Parent()
	return !n.Get("value").Exists() && !n.Parent().Parent().Called("meta")
}

// has says whether any Coding of the resource is one of these.
func (d *Datum) has(wanted []coding) truth {
	out := no
	for _, code := range d.codings() {
		for _, w := range wanted {
			if !code.Is(w.code) || !isCoding(code) {
				continue
			}
			if out = max(out, w.sameNode(code.Parent().Get("system"), code)); out == yes {
				return yes
			}
		}
	}
	return out
}

// purposeCovers says whether a purpose of a rule covers a declared one: itself
// and, within v3-ActReason, what stands below it.
func purposeCovers(rule, declared coding) truth {
	if t := rule.same(declared); t != no {
		return t
	}
	return truthOf(rule.system == terminology.ActReason && declared.system == terminology.ActReason &&
		terminology.Subsumes(terminology.ActReason.URI(), rule.code, declared.code))
}
