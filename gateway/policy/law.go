package policy

import (
	"slices"
	"strings"
	"sync"

	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// A Law is what rule packs come to once they are compiled: [Compile] makes it.
// Its rules do not change. The zero value has no rule, so nothing has a ground.
type Law struct {
	// Bases are the kinds of declared legal basis that can be valid, those of a
	// federal pack first.
	Bases []Basis

	packs       []PackInfo
	sources     map[string][]byte // bytes of the packs, by hash
	police      []string          // roles that are law enforcement, of the actor-role system
	times       map[string]consent.Times
	grounds     []*rule           // permits and denies of the federal packs, in order
	fills       map[*rule][]*rule // abstract permit → the agreements' permits that fill it
	emergencies []*rule           // in order
	gates       []*rule           // the index is the bit in a gateSet
	restricts   []*rule           // deny, require and limit of states and agreements, require and limit of federal packs
	obliges     []*rule           // in order
	accepts     []*rule           // of agreements
	obligations []Obligation      // the index is the bit in a dutySet
	agreements  map[string]bool   // ids of the agreement packs
	minimum     *Extent           // the profile crisis-response of a federal pack
	duties      dutyLists
}

// A PackInfo says which pack a Law was made of.
type PackInfo struct {
	ID, Version, Title, Kind, Jurisdiction string
	Hash                                   string   // "sha256:…" of its bytes
	Off                                    []string // rules that are off because they are unverified
	Enabled                                []string // unverified rules that are on, by name
}

// String returns "us-federal@2026.11".
func (p PackInfo) String() string { return p.ID + "@" + p.Version }

// Packs lists the packs of the Law, federal ones first, then those of states,
// then agreements.
func (l *Law) Packs() []PackInfo { return slices.Clone(l.packs) }

// Sources returns the bytes of the packs by their hash, for an archive: a past
// decision is made again by the packs of its moment. They must not be changed.
func (l *Law) Sources() map[string][]byte { return l.sources }

// Name names the packs with their versions: "us-federal@2026.11 us-tx@2026.11".
func (l *Law) Name() string {
	names := make([]string, len(l.packs))
	for i, p := range l.packs {
		names[i] = p.String()
	}
	return strings.Join(names, " ")
}

// basis returns the row of a type, or nil.
func (l *Law) basis(typ string) *Basis {
	for i := range l.Bases {
		if l.Bases[i].Type == typ {
			return &l.Bases[i]
		}
	}
	return nil
}

// USFederal is the built-in federal pack without any state's law. A pack that
// cannot be read is one without rules: nothing is permitted.
func USFederal() *Law { return usFederal() }

var usFederal = sync.OnceValue(func() *Law {
	p, err := packs.Builtin("us-federal")
	if err != nil {
		return &Law{}
	}
	law, err := Compile(Selected{Pack: p})
	if err != nil {
		return &Law{}
	}
	return law
})

// A gateSet is a set of gates, by their index in Law.gates.
type gateSet uint32

// Obligations lists those that the engine knows and that packs add.
func (l *Law) Obligations() []Obligation { return slices.Clone(l.obligations) }

// A dutySet is a set of obligations, by their index in Law.obligations.
type dutySet uint64

// A groundKind is a set of kinds of ground.
type groundKind uint8

const (
	byConsent groundKind = 1 << iota
	byPermit
	byBasis
	byEmergency
)

// A rule is one compiled rule.
type rule struct {
	id, pack, citation, says string
	effect                   string
	kind                     string // of the pack
	jurisdiction             string // of the pack
	period                   *packs.Period

	static, dynamic []condition // of when: what a Session and a ground know, and what the data say
	require         []condition
	alternatives    [][]condition
	need            consent.Need // gate: the form of Consent that opens it
	passes          gateSet
	overrides       override
	opens           gateSet // emergency: the gates that it overrides
	extents         []*Extent
	duties          dutySet
	abstract, named bool     // named: an agreement in the request fills it
	types           []string // accept: of bases
	bit             gateSet  // gate: its own
}

// An override is a set of what does not stand in a ground's way.
type override uint8

const (
	anyDeny override = 1 << iota
	unnamedDeny
	residual
)

// A Basis is a kind of declared legal basis.
type Basis struct {
	Type     string // of LegalBasis
	Citation string
	// Any lists alternatives; one whose conditions all hold makes the basis
	// valid. One of a state holds those of the federal basis that it stands on.
	Any    [][]Condition
	Extent Extent // its own

	rule   *rule
	on     *rule     // the federal rule that a state's stands on, nil for others
	within []string  // its type, and the type that it stands on
	duties []dutySet // by index in Any, beside the rule's
}

// A Test is a way to check one attribute of a declared basis.
type Test uint8

// The tests. An attribute that is absent, null or of another kind passes only Null.
const (
	True      Test = iota + 1
	False          // the boolean false
	Null           // absent or null
	NotEmpty       // a text that is not blank
	OneOf          // a text among Values
	AnyOf          // a list with an element among Values
	NotLater       // an instant or day not after the request
	NotOlder       // an instant not after the request and within Values[0] ("72h", "30d") before
	Outside        // a reference that is neither the requester nor its organisation
	Reference      // a reference
	HasRole        // not of the basis: the requester holds one of the roles Values
	Fact           // not of the basis: another fact of the request
)

// A Condition is a test of one attribute.
type Condition struct {
	ID        string // in its rule
	Attribute string
	Test      Test
	Values    []string

	not  bool       // of another value of that kind: one that is absent fails it, too
	fact *condition // of Fact
}
