package consentform

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// conditions are the elements of a rule that are lists of alternatives.
var conditions = [...]string{"recipient", "custodian", "action", "securityLabel", "purpose", "class", "code", "data"}

// within looks at how a nested rule stands to the rule around it. One of the
// other type is an exception and applies only where that one matches; one of the
// same type adds to it.
func (l *linter) within(p resource.Node, at string, parent resource.Node) {
	t, around := p.Get("type").Text(), parent.Get("type").Text()
	if t == "" || around == "" {
		return
	}
	if t == around {
		if t == "permit" && covers(parent, p) {
			l.add(outcome.Warning, "adds-nothing", p, at, "", "a permit within a permit adds to it and does not narrow it: this one opens nothing more")
		}
		return
	}
	for _, name := range [...]string{"purpose", "class", "recipient", "custodian", "action"} {
		if disjoint(parent, p, name) {
			element := name
			if name == "recipient" || name == "custodian" {
				element = "actor"
			}
			l.add(outcome.Failure, "outside-parent", p.Get(element), at+"."+element, "", "the %s can never apply: its %s is outside that of the rule around it, of which it is an exception", t, name)
		}
	}
	if over(parent.Get("period"), p.Get("period"), l.o) {
		l.add(outcome.Failure, "outside-parent", p.Get("period"), at+".period", "", "the %s can never apply: its period is outside that of the rule around it", t)
	}
}

// siblings looks for a permit that a deny beside it covers: it can never open.
func (l *linter) siblings(p resource.Node, at string) {
	var rules []resource.Node
	for c := range p.All("provision") {
		rules = append(rules, c)
	}
	if len(rules) > 100 {
		return
	}
	for i, a := range rules {
		for k, b := range rules {
			if i != k && a.Get("type").Is("permit") && b.Get("type").Is("deny") && covers(b, a) {
				l.add(outcome.Failure, "conflict", a, indexed(at+".provision", i), "", "the permit can never apply: the deny at provision[%d] beside it covers it, and a deny wins", k)
			}
		}
	}
}

// covers says whether every condition of the outer rule surely holds wherever
// those of the inner one do.
func covers(outer, inner resource.Node) bool {
	if outer.Get("actor").Exists() && len(keys(outer, "recipient"))+len(keys(outer, "custodian")) == 0 {
		return false // it reaches nobody
	}
	for _, name := range conditions {
		o, i := keys(outer, name), keys(inner, name)
		if len(o) == 0 {
			continue
		}
		if len(i) == 0 || slices.ContainsFunc(i, func(k string) bool {
			return !slices.ContainsFunc(o, func(q string) bool { return subsumes(name, q, k) })
		}) {
			return false
		}
	}
	for _, name := range [...]string{"period", "dataPeriod"} {
		if o := outer.Get(name); o.Exists() && string(o.Raw()) != string(inner.Get(name).Raw()) {
			return false
		}
	}
	return true
}

// disjoint says whether no value fulfils the condition of both rules.
func disjoint(a, b resource.Node, name string) bool {
	x, y := keys(a, name), keys(b, name)
	if len(x) == 0 || len(y) == 0 {
		return false
	}
	for _, p := range x {
		for _, q := range y {
			if p == "" || q == "" || subsumes(name, p, q) || subsumes(name, q, p) {
				return false
			}
		}
	}
	return true
}

// keys are the alternatives of a condition in a form that can be compared. Of
// actors only recipients count, and one named by identifier, display or anything
// but an organisation could be anybody: "".
func keys(p resource.Node, name string) []string {
	var out []string
	switch name {
	case "recipient":
		for _, a := range actors(p) {
			_, typ, _, _ := resource.SplitReference(a.reference)
			switch {
			case !a.recipient:
			case len(a.roles) > 0 || typ != "Organization":
				return []string{""}
			default:
				out = append(out, a.reference)
			}
		}
	case "custodian":
		for _, a := range actors(p) {
			if a.custodian {
				out = append(out, a.reference)
			}
		}
	case "action", "code":
		for concept := range p.All(name) {
			for c := range concept.All("coding") {
				out = append(out, key(c))
			}
		}
	case "data":
		for d := range p.All(name) {
			out = append(out, d.Get("meaning").Text()+" "+d.Path("reference", "reference").Text())
		}
	default:
		for c := range p.All(name) {
			out = append(out, key(c))
		}
	}
	return out
}

func key(c resource.Node) string {
	return terminology.Canonical(c.Get("system").Text()) + "|" + c.Get("code").Text()
}

func subsumes(name, a, b string) bool {
	if a == b {
		return a != ""
	}
	reason := terminology.ActReason.URI() + "|"
	if name != "purpose" || len(a) <= len(reason) || len(b) <= len(reason) || a[:len(reason)] != reason || b[:len(reason)] != reason {
		return false
	}
	return terminology.Subsumes(terminology.ActReason.URI(), a[len(reason):], b[len(reason):])
}

// over says whether two periods have no instant in common.
func over(a, b resource.Node, o Options) bool {
	before := func(x, y resource.Node) bool {
		end, ok := instant(x.Get("end").Text(), o.At.Location(), true)
		start, ok2 := instant(y.Get("start").Text(), o.At.Location(), false)
		return ok && ok2 && end.Before(start)
	}
	return before(a, b) || before(b, a)
}
