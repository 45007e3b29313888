package sqlite

import (
	"math"
	"sync/atomic"

	"github.com/handoff-health/handoff/fhir/store/plan"
)

// maxParts is how many queries a driver may consist of; SQLite allows 500.
const maxParts = 200

// unknown is the size of what cannot be started from.
const unknown = 1 << 30

// caps are how far entries are counted: few where a few are enough to know the
// better start, more only if every start has many.
var caps = [...]int{64, 1024, 16384}

// An estimator counts how many candidates a condition gives.
type estimator struct {
	*planner
	cap   int
	known map[*plan.Node]int // at this cap
}

// choose finds the condition with the fewest candidates that implies n, or nil
// if n can only be answered by looking at every resource of the type. A start with
// as many candidates as enough need not be known better; 0: with any number.
func (p *planner) choose(n *plan.Node, enough func() (int, error)) (*driver, error) {
	e := &estimator{planner: p}
	for i, upTo := range caps {
		if i == len(caps)-1 && enough != nil {
			most, err := enough()
			if err != nil {
				return nil, err
			}
			upTo = min(upTo, max(most, e.cap))
		}
		if upTo == e.cap {
			break
		}
		e.cap, e.known = upTo, map[*plan.Node]int{}
		size, err := e.size(n)
		if err != nil || size >= unknown {
			return nil, err
		}
		if size < e.cap {
			break
		}
	}
	d := &driver{size: e.known[n], counted: map[*plan.Node]int{}}
	e.collect(n, d)
	if len(d.parts) > maxParts {
		return nil, nil
	}
	for of, size := range e.known {
		if of.Kind == plan.Leaf && size < e.cap {
			d.counted[of] = size
		}
	}
	return d, nil
}

// cheapest is choose for who takes the driver whatever its size: of one condition
// nothing is counted.
func (p *planner) cheapest(n *plan.Node) (*driver, error) {
	if n.Kind != plan.Leaf {
		return p.choose(n, nil)
	}
	d := &driver{}
	(&estimator{planner: p}).collect(n, d)
	if len(d.parts) > maxParts {
		return nil, nil
	}
	return d, nil
}

// size estimates, up to the cap, the candidates of n.
func (e *estimator) size(n *plan.Node) (int, error) {
	if size, ok := e.known[n]; ok {
		return size, nil
	}
	size, err := e.count(n)
	e.known[n] = size
	return size, err
}

func (e *estimator) count(n *plan.Node) (int, error) {
	switch n.Kind {
	case plan.And:
		least := unknown
		for _, a := range n.Args {
			size, err := e.size(a)
			if err != nil {
				return 0, err
			}
			least = min(least, size)
		}
		return least, nil
	case plan.Or:
		sum := 0
		for _, a := range n.Args {
			size, err := e.size(a)
			if err != nil {
				return 0, err
			}
			if sum += size; size >= unknown {
				return unknown, nil
			}
		}
		return sum, nil
	case plan.Leaf:
		return e.rows(n)
	case plan.Never, plan.All, plan.Not:
	}
	return unknown, nil
}

func (e *estimator) rows(n *plan.Node) (int, error) {
	parts := selects(n, e.typ)
	if len(parts) > maxParts {
		return unknown, nil
	}
	sum := 0
	for _, part := range parts {
		var c int
		_, err := e.s.one(e.ctx, "SELECT count(*) FROM ("+part.sql+" LIMIT ?)", append(part.args, e.cap-sum), &c)
		if err != nil {
			return 0, err
		}
		if sum += c; sum >= e.cap {
			return e.cap, nil
		}
	}
	return sum, nil
}

// collect fills the driver with the cheapest way to n.
func (e *estimator) collect(n *plan.Node, d *driver) {
	switch n.Kind {
	case plan.And:
		best := n.Args[0]
		for _, a := range n.Args {
			if e.known[a] < e.known[best] {
				best = a
			}
		}
		e.collect(best, d)
	case plan.Or:
		for _, a := range n.Args {
			e.collect(a, d)
		}
	default:
		d.parts = append(d.parts, selects(n, e.typ)...)
		d.nodes = append(d.nodes, n)
	}
}

// A typeSize is a count of a type's live resources and when it was taken.
type typeSize struct{ count, at atomic.Int64 }

// population returns about how many live resources of the type there are.
func (p *planner) population() (int, error) {
	v, _ := p.db.sizes.LoadOrStore(p.typ, new(typeSize))
	size := v.(*typeSize)
	writes := p.db.writes.Load()
	if n := size.count.Load(); n > 0 && writes-size.at.Load() < n/4+64 {
		return int(n), nil
	}
	var n int64
	_, err := p.s.one(p.ctx, `SELECT count(*) FROM head INDEXED BY head_newest WHERE type = ? AND deleted = 0`, []any{p.typ}, &n)
	if err != nil {
		return 0, err
	}
	size.count.Store(n)
	size.at.Store(writes)
	return int(n), nil
}

// enough is from how many candidates on [planner.scanIsBetter] need not know more.
func (p *planner) enough(limit int) func() (int, error) {
	return func() (int, error) {
		n, err := p.population()
		return int(2*math.Sqrt(float64(limit)*float64(n))) + 1, err
	}
}

// scanIsBetter says whether walking the type in the order asked for finds a
// page sooner than sorting the driver's candidates. It takes conditions as
// independent of each other, and is wrong by at most one walk over the type.
func (p *planner) scanIsBetter(d *driver, limit int) (bool, error) {
	if d.size < caps[1] {
		return false, nil
	}
	n, err := p.population()
	if err != nil || n == 0 {
		return false, err
	}
	walk := float64(limit) * float64(n) / float64(d.size)
	return walk*4 < float64(d.size), nil // as enough has it
}
