package consent

import (
	"bytes"
	"math"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
)

// aspects are the keys of one resource in the numbering of one index.
type aspects struct {
	of   *index // nil: not looked at yet
	ids  [dimensions][]uint32
	text []byte // for a name that is put together
}

// aspect numbers what the index has to know of the resource. All but the labels
// is found out once: elements of a resource are judged under labels of their own.
func (d *Datum) aspect(x *index) *aspects {
	a := &d.aspects
	if a.of != x {
		a.of = x
		for i := range a.ids {
			a.ids[i] = a.ids[i][:0]
		}
		if x.patients && !d.patient.empty() {
			a.add(byPatient, key{name: d.patient.short()})
		}
		if !d.custodian.empty() {
			a.add(byCustodian, key{name: d.custodian.short()})
		}
		a.classes(d)
		a.codes(d)
		a.data(d)
	}
	a.labels(d.Labels)
	return a
}

func (a *aspects) add(dim dimension, k key) {
	if id, ok := a.of.ids[dim].of[k.kind][k.name]; ok {
		a.put(dim, id)
	}
}

func (a *aspects) put(dim dimension, id uint32) {
	for _, had := range a.ids[dim] {
		if had == id {
			return
		}
	}
	a.ids[dim] = append(a.ids[dim], id)
}

// addNode adds the text of a string node; it allocates only if that is escaped.
func (a *aspects) addNode(dim dimension, kind keyKind, n resource.Node) {
	if n.Kind() != resource.String {
		return
	}
	if text, ok := n.Bytes(); ok {
		a.addText(dim, kind, text)
		return
	}
	a.add(dim, key{kind, n.Text()})
}

func (a *aspects) addText(dim dimension, kind keyKind, text []byte) {
	if id, ok := a.of.ids[dim].of[kind][string(text)]; ok {
		a.put(dim, id)
	}
}

func (a *aspects) classes(d *Datum) {
	if a.of.ids[byClass].count == 0 {
		return
	}
	typ, root := d.Resource.Type(), d.Resource.Root()
	a.add(byClass, key{name: typ})
	if a.of.profiles {
		for p := range root.Path("meta", "profile").Elements() {
			canonical, ok := p.Bytes()
			if !ok {
				canonical = []byte(p.Text())
			}
			a.addText(byClass, profileKey, canonical)
			if at := bytes.IndexByte(canonical, '|'); at >= 0 {
				a.addText(byClass, profileKey, canonical[:at])
			}
		}
	}
	if !a.of.documents || typ != "DocumentReference" && typ != "Composition" {
		return
	}
	coded := root.Path("type", "coding")
	if coded.Len() == 0 {
		a.add(byClass, key{kind: loincKey})
	}
	for c := range coded.Elements() {
		a.addNode(byClass, loincKey, c.Get("code"))
	}
}

func (a *aspects) codes(d *Datum) {
	if !a.of.codes {
		return
	}
	for _, code := range d.codings() {
		a.addNode(byCode, plainKey, code)
	}
}

func (a *aspects) data(d *Datum) {
	if a.of.ids[byData].count == 0 {
		return
	}
	root := d.Resource.Root()
	a.text = append(append(a.text[:0], d.Resource.Type()...), '/')
	if id, ok := root.Get("id").Bytes(); ok {
		a.text = append(a.text, id...)
	} else {
		a.text = append(a.text, d.Resource.ID()...)
	}
	a.addText(byData, plainKey, a.text)
	if a.of.idents {
		for n := range root.All("identifier") {
			a.addNode(byData, identKey, n.Get("value"))
		}
	}
	if !a.of.refs {
		return
	}
	if a.of.authors && authorUnknown(d.Resource) {
		a.add(byData, key{kind: authorKey})
	}
	for ref := range root.Named("reference", resource.Node{}) {
		text, ok := ref.Bytes()
		if !ok {
			text = []byte(ref.Text())
		}
		a.addText(byData, plainKey, text)
		if short := lastTwo(text); len(short) < len(text) {
			a.addText(byData, plainKey, short)
		}
	}
}

// lastTwo returns the last two segments of a reference, its version apart: what
// [reference.short] is if the reference has the form of a literal one.
func lastTwo(ref []byte) []byte {
	if i := bytes.Index(ref, []byte("/_history/")); i >= 0 {
		ref = ref[:i]
	}
	if i := bytes.LastIndexByte(ref, '/'); i >= 0 {
		return ref[bytes.LastIndexByte(ref[:i], '/')+1:]
	}
	return ref
}

