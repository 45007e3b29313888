package consent

import (
	"strings"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A dimension is a side of a resource that an index looks at.
type dimension uint8

// The dimensions, from the one that tells rules apart best to the one that
// does so least.
const (
	byCode dimension = iota
	byData
	byPatient
	byCustodian
	byClass
	byLabel
	dimensions
)

// A keyKind tells apart names of one dimension that could be spelled alike.
type keyKind uint8

const (
	plainKey   keyKind = iota
	profileKey         // byClass: meta.profile
	loincKey           // byClass: the type of a document; "" for one that is not coded
	identKey           // byData: a business identifier's value
	authorKey          // byData: "" for a resource whose author is not known
	levelKey           // byLabel: a confidentiality level
	keyKinds
)

// A key is one value of a dimension.
type key struct {
	kind keyKind
	name string
}

// names numbers the keys of one dimension from 1. Each kind has a map of its
// own, since a text alone is hashed in a fraction of the time of a struct.
type names struct {
	of    [keyKinds]map[string]uint32
	count int
}

// number returns the number of a key, a new one if it has none.
func (n *names) number(k key) uint32 {
	id, ok := n.of[k.kind][k.name]
	if ok {
		return id
	}
	if n.of[k.kind] == nil {
		n.of[k.kind] = map[string]uint32{}
	}
	n.count++
	n.of[k.kind][k.name] = uint32(n.count)
	return uint32(n.count)
}

// keyed is what a rule needs of a resource: for each dimension that is listed,
// one of its keys. It is necessary and not sufficient: whoever has it is judged.
type keyed struct {
	listed [dimensions]bool
	keys   [dimensions][]key
	labels []labelRule // byLabel: single entries, matched instead of looked up
	refs   bool        // byData: what the resource refers to counts
	period *span       // nil: any
}

// require lists a dimension unless it is listed already (a rule's own condition
// comes before those of the rules around it). ok false: any resource may have it.
func (k *keyed) require(dim dimension, keys []key, ok bool) {
	if ok && !k.listed[dim] {
		k.listed[dim], k.keys[dim] = true, keys
	}
}

// limit adds what must hold for rule p to be matched: certainly, if sure is set,
// else perhaps. It says false if p cannot be matched so by any resource.
func (k *keyed) limit(s *Set, b *bound, p *provision, sure bool) bool {
	if !k.custodian(&p.actors, sure) {
		return false
	}
	if p.classes != nil {
		keys, ok := classKeys(p.classes, sure)
		k.require(byClass, keys, ok)
	}
	if p.codes != nil && (sure || !p.codes.broken) {
		keys := make([]key, len(p.codes.any))
		for i, c := range p.codes.any {
			keys[i] = key{name: c.code}
		}
		k.require(byCode, keys, true)
	}
	if p.hasData {
		keys, refs, ok := s.dataKeys(b, p, sure)
		k.require(byData, keys, ok)
		k.refs = k.refs || refs
	}
	if p.labels.stated && (sure || !p.labels.broken) && !k.listed[byLabel] {
		k.listed[byLabel] = true
		k.keys[byLabel], k.labels = labelKeys(&p.labels, p.stance)
	}
	if p.dataPeriod != nil {
		if p.dataPeriod.broken && sure {
			return false
		}
		if k.period == nil && !p.dataPeriod.broken {
			k.period = p.dataPeriod
		}
	}
	return true
}

func (k *keyed) custodian(ps *parties, sure bool) bool {
	if len(ps.custodians) == 0 {
		return true
	}
	var keys []key
	open := ps.broken
	for i := range ps.custodians {
		switch p := &ps.custodians[i]; {
		case p.ref.empty() || p.opaque || p.foreign:
			open = true
		default:
			keys = append(keys, key{name: p.ref.short()})
		}
	}
	if sure {
		open = false
		if len(keys) == 0 {
			return false
		}
	}
	k.require(byCustodian, keys, !open)
	return true
}

// short is what two references that may denote one thing have in common.
func (r reference) short() string {
	if r.local != "" {
		return r.local
	}
	return r.raw
}

// classKeys: ok is false if a class may hold for any resource.
func classKeys(r *codingRule, sure bool) (keys []key, ok bool) {
	for _, c := range r.any {
		switch {
		case c.uri == resourceTypes:
			keys = append(keys, key{name: c.code})
		case c.uri == "urn:ietf:rfc:3986":
			keys = append(keys, key{profileKey, c.code})
		case c.system == terminology.LOINC:
			keys = append(keys, key{loincKey, c.code}, key{kind: loincKey})
		case !c.hasSystem(): // no more than a guess
			keys = append(keys, key{name: c.code})
		default:
			if !sure {
				return nil, false
			}
		}
	}
	return keys, sure || !r.broken
}

// dataKeys: ok is false if an entry may be about any resource; refs says that
// an entry is about what refers to its instance.
func (s *Set) dataKeys(b *bound, p *provision, sure bool) (keys []key, refs, ok bool) {
	for i := range p.data {
		d := &p.data[i]
		if d.ref.empty() {
			switch {
			case d.meaning == "instance" && d.id.System != "" && d.id.Value != "":
				keys = append(keys, key{identKey, d.id.Value})
			case !sure:
				return nil, false, false
			}
			continue
		}
		if d.meaning == "related" || !sure && (d.meaning == "" || b.c.foreign && b.c.entitled) {
			return nil, false, false
		}
		refs = refs || d.meaning != "instance"
		if d.meaning == "authoredby" {
			keys = append(keys, key{kind: authorKey})
		}
		keys = append(keys, key{name: d.ref.short()})
		if strings.HasPrefix(d.ref.local, "Patient/") && about(d.ref, s.person) {
			for _, alias := range s.person {
				keys = append(keys, key{name: alias.short()})
			}
		}
	}
	return keys, refs, sure || len(p.data) > 0
}

// labelKeys lists the levels that a rule is matched at, and its other entries.
func labelKeys(r *labelRule, s stance) (keys []key, entries []labelRule) {
	if r.levels {
		for l := label.U; l <= label.V; l++ {
			if s == permits && l <= r.high || s != permits && l >= r.low {
				keys = append(keys, key{levelKey, l.String()})
			}
		}
	}
	for _, x := range r.sensitivity {
		entries = append(entries, labelRule{stated: true, sensitivity: []string{x}})
	}
	for _, x := range r.law {
		entries = append(entries, labelRule{stated: true, law: []string{x}})
	}
	for _, x := range r.other {
		entries = append(entries, labelRule{stated: true, other: []label.Code{x}})
	}
	return keys, entries
}

// name tells entries apart.
func (r *labelRule) name() string {
	switch {
	case len(r.sensitivity) > 0:
		return "s " + r.sensitivity[0]
	case len(r.law) > 0:
		return "l " + r.law[0]
	case len(r.other) > 0:
		return "o " + r.other[0].String()
	}
	return ""
}
