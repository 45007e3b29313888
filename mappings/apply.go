package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/vm"

	"github.com/handoff-health/handoff/mappings/schema"
	"github.com/handoff-health/handoff/mappings/tree"
)

// Apply turns one record into resources. A record that cannot be mapped is a
// Result with Action Reject, not an error; an error means the engine broke off
// (a limit, a fault of the mapping that only this record shows) and nothing of
// the record may be used.
func (m *Map) Apply(rec *tree.Record, opts Options) (*Result, error) {
	if rec == nil || rec.Root == nil {
		return nil, errors.New("mappings: a record without a tree")
	}
	if opts.IDs == nil {
		opts.IDs = TestIDs
	}
	r := &run{m: m, rec: rec, opts: opts, result: &Result{}}
	if err := r.record(); err != nil {
		return nil, fmt.Errorf("%s: mapping %s: %w", rec.Pos, m.Name, err)
	}
	return r.result, nil
}

// A run is the state of one Apply.
type run struct {
	m       *Map
	rec     *tree.Record
	opts    Options
	env     map[string]any
	item    *tree.Node // the node at hand, for relative paths
	frame   *frame     // the items of loops at hand
	field   string     // the field at hand, for issues
	listed  []string   // the fields whose items are gone through
	vm      vm.VM
	result  *Result
	plans   []*plan
	steps   int
	visits  int // nodes looked at
	turns   int // of loops in expressions
	made    int // bytes, by expressions
	bytes   int
	nodes   []*tree.Node    // scratch of find
	used    []tree.Position // of the nodes that gave the row's values
	weak    bool            // the last row's value is a default
	refs    []*plan         // contained resources that the row refers to
	via     string          // rows that use the datatype at hand
	seen    map[issueKey]bool
	parents map[*tree.Node]*tree.Node // of a tree, once asked for
}

type issueKey struct {
	code, field string
	item        any // of the loop at hand
}

// A plan is one resource that the record makes.
type plan struct {
	rule   *rule
	frame  *frame
	id     string
	key    string
	system string // the part of key that assigned it
	names  []name // of the rules that make it
	object *schema.Object
	drafts []*draft // of a resource that is merged
	trace  string
}

// A name is the local name of a rule and the item that it was made for.
type name struct {
	local string
	frame *frame
}

func (r *run) record() error {
	if !slices.Contains(r.m.kinds, r.rec.Kind) && !slices.Contains(r.m.kinds, AnyKind) {
		r.result.Reason = "record-kind-not-mapped"
		r.issue(Error, r.result.Reason, "", "the mapping does not take records of this kind")
		return nil
	}
	r.environment()
	r.coverage()
	if err := r.lets(); err != nil {
		return err
	}
	var err error
	if r.result.Key, err = r.evalText(r.m.key); err != nil {
		return err
	}
	if r.result.Version, err = r.evalText(r.m.version); err != nil {
		return err
	}
	if err := r.group(); err != nil {
		return err
	}
	bare, err := r.decide()
	if err != nil {
		return err
	}
	if r.result.Action != Expunge && r.result.Action != Seal {
		r.result.Scope = ""
	}
	if bare || r.result.Scope != "" || r.result.Action != Upsert && r.result.Action != Seal {
		switch r.result.Action {
		case Seal:
			r.digest()
		case Keep:
			// Of a record that is not read no field is missing, and its text is all
			// that tells two apart.
			r.result.Unmapped, r.result.Digest = nil, r.textDigest()
		}
		return nil
	}
	if err := r.check(); err != nil {
		return err
	}
	r.result.Partial = r.m.updates != nil
	if err := r.build(); err != nil {
		return err
	}
	if r.result.Action == Upsert {
		if err := r.merges(); err != nil {
			return err
		}
	}
	r.digest()
	return nil
}

// lets computes the named values, in order.
func (r *run) lets() error {
	for _, l := range r.m.lets {
		if _, err := r.let(l); err != nil {
			return err
		}
	}
	return nil
}

// let computes one named value.
func (r *run) let(l *let) (any, error) {
	if l.when != nil {
		holds, err := r.evalBool(l.when)
		if err != nil {
			return nil, err
		}
		if !holds {
			r.env[l.name] = l.zero
			return l.zero, nil
		}
	}
	v, err := r.eval(l.expr)
	if err != nil {
		return nil, err
	}
	r.env[l.name] = v
	r.report(v, l.field)
	return v, nil
}

// group names the wider keys of the record.
func (r *run) group() error {
	for _, g := range r.m.groups {
		key, err := r.evalText(g)
		if err != nil {
			return err
		}
		if key != "" {
			r.result.Groups = append(r.result.Groups, key)
		}
	}
	if r.m.reach == nil {
		return nil
	}
	var err error
	r.result.Scope, err = r.evalText(r.m.reach)
	return err
}

// decide runs the outcomes. bare says that no resources are to be made.
func (r *run) decide() (bare bool, err error) {
	r.result.Action = Upsert
	for _, o := range r.m.outcomes {
		holds, err := r.evalBool(o.when)
		if err != nil {
			return false, err
		}
		if holds {
			r.result.Action, r.result.Reason = o.action, o.code
			r.issue(o.issueSeverity, o.code, o.field, o.message)
			return o.bare, nil
		}
	}
	return false, nil
}

// check raises the issues of a record that is kept.
func (r *run) check() error {
	for _, k := range r.m.checks {
		holds, err := r.evalBool(k.when)
		if err != nil {
			return err
		}
		if holds {
			r.issue(k.severity, k.code, k.field, k.message)
		}
	}
	return nil
}

// textDigest is the digest of the record's text.
func (r *run) textDigest() string {
	if r.rec.SHA256 != "" {
		return r.rec.SHA256
	}
	sum := sha256.Sum256(r.rec.Raw)
	return hex.EncodeToString(sum[:])
}

// digest sums up the result without Provenance, which tells of the file.
func (r *run) digest() {
	h := sha256.New()
	for _, res := range r.result.Resources {
		if res.Type != "Provenance" {
			h.Write(res.Raw)
			h.Write([]byte{'\n'})
		}
		for i := range res.Slots { // what is deleted and what is a default does not show in the resource
			if s := &res.Slots[i]; s.Deleted() || s.Default {
				fmt.Fprintf(h, "%s %t %t\n", s.Name, s.Deleted(), s.Default)
			}
		}
	}
	for i := range r.result.Merges {
		h.Write(r.result.Merges[i].sum())
	}
	h.Write([]byte{byte(r.result.Action)})
	r.result.Digest = hex.EncodeToString(h.Sum(nil))
	for _, res := range r.result.Resources {
		res.Slots.stamp(r.result.Version, r.result.Digest)
	}
}

func (r *run) eval(p *program) (any, error) {
	if len(p.fields) > 0 {
		r.field = p.fields[0]
	} else if len(r.listed) > 0 {
		r.field = r.listed[0]
	}
	v, err := r.vm.Run(p.vm, r.env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.at, err)
	}
	n := size(v)
	if r.made += n; r.made > maxMade || n > maxText {
		return nil, fmt.Errorf("%s: %w: its value is too large", p.at, ErrLimit)
	}
	return v, r.afford()
}

func (r *run) evalText(p *program) (string, error) {
	v, err := r.eval(p)
	return text(v), err
}

func (r *run) evalBool(p *program) (bool, error) {
	v, err := r.eval(p)
	b, _ := v.(bool)
	return b, err
}
