package convert

import (
	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// A tape keeps what a survey judged, item by item: the second time that the
// input is read, nothing is judged again, and no second state is held.
type tape struct {
	outcomes []byte
	effects  map[int]effect // of few items
	wins     []byte         // bit by bit, whether a shared resource was newer than the one known
	n        int            // bits in wins
	at, bit  int            // where replay is
	over     bool           // more was asked for than there is
}

// An effect is what judging changed of a result.
type effect struct {
	impose  flow.Restrictions
	stubs   bool             // only its stubs count
	unknown bool             // it expunges what is not known
	refused *flow.MergeError // its merges are
}

func (t *tape) record(o flow.Outcome, e effect) {
	if e != (effect{}) {
		if t.effects == nil {
			t.effects = map[int]effect{}
		}
		t.effects[len(t.outcomes)] = e
	}
	t.outcomes = append(t.outcomes, byte(o))
}

func (t *tape) win(won bool) {
	if t.n%8 == 0 {
		t.wins = append(t.wins, 0)
	}
	if won {
		t.wins[t.n/8] |= 1 << (t.n % 8)
	}
	t.n++
}

// won is the next of wins.
func (t *tape) won() bool {
	if t.bit == t.n {
		t.over = true
		return false
	}
	w := t.wins[t.bit/8]&(1<<(t.bit%8)) != 0
	t.bit++
	return w
}

// ended says whether the input was the same both times, as far as can be seen.
func (t *tape) ended() bool { return !t.over && t.at == len(t.outcomes) && t.bit == t.n }

// judge says again what became of an item, and does to its result what judging
// did.
func (t *tape) judge(m *flow.Mapped) (flow.Outcome, error) {
	if t.at == len(t.outcomes) {
		return flow.Rejected, ErrChanged
	}
	o, e, res := flow.Outcome(t.outcomes[t.at]), t.effects[t.at], m.Result
	t.at++
	record := m.Item.Kind == adapters.Data && res != nil
	nothing := m.Item.Kind != adapters.Data && m.Item.Kind != adapters.Rejected
	if nothing != (o == flow.NonRecord) || !record && !nothing && o != flow.Rejected || m.Partial() && (o == flow.Created || o == flow.Updated) && res.Scope == "" && res.Action != mappings.Expunge {
		return flow.Rejected, ErrChanged
	}
	switch {
	case !record:
	case o == flow.Rejected && res.Scope != "":
		unknownGroup(m)
	case e.unknown:
		unknownKey(m)
	case e.refused != nil:
		flow.Refuse(res, e.refused)
	case e.stubs:
		res.Resources = flow.Stubs(res)
	}
	if !record {
		return o, nil
	}
	return o, flow.Impose(res, e.impose)
}

// unknownKey warns of a record that expunges what is not known.
func unknownKey(m *flow.Mapped) {
	m.Result.Issues = append(m.Result.Issues, mappings.Issue{Severity: mappings.Warning, Code: "expunge-unknown", Pos: m.Item.Pos,
		Message: "nothing before this row has its key; if the key is misspelt, the record that is meant stays"})
}

// unknownGroup says why a record that means a group is rejected.
func unknownGroup(m *flow.Mapped) {
	res := m.Result
	res.Reason = res.Action.String() + "-unknown"
	res.Issues = append([]mappings.Issue{{Severity: mappings.Error, Code: res.Reason, Pos: m.Item.Pos,
		Message: "nothing before this row is of the incident or group that it means"}}, res.Issues...)
}
