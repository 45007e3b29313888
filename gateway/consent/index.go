package consent

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// An index finds the Consents of a Set that may deny a resource, those that may
// permit it and those that leave a residual deny, so that its cost grows with
// what speaks of the resource and not with how many Consents there are.
//
// It only narrows down: a Consent that it finds is judged as any other, and one
// that it does not find can state nothing else. Rules are grouped by which
// dimensions they limit (a tuple); within a group they are found by the keys
// that the resource has in these dimensions, and then by date.
type index struct {
	ids       [dimensions]names
	entries   []labelEntry // of byLabel, matched one by one
	denies    []tuple
	permits   []tuple
	residual  []int            // Consents that leave a residual deny whatever the custodian
	residuals map[string][]int // the others, by a custodian of their root
	patients  bool             // byPatient tells Consents apart
	// What of a resource has to be looked at.
	profiles, documents, idents, refs, authors, codes bool
}

// A labelEntry is one entry of a securityLabel that some rule has.
type labelEntry struct {
	rule labelRule
	id   uint32
}

// A tuple holds the rules that limit the same dimensions.
type tuple struct {
	listed uint8 // a bit for each dimension
	traits traits
	least  int32            // the first Consent that has such a rule
	leaf   *leaf            // if none is listed
	first  dimension        // the lowest listed
	one    map[uint32]*leaf // if one is listed
	more   map[address]*leaf
}

// traits are what a permit is worth and what a deny is asked for besides.
type traits uint8

const (
	dated       traits = 1 << iota // the rule limits the data's date
	verbal                         // permits: on a verbal Consent
	forPart2                       // permits: valid in the form of this need
	forPsyNotes                    // permits: valid in the form of this need
	byName                         // denies: the Consent has a deny that names the requester
)

// An address is the keys that lead to a leaf, by dimension; 0 where it is not listed.
type address [dimensions]uint32

// A posting says that a rule of this Consent may be matched.
type posting struct {
	consent  int32
	from, to int64 // Unix seconds, widened by what an offset may shift
}

// A leaf is a list of postings. Undated ones are sorted by Consent, dated ones
// by from, in blocks.
type leaf struct {
	postings []posting
	blocks   []block
}

// A block bounds blockSize postings.
type block struct {
	from, to int64 // the earliest from, the latest to
	consent  int32 // the first Consent
}

const (
	blockSize = 32
	// maxPostings bounds what one rule may take in an index.
	maxPostings = 256
	// maxKeys bounds the keys of a rule's best dimension.
	maxKeys = 4096
	// walked is how many Consents are rather judged one after another.
	walked = 4
)

// build makes the index of s.
func (s *Set) build() *index {
	x := &index{residuals: map[string][]int{}}
	for i := range s.bound {
		x.patients = x.patients || s.bound[i].c.patient != s.bound[0].c.patient
	}
	b := builder{index: x, set: s, denies: map[tupleKey]*tuple{}, permits: map[tupleKey]*tuple{}}
	for i := range s.bound {
		b.add(i)
	}
	x.denies, x.permits = finish(b.denies), finish(b.permits)
	return x
}

type tupleKey struct {
	listed uint8
	traits traits
}

type builder struct {
	*index
	set             *Set
	denies, permits map[tupleKey]*tuple
}

func (x *builder) add(i int) {
	b := &x.set.bound[i]
	root := &b.c.rules[0]
	if root.stance == permits && b.grants && b.context[0] == yes {
		x.addResidual(i, root)
	}
	named := false
	for k := range b.forms {
		named = named || b.forms[k].named
	}
	for r := range b.c.rules {
		p := &b.c.rules[r]
		sure := p.stance == permits
		if sure && (!b.grants || root.stance == unstated) || p.stance == unstated {
			continue
		}
		var k keyed
		if !x.reach(b, r, sure, &k) {
			continue
		}
		if !sure {
			t := traits(0)
			if named {
				t = byName
			}
			x.post(x.denies, i, &k, t)
			continue
		}
		x.post(x.permits, i, &k, traitsOf(b, r))
	}
}

func traitsOf(b *bound, rule int) traits {
	t := traits(0)
	if b.c.ceiling.Verbal {
		t |= verbal
	}
	if b.forms[rule].part2 {
		t |= forPart2
	}
	if b.forms[rule].psyNote {
		t |= forPsyNotes
	}
	return t
}

func (x *builder) addResidual(i int, root *provision) {
	cs := root.actors.custodians
	if len(cs) == 0 {
		x.residual = append(x.residual, i)
		return
	}
	for k := range cs {
		if name := cs[k].ref.short(); name != "" && !slices.Contains(x.residuals[name], i) {
			x.residuals[name] = append(x.residuals[name], i)
		}
	}
}

// reach collects what must hold for rule r and the rules that it is an exception
// from. It says false if r cannot be matched in this context.
func (x *builder) reach(b *bound, r int, sure bool, k *keyed) bool {
	least := unknown
	if sure {
		least = yes
	}
	for at, own := r, true; at >= 0; {
		p := &b.c.rules[at]
		// Where a rule has additions, exceptions from a permit reach those, too:
		// then its own conditions are not needed.
		if own || p.stance != permits || !x.hasAdditions(b, p) {
			if b.context[at] < least || !k.limit(x.set, b, p, sure) {
				return false
			}
		}
		for own = false; p.parent >= 0 && b.c.rules[p.parent].stance == p.stance; {
			p = &b.c.rules[p.parent] // additions stand for themselves
		}
		at = p.parent
	}
	if x.patients && !b.c.patient.empty() {
		keys := []key{{name: b.c.patient.short()}}
		if b.person {
			for _, alias := range x.set.person {
				keys = append(keys, key{name: alias.short()})
			}
		}
		k.require(byPatient, keys, true)
	}
	return true
}