func (a *aspects) labels(l *label.Labels) {
	a.ids[byLabel] = a.ids[byLabel][:0]
	if a.of.ids[byLabel].count == 0 {
		return
	}
	a.add(byLabel, key{levelKey, l.Level.String()})
	if len(l.Sensitivity)+len(l.Law)+len(l.CJI)+len(l.Other) == 0 {
		return
	}
	for i := range a.of.entries {
		e := &a.of.entries[i]
		if e.rule.denies(l) == yes {
			a.put(byLabel, e.id)
		}
	}
}

// A search goes through the Consents that an index finds for one resource.
type search struct {
	set   *Set
	d     *Datum
	a     *aspects
	need  Need
	want  Effect
	named bool // of denies: those by name
	// The first Consent that states what is wanted.
	first int32
	found Statement
}

// find returns the first Consent whose statement is of the effect wanted.
func (q *search) find(tuples []tuple) bool {
	q.first = math.MaxInt32
	for i := range tuples {
		if t := &tuples[i]; t.least < q.first && q.asks(t) {
			q.visit(t, 0, address{})
		}
	}
	return q.first < math.MaxInt32
}

// asks says whether any rule of the tuple may count.
func (q *search) asks(t *tuple) bool {
	for d := range dimensions {
		if t.listed&(1<<d) != 0 && len(q.a.ids[d]) == 0 {
			return false
		}
	}
	if q.want == Deny {
		return !q.named || t.traits&byName != 0
	}
	return !(t.traits&verbal != 0 && !q.d.PoliceToHealth ||
		q.need&Part2 != 0 && t.traits&forPart2 == 0 ||
		q.need&PsychotherapyNote != 0 && t.traits&forPsyNotes == 0)
}

// visit goes through every leaf that the resource's keys lead to.
func (q *search) visit(t *tuple, d dimension, at address) {
	for ; d < dimensions; d++ {
		if t.listed&(1<<d) == 0 {
			continue
		}
		for _, id := range q.a.ids[d] {
			at[d] = id
			q.visit(t, d+1, at)
		}
		return
	}
	l := t.leaf
	switch {
	case t.one != nil:
		l = t.one[at[t.first]]
	case t.more != nil:
		l = t.more[at]
	}
	switch {
	case l == nil:
	case t.traits&dated != 0:
		q.dated(l)
	default:
		for i := range l.postings {
			if !q.judge(&l.postings[i]) {
				return
			}
		}
	}
}

// dated goes through the rules whose dates may touch the resource's. A permit
// needs a date that is known.
func (q *search) dated(l *leaf) {
	if q.want == Permit && !q.d.date(q.set).known {
		return
	}
	from, to := q.d.date(q.set).seconds()
	for i := range l.blocks {
		b := &l.blocks[i]
		if b.from > to {
			return
		}
		if b.to < from || b.consent >= q.first {
			continue
		}
		for k := i * blockSize; k < min(len(l.postings), (i+1)*blockSize); k++ {
			if p := &l.postings[k]; p.from <= to && p.to >= from {
				q.judge(p)
			}
		}
	}
}

// judge judges a Consent unless one before it has been found. It says whether
// one after it could still count.
func (q *search) judge(p *posting) bool {
	if p.consent >= q.first {
		return false
	}
	st := q.set.Judge(int(p.consent), q.d, q.need)
	if st.Effect == q.want && (!q.named || q.set.namesIn(int(p.consent), q.d)) {
		q.first, q.found = p.consent, st
	}
	return true
}

// seconds bounds the dating in Unix seconds; what is not known may be any time.
func (d *dating) seconds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if d.known && !d.openStart {
		from = d.start.Unix()
	}
	if d.known && !d.openEnd {
		to = d.end.Unix()
	}
	return min(from, to), max(from, to)
}

// left returns the first Consent that leaves a residual deny, given that
// none permits or denies.
func (x *index) left(s *Set, d *Datum) Statement {
	first := math.MaxInt
	look := func(list []int) {
		for _, i := range list {
			if i >= first {
				return
			}
			if s.leaves(i, d) {
				first = i
				return
			}
		}
	}
	look(x.residual)
	look(x.residuals[d.custodian.short()])
	if first == math.MaxInt {
		return Statement{}
	}
	return Statement{Residual, s.bound[first].c, 0}
}
