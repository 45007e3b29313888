package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/vm"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings/field"
	"github.com/handoff-health/handoff/mappings/schema"
	"github.com/handoff-health/handoff/mappings/tree"
)

// Limits on what one record may make: a mapping or a record that goes beyond
// breaks off, nothing of it is used.
const (
	maxResources = 500
	maxSteps     = 100_000 // rows evaluated
	maxBytes     = 2 << 20 // of all resources together
	maxCode      = 80      // of an unmapped code that is shown
)

// ErrLimit says that a record would make more than the limits allow.
var ErrLimit = errors.New("mappings: the record makes more than is allowed")

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
	m      *Map
	rec    *tree.Record
	opts   Options
	env    map[string]any
	item   *tree.Node // the node at hand, for relative paths
	field  string     // the field at hand, for issues
	listed []string   // the fields whose items are gone through
	vm     vm.VM
	result *Result
	plans  []*plan
	steps  int
	bytes  int
	nodes  []*tree.Node // scratch of find
	seen   map[issueKey]bool
}

type issueKey struct{ code, field string }

// A plan is one resource that the record makes.
type plan struct {
	rule   *rule
	item   any
	id     string
	key    string
	also   []string // other rules that name the same resource
	object *schema.Object
	trace  string
}

func (r *run) record() error {
	if !slices.Contains(r.m.kinds, r.rec.Kind) {
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
	if err := r.decide(); err != nil {
		return err
	}
	if r.result.Action != Upsert && r.result.Action != Seal {
		return nil
	}
	if err := r.check(); err != nil {
		return err
	}
	if err := r.build(); err != nil {
		return err
	}
	r.digest()
	return nil
}

// lets computes the named values, in order.
func (r *run) lets() error {
	for _, l := range r.m.lets {
		if l.when != nil {
			holds, err := r.evalBool(l.when)
			if err != nil {
				return err
			}
			if !holds {
				r.env[l.name] = l.zero
				continue
			}
		}
		v, err := r.eval(l.expr)
		if err != nil {
			return err
		}
		r.env[l.name] = v
		r.report(v, l.field)
	}
	return nil
}

// facts are what expressions see as source.
type facts struct {
	Software string // adapter and mapping with version
	Record   string // hash of the file and line, or of the record
	Place    string // file and line, for people
	Received string // instant; "" if not told
}

func (r *run) facts() facts {
	f := facts{Software: "Handoff mapping " + r.m.Name + " " + r.m.Version, Place: r.opts.Source.Name}
	if r.opts.Source.Adapter != "" {
		f.Software = "Handoff adapter " + r.opts.Source.Adapter + ", mapping " + r.m.Name + " " + r.m.Version
	}
	if f.Record = r.opts.Source.SHA256; f.Record == "" {
		f.Record = r.rec.SHA256
	}
	if f.Record == "" {
		sum := sha256.Sum256(r.rec.Raw)
		f.Record = hex.EncodeToString(sum[:])
	}
	if r.rec.Pos.Line > 0 {
		f.Record += fmt.Sprintf("#L%d", r.rec.Pos.Line)
		if f.Place != "" {
			f.Place += fmt.Sprintf(":%d", r.rec.Pos.Line)
		}
	}
	if !r.opts.Received.IsZero() {
		f.Received = resource.FormatInstant(r.opts.Received)
	}
	return f
}

// environment fills the names that expressions see.
func (r *run) environment() {
	r.env = make(map[string]any, len(r.m.shape.columns)+len(r.m.lets)+12)
	for _, c := range r.m.shape.columns {
		r.env[c] = ""
	}
	if r.m.shape.columns != nil {
		for _, n := range slices.Backward(r.rec.Root.Children) { // of two columns of one name the first counts
			if _, known := r.env[n.Name]; known {
				r.env[n.Name] = trim(n.Text)
			}
		}
	}
	r.env["profile"] = r.m.profile
	r.env["kind"] = r.rec.Kind
	r.env["text"] = r.textOf
	r.env["has"] = func(p string) bool { return r.textOf(p) != "" }
	r.env["count"] = func(p string) int { return len(r.find(r.m.paths[p])) }
	r.env["code"] = r.codeOf
	r.env["mapped"] = func(v, code string) bool { _, known := r.m.vocabularies[v].lookup(code); return known }
	r.env["texts"] = r.textsAt
	r.env["pick"] = r.pick
	r.env["targets"] = r.targetsOf
	r.env["known"] = r.known
	r.env["source"] = r.facts()
	r.env["reference"] = func(typ, system, key string) string { return typ + "/" + r.opts.IDs(typ, system, key) }
	r.env["token"] = func(system, value string) string { return r.opts.IDs("token", system, value) }
}

func (r *run) find(p *recordPath) []*tree.Node {
	r.nodes = p.find(r.rec.Root, r.item, r.nodes[:0])
	return r.nodes
}

// textOf is the text of the first node at a path that has one.
func (r *run) textOf(p string) string {
	for _, n := range r.find(r.m.paths[p]) {
		if s := trim(leaf(n)); s != "" {
			return s
		}
	}
	return ""
}

// textsAt are the texts at a path, of all repetitions.
func (r *run) textsAt(p string) []string {
	var out []string
	for _, n := range r.find(r.m.paths[p]) {
		if s := trim(leaf(n)); s != "" && len(out) < maxResources {
			out = append(out, s)
		}
	}
	return out
}

// A Picked is one repetition of an HL7 v2 identifier (CX) in parts.
type Picked struct {
	Value, Type                           string
	Namespace, UniversalID, UniversalType string // of the assigning authority
}

// pick chooses among the repetitions of an identifier field the first of the
// type, else the first that is not a social security number.
func (r *run) pick(p, typ string) Picked {
	var first Picked
	for _, n := range r.find(r.m.paths[p]) {
		authority := n.First("4")
		c := Picked{
			Value: trim(leaf(n.Part("1"))), Type: trim(leaf(n.First("5"))),
			Namespace: trim(leaf(authority.Part("1"))), UniversalID: trim(leaf(authority.First("2"))), UniversalType: trim(leaf(authority.First("3"))),
		}
		switch {
		case c.Value == "" || c.Type == "SS" && typ != "SS":
		case c.Type == typ && typ != "":
			return c
		case first.Value == "":
			first = c
		}
	}
	return first
}

func (r *run) codeOf(vocabulary, code string) string {
	targets, known := r.m.vocabularies[vocabulary].lookup(code)
	if !known {
		r.unmapped(vocabulary, code)
	}
	if len(targets) == 0 {
		return ""
	}
	return targets[0].Code
}

func (r *run) targetsOf(vocabulary string, codes any) []Target {
	var out []Target
	for _, code := range textsOf(codes) {
		targets, known := r.m.vocabularies[vocabulary].lookup(code)
		if !known {
			r.unmapped(vocabulary, code)
		}
		for _, t := range targets {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

// textsOf reads one text or a list: a list written out in an expression has
// items of any type.
func textsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, text(item))
		}
		return out
	}
	return nil
}