func (x *builder) hasAdditions(b *bound, p *provision) bool {
	return slices.ContainsFunc(p.children, func(c int) bool { return b.c.rules[c].stance == p.stance })
}

// post files a rule under every combination of its keys.
func (x *builder) post(tuples map[tupleKey]*tuple, consent int, k *keyed, t traits) {
	k.bound()
	at := posting{consent: int32(consent), from: math.MinInt64, to: math.MaxInt64}
	if k.period != nil {
		t |= dated
		at.from, at.to = k.period.widened()
	}
	listed := uint8(0)
	var ids [dimensions][]uint32
	for d := range dimensions {
		if k.listed[d] {
			listed |= 1 << d
			ids[d] = x.intern(d, k)
		}
	}
	tk := tupleKey{listed, t}
	if tuples[tk] == nil {
		tuples[tk] = newTuple(listed, t)
	}
	tuples[tk].least = min(tuples[tk].least, at.consent)
	x.spread(tuples[tk], &ids, 0, address{}, at)
}

func (x *builder) spread(t *tuple, ids *[dimensions][]uint32, d dimension, a address, at posting) {
	for ; d < dimensions; d++ {
		if t.listed&(1<<d) == 0 {
			continue
		}
		for _, id := range ids[d] {
			a[d] = id
			x.spread(t, ids, d+1, a, at)
		}
		return
	}
	l := t.at(&a)
	if n := len(l.postings); n == 0 || l.postings[n-1] != at {
		l.postings = append(l.postings, at)
	}
}

// bound drops dimensions, the least telling first, until the combinations of
// keys are few.
func (k *keyed) bound() {
	for {
		count, last, n := 1, dimensions, 0
		for d := range dimensions {
			if k.listed[d] {
				count, last, n = count*max(1, len(k.keys[d])+len(k.labelsAt(d))), d, n+1
			}
			count = min(count, maxKeys+1)
		}
		if count <= maxPostings || n == 1 && count <= maxKeys {
			return
		}
		k.listed[last] = false
	}
}

func (k *keyed) labelsAt(d dimension) []labelRule {
	if d == byLabel {
		return k.labels
	}
	return nil
}

// intern numbers the keys of a rule.
func (x *builder) intern(d dimension, k *keyed) []uint32 {
	var out []uint32
	add := func(name key) uint32 {
		id := x.ids[d].number(name)
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
		return id
	}
	x.codes, x.refs = x.codes || d == byCode, x.refs || k.refs
	for _, name := range k.keys[d] {
		x.profiles = x.profiles || name.kind == profileKey
		x.documents = x.documents || name.kind == loincKey
		x.idents = x.idents || name.kind == identKey
		x.authors = x.authors || name.kind == authorKey
		add(name)
	}
	for _, r := range k.labelsAt(d) {
		before := x.ids[d].count
		id := add(key{name: r.name()})
		if x.ids[d].count > before {
			x.entries = append(x.entries, labelEntry{r, id})
		}
	}
	return out
}

func newTuple(listed uint8, t traits) *tuple {
	out := &tuple{listed: listed, traits: t, least: math.MaxInt32}
	switch {
	case listed == 0:
		out.leaf = new(leaf)
	case listed&(listed-1) == 0:
		out.one = map[uint32]*leaf{}
		for out.first = 0; listed&(1<<out.first) == 0; {
			out.first++
		}
	default:
		out.more = map[address]*leaf{}
	}
	return out
}

// at returns the leaf of an address, made if need be.
func (t *tuple) at(a *address) *leaf {
	switch {
	case t.leaf != nil:
		return t.leaf
	case t.one != nil:
		if t.one[a[t.first]] == nil {
			t.one[a[t.first]] = new(leaf)
		}
		return t.one[a[t.first]]
	}
	if t.more[*a] == nil {
		t.more[*a] = new(leaf)
	}
	return t.more[*a]
}

// finish sorts the leaves and puts the tuples in a fixed order.
func finish(tuples map[tupleKey]*tuple) []tuple {
	var out []tuple
	for _, t := range tuples {
		if t.traits&dated != 0 {
			t.each(func(l *leaf) { l.sort() })
		}
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b tuple) int {
		return cmp.Or(cmp.Compare(a.least, b.least), cmp.Compare(a.listed, b.listed), cmp.Compare(a.traits, b.traits))
	})
	return out
}

func (t *tuple) each(f func(*leaf)) {
	if t.leaf != nil {
		f(t.leaf)
	}
	for _, l := range t.one {
		f(l)
	}
	for _, l := range t.more {
		f(l)
	}
}

// sort orders a dated leaf and bounds its blocks.
func (l *leaf) sort() {
	slices.SortFunc(l.postings, func(a, b posting) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.consent, b.consent))
	})
	for part := range slices.Chunk(l.postings, blockSize) {
		b := block{from: part[0].from, to: math.MinInt64, consent: math.MaxInt32}
		for _, p := range part {
			b.to, b.consent = max(b.to, p.to), min(b.consent, p.consent)
		}
		l.blocks = append(l.blocks, b)
	}
}

// slack is more than an offset may shift a partial date, and than a Period's
// bounds may stand the wrong way round without being a mistake.
const slack = 3 * 24 * time.Hour

// widened bounds the seconds that the span may cover, in whatever offset.
func (s *span) widened() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if s.hasStart {
		from = s.start.first(time.UTC).Add(-slack).Unix()
	}
	if s.hasEnd {
		to = s.end.last(time.UTC).Add(slack).Unix()
	}
	return from, to
}
