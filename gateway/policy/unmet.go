package policy

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
)

// An Unmet is a rule by which a valid legal basis reaches nothing of some data.
type Unmet struct {
	Rule, Pack, Citation, Says string
	Attributes                 []string // that would have to be stated, or otherwise; none: nothing that could be stated helps
}

// Unmet lists the restrictions that surely take the bases of the request away
// for data of this origin. labels are those of the data, nil if not known: then
// what depends on them is not listed. It decides nothing: Decide does.
func (s *Session) Unmet(o resource.Origin, labels *label.Labels) []Unmet {
	m := matter{subject: &Subject{Origin: o}, originOnly: true, police: o.Police}
	m.datum.Labels = labels
	var out []Unmet
	for _, d := range s.bases {
		g := &d.ground
		for _, r := range g.restricts {
			if r.effect == "limit" || s.applies(r) != yes || !s.all(r.static, false, g, nil) || !s.all(r.dynamic, false, g, &m) ||
				r.effect == "require" && s.met(r, g, &m) {
				continue
			}
			out = append(out, s.unmet(r, d))
		}
		for _, r := range s.law.gates {
			if s.applies(r) != yes || g.rule.passes&r.bit != 0 || !s.all(r.static, false, g, &m) || !s.all(r.dynamic, false, g, &m) ||
				len(r.require)+len(r.alternatives) > 0 && s.met(r, g, &m) {
				continue
			}
			out = append(out, s.unmet(r, d))
		}
	}
	return out
}

// unmet names the attributes that a requirement wants and that do not hold, as
// long as attributes are all that it wants of the first way to meet it.
func (s *Session) unmet(r *rule, d *declared) Unmet {
	out := Unmet{Rule: r.id, Pack: r.pack, Citation: r.citation, Says: r.says}
	if r.effect != "require" {
		return out
	}
	list := r.require
	if len(r.alternatives) > 0 {
		list = slices.Concat(list, r.alternatives[0])
	}
	for i := range list {
		c := &list[i]
		if c.fact == ofAttribute && !s.holds(c.attribute, d.from) && !slices.Contains(out.Attributes, c.attribute.Attribute) {
			out.Attributes = append(out.Attributes, c.attribute.Attribute)
		}
	}
	return out
}

// withRequired adds the attributes that restrictions of any law in force ask of
// a basis of this type, beside those of the basis itself. Where jurisdictions
// name other values of one attribute, all of them can be stated: which of them
// suffices is for the law of the custodian's.
func (e *Engine) withRequired(out *BasisForm, b *Basis) {
	for _, r := range e.law.restricts {
		if r.effect != "require" || !slices.ContainsFunc(r.static, func(c condition) bool {
			return c.fact == ofBasis && !c.not && overlap(b.within, c.texts)
		}) {
			continue
		}
		for _, c := range slices.Concat(append([][]condition{r.require}, r.alternatives...)...) {
			if c.fact == ofAttribute {
				out.add(c.attribute)
			}
		}
	}
}

// add gives the form an attribute, or more values of one that it has.
func (f *BasisForm) add(c Condition) {
	kind, ok := kinds[c.Test]
	if !ok {
		return
	}
	i := slices.IndexFunc(f.Attributes, func(a BasisAttribute) bool { return a.Name == c.Attribute })
	if i < 0 {
		f.Attributes = append(f.Attributes, BasisAttribute{Name: c.Attribute, Kind: kind, Values: slices.Clone(c.Values)})
		return
	}
	a := &f.Attributes[i]
	for _, v := range c.Values {
		if a.Kind == kind && (kind == Choice || kind == Choices) && !slices.Contains(a.Values, v) {
			a.Values = append(slices.Clip(a.Values), v)
		}
	}
}