// known keeps the codes that a vocabulary has, counting nothing.
func (r *run) known(vocabulary string, codes any) []string {
	var out []string
	for _, code := range textsOf(codes) {
		if _, ok := r.m.vocabularies[vocabulary].lookup(code); ok {
			out = append(out, code)
		}
	}
	return out
}

// unmapped counts a code that a vocabulary lacks.
func (r *run) unmapped(vocabulary, code string) {
	if trim(code) == "" {
		return
	}
	if field.CriminalHistory(code) {
		code = "[withheld]"
	}
	if len(code) > maxCode {
		code = strings.ToValidUTF8(code[:maxCode], "") + "…"
	}
	u := Unmapped{Field: r.field, Vocabulary: vocabulary, Code: code, Pos: r.position(r.field)}
	if len(r.result.Unmapped) >= maxResources || slices.Contains(r.result.Unmapped, u) {
		return
	}
	r.result.Unmapped = append(r.result.Unmapped, u)
	r.issue(Warning, "code-unmapped", r.field, "the vocabulary "+vocabulary+" has no row for the code")
}

// coverage counts the fields that no row reads.
func (r *run) coverage() {
	add := func(name string, pos tree.Position) {
		if len(r.result.Unmapped) < maxResources {
			r.result.Unmapped = append(r.result.Unmapped, Unmapped{Field: name, Pos: pos})
		}
	}
	known := func(name string) bool {
		_, ignored := r.m.ignored[name]
		return ignored || r.m.read[name]
	}
	for _, n := range r.rec.Root.Children {
		if r.m.shape.columns != nil {
			if trim(n.Text) != "" && !known(n.Name) {
				add(n.Name, n.Pos)
			}
			continue
		}
		if _, ignored := r.m.ignored[n.Name]; ignored {
			continue
		}
		last := ""
		for _, f := range n.Children {
			if name := n.Name + "-" + f.Name; name != last && !f.Empty() && !known(name) {
				add(name, f.Pos)
				last = name
			}
		}
	}
}

