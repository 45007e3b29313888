package sqlite

import (
	"context"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// A planner turns a plan into queries.
type planner struct {
	db  *DB
	s   *session
	ctx context.Context
	typ string
}

// plan is the condition with its parameters looked up. One that no resource of the
// type has ever had matches nothing.
func (p *planner) plan(e store.Expr) (*plan.Node, error) {
	return plan.Normalize(e, func(param string) (int64, bool, error) {
		return p.db.param(p.ctx, p.s, p.typ, param)
	})
}

// columnOf is the column of head that stands for a reserved parameter, else "".
func columnOf(param string) string {
	switch param {
	case store.ParamID:
		return "id"
	case store.ParamLastUpdated:
		return "updated"
	}
	return ""
}

// param looks a parameter's number up; numbers never change, so they are kept.
func (db *DB) param(ctx context.Context, s *session, typ, name string) (int64, bool, error) {
	key := typ + "\x00" + name
	if pid, ok := db.params.Load(key); ok {
		return pid.(int64), true, nil
	}
	pid, found, err := findParam(ctx, s, typ, name)
	if found {
		db.params.Store(key, pid)
	}
	return pid, found, err
}