// decide runs the outcomes.
func (r *run) decide() error {
	r.result.Action = Upsert
	for _, o := range r.m.outcomes {
		holds, err := r.evalBool(o.when)
		if err != nil {
			return err
		}
		if holds {
			r.result.Action, r.result.Reason = o.action, o.code
			r.issue(o.issueSeverity, o.code, o.field, o.message)
			break
		}
	}
	return nil
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

// build plans the resources, so that they can refer to each other, then makes
// them.
func (r *run) build() error {
	for _, rule := range r.m.rules {
		if err := r.plan(rule); err != nil {
			return err
		}
	}
	for _, p := range slices.Clone(r.plans) {
		complete, err := r.make(p)
		switch {
		case err != nil:
			return err
		case !complete && p.rule.optional:
			r.plans = slices.DeleteFunc(r.plans, func(q *plan) bool { return q == p })
		case !complete:
			r.reject("resource-incomplete", "a required element could not be made")
			return nil
		}
	}
	for _, p := range r.plans {
		if p.rule.contained != "" {
			if holder := r.planned(p.rule.contained); holder != nil {
				holder.object.SetObject(holder.rule.typ.Element("contained"), p.object)
			}
		}
	}
	for _, p := range r.plans {
		if missing := p.object.Missing(); missing != "" {
			r.reject("resource-incomplete", fmt.Sprintf("%s.%s is required and could not be made", p.rule.typ.Name, missing))
			return nil
		}
	}
	return r.encode()
}

func (r *run) reject(code, message string) {
	r.result.Action, r.result.Reason, r.result.Resources, r.result.Trace = Reject, code, nil, nil
	r.issue(Error, code, "", message)
}

func (r *run) plan(rule *rule) error {
	if rule.when != nil {
		if holds, err := r.evalBool(rule.when); err != nil || !holds {
			return err
		}
	}
	if rule.contained != "" {
		r.plans = append(r.plans, &plan{rule: rule, id: rule.local})
		return nil
	}
	items := []any{nil}
	if rule.foreach != nil {
		v, err := r.eval(rule.foreach)
		if err != nil {
			return err
		}
		items = sliceOf(v)
	}
	for _, item := range items {
		if len(r.plans) >= maxResources {
			return fmt.Errorf("%w: over %d resources", ErrLimit, maxResources)
		}
		if item != nil {
			r.env["item"] = item
		}
		system, err := r.evalText(rule.system)
		if err != nil {
			return err
		}
		key, err := r.evalText(rule.key)
		if err != nil {
			return err
		}
		if key == "" {
			return fmt.Errorf("%s: the key of %s is empty", rule.at, rule.local)
		}
		id := r.opts.IDs(rule.typ.Name, system, key)
		if !resource.ValidID(id) {
			return fmt.Errorf("the id made for %s is not a FHIR id", rule.local)
		}
		if i := slices.IndexFunc(r.plans, func(p *plan) bool { return p.id == id && p.rule.typ == rule.typ }); i >= 0 {
			r.plans[i].also = append(r.plans[i].also, rule.local) // named twice
			continue
		}
		r.plans = append(r.plans, &plan{rule: rule, item: item, id: id, key: system + "|" + key})
	}
	return nil
}

func sliceOf(v any) []any {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Slice {
		return nil
	}
	out := make([]any, rv.Len())
	for i := range out {
		out[i] = rv.Index(i).Interface()
	}
	return out
}

func (r *run) planned(local string) *plan {
	for _, p := range r.plans {
		if p.rule.local == local {
			return p
		}
	}
	return nil
}

// make builds a planned resource; complete says that no required row failed.
func (r *run) make(p *plan) (complete bool, err error) {
	p.object = schema.New(p.rule.typ)
	if err := p.object.SetText(p.rule.typ.Element("id"), p.id); err != nil {
		return false, err
	}
	r.listed = nil
	if p.item != nil {
		r.env["item"] = p.item
		r.listed = p.rule.foreach.fields
	}
	p.trace = p.rule.typ.Name + "/" + p.id
	if p.rule.contained != "" {
		p.trace = "#" + p.id
	}
	_, missing, err := r.rows(p.rule.rows, p.object, p.trace, "")
	if err != nil {
		return false, err
	}
	if missing != nil {
		r.issue(Warning, "element-missing", r.fieldOf(missing), fmt.Sprintf("%s.%s could not be made", p.rule.typ.Name, missing.to))
	}
	return missing == nil, nil
}

// fieldOf is the field that a row is about.
func (r *run) fieldOf(row *row) string {
	for _, fields := range [][]string{row.inputs(), row.fields(), r.listed} {
		if len(fields) > 0 {
			return fields[0]
		}
	}
	return ""
}

// encode writes the planned resources.
func (r *run) encode() error {
	for _, p := range r.plans {
		if p.rule.contained != "" {
			continue
		}
		raw := p.object.Append(make([]byte, 0, 1024))
		if r.bytes += len(raw); r.bytes > maxBytes {
			return fmt.Errorf("%w: over %d bytes", ErrLimit, maxBytes)
		}
		sum := sha256.Sum256(raw)
		r.result.Resources = append(r.result.Resources, Resource{
			Type: p.rule.typ.Name, ID: p.id, Key: p.key, SourceVersion: r.result.Version,
			Digest: hex.EncodeToString(sum[:]), Owned: p.rule.owned, Raw: raw,
		})
	}
	return nil
}

// digest sums up the result without Provenance, which tells of the file.
func (r *run) digest() {
	h := sha256.New()
	for _, res := range r.result.Resources {
		if res.Type != "Provenance" {
			h.Write(res.Raw)
			h.Write([]byte{'\n'})
		}
	}
	h.Write([]byte{byte(r.result.Action)})
	r.result.Digest = hex.EncodeToString(h.Sum(nil))
}

// issue notes a finding about the record, each once.
func (r *run) issue(s Severity, code, name, message string) {
	k := issueKey{code, name}
	if r.seen[k] || len(r.result.Issues) >= maxResources {
		return
	}
	if r.seen == nil {
		r.seen = map[issueKey]bool{}
	}
	r.seen[k] = true
	r.result.Issues = append(r.result.Issues, Issue{s, code, message, name, r.position(name)})
}

// position finds where a field stands in the input; the record's place if it
// does not.
func (r *run) position(name string) tree.Position {
	if name == "" {
		return r.rec.Pos
	}
	if n := r.rec.Root.First(name); n != nil {
		return n.Pos
	}
	if p, err := r.m.shape.parsePath(name, false); err == nil && p.hl7 {
		if found := p.find(r.rec.Root, nil, nil); len(found) > 0 {
			return found[0].Pos
		}
	}
	pos := r.rec.Pos
	pos.Path = name
	return pos
}

// report turns the findings of a value into issues.
func (r *run) report(v any, name string) {
	report, ok := v.(field.Report)
	if !ok {
		return
	}
	for _, f := range report.Report() {
		r.issue([...]Severity{Information, Warning, Error}[f.Level], f.Code, name, f.Message)
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
	return v, nil
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
