package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A judged is one resource with what it is judged by.
type judged struct {
	kind     string
	raw      []byte
	person   string // reference
	consents int
	shapes   bool // the Consents are of many shapes and all name the requester
}

// name is the table's first column.
func (j *judged) name() string {
	how := ""
	if j.shapes {
		how = " of many shapes"
	}
	return fmt.Sprintf("%s, %s B, %s%s", j.kind, number(len(j.raw)).text(0), number(j.consents).text(0), how)
}

func judgedResources() []judged {
	var out []judged
	add := func(n int, shapes bool) {
		out = append(out,
			judged{"Observation", observation("p1", 7, "enc-1"), "Patient/p1", n, shapes},
			judged{"Condition", condition("p1"), "Patient/p1", n, shapes},
			judged{"Patient", patient("p1"), "Patient/p1", n, shapes},
		)
	}
	for _, n := range []int{1, 10, 100} {
		add(n, false)
	}
	for _, n := range []int{fewShapes, manyShapes} {
		add(n, true)
	}
	return out
}

// What 10,000 Consents in force cost is compared with what 10 cost.
const (
	fewShapes  = 10
	manyShapes = 10_000
)

// A judge decides one resource, as the pipeline does it.
type judge struct {
	labeller *label.Labeller
	session  *policy.Session
	request  *policy.Request
	engine   *policy.Engine
	// What a page of resources is judged in, one after another.
	labels  label.Labels
	doc     resource.Resource
	subject policy.Subject
	point   enforce.Point

	j judged
}

// newJudge prepares the decision for a hospital that asks for treatment, with
// Consents of which every second one names it.
func newJudge(j judged) (*judge, error) {
	scope, err := smart.ParseScope("system/*.rs")
	if err != nil {
		return nil, err
	}
	req := &policy.Request{
		At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Action: "access", Person: []string{j.person}, OwnRecords: true,
		Purposes: []label.Code{attribute.Purpose("TREAT")}, Scopes: smart.Scopes{scope},
		Requester: policy.Requester{Client: "ward", Organization: "Organization/hospital", Roles: []label.Code{attribute.Role("treating-clinician")}},
	}
	for n := range j.consents {
		to := "hospital"
		if n%2 == 1 {
			to = fmt.Sprintf("other-%d", n)
		}
		raw := consentFor(j.person[len("Patient/"):], to, n)
		if j.shapes {
			raw = consentOfShape(j.person[len("Patient/"):], "hospital", n)
		}
		r, err := resource.Parse(raw)
		if err != nil {
			return nil, err
		}
		c := consent.Parse(r, consent.Source{Entitled: true})
		if ok, why := c.Grants(); !ok {
			return nil, fmt.Errorf("a Consent of the bench does not grant: %v", why)
		}
		req.Consents = append(req.Consents, c)
	}
	d := &judge{labeller: label.New(label.Options{}), engine: policy.New(policy.Options{}), request: req, j: j}
	d.session = d.engine.Begin(req)
	return d, nil
}

// decide parses, labels and judges.
func (d *judge) decide() (*policy.Subject, policy.Decision, error) {
	if err := d.doc.Reset(d.j.raw); err != nil {
		return nil, policy.Decision{}, err
	}
	s := &d.subject
	*s = policy.Subject{Resource: &d.doc, Labels: &d.labels, Origin: resource.Origin{System: "ehr", Custodian: "Organization/clinic"}, Patient: d.j.person}
	d.labeller.Label(s.Resource, s.Origin, s.Labels)
	v := d.session.Decide(s)
	if v.Effect != policy.Permit {
		return s, v, fmt.Errorf("WRONG ANSWER: effect %d, %v", v.Effect, v.Reasons)
	}
	return s, v, nil
}

// enforce carries the decision out as well.
func (d *judge) enforce() error {
	s, v, err := d.decide()
	if err != nil {
		return err
	}
	out, err := d.point.Apply(s, v, everything)
	if err == nil && len(out.Body) < len(d.j.raw) {
		err = errors.New("WRONG ANSWER: the resource lost something")
	}
	return err
}

var everything = enforce.VisibleFunc(func(string) bool { return true })

// A decidingCost is what one resource takes, in nanoseconds.
type decidingCost struct {
	valid, parse, decide, whole []number // one for each round
	begin                       []number // compiling the request's Consents
	decideAllocs, wholeAllocs   number
}

func costOf(d *judge, rounds int, window time.Duration) (*decidingCost, error) {
	var failed error
	keep := func(err error) {
		if err != nil && failed == nil {
			failed = err
		}
	}
	decide := func() { _, _, err := d.decide(); keep(err) }
	whole := func() { keep(d.enforce()) }
	c := &decidingCost{decideAllocs: number(testing.AllocsPerRun(50, decide)), wholeAllocs: number(testing.AllocsPerRun(50, whole))}
	for range rounds {
		c.valid = append(c.valid, timeOf(window, func() {
			if !json.Valid(d.j.raw) {
				keep(errors.New("WRONG ANSWER: not JSON"))
			}
		}))
		c.decide = append(c.decide, timeOf(window, decide))
		c.whole = append(c.whole, timeOf(window, whole))
		c.parse = append(c.parse, timeOf(window, func() { keep(d.doc.Reset(d.j.raw)) }))
		c.begin = append(c.begin, timeOf(window/2, func() { d.engine.Begin(d.request) }))
	}
	return c, failed
}

// timeOf is the CPU time of one call in nanoseconds, with the garbage
// collector's; where CPU time cannot be had, the time that went by.
func timeOf(window time.Duration, f func()) number {
	runtime.GC()
	before, ok := ownCPU()
	start := time.Now()
	n := 0
	for batch := 1; time.Since(start) < window; batch = min(2*batch, 64) {
		for range batch {
			f()
		}
		n += batch
	}
	took := time.Since(start)
	if after, ok2 := ownCPU(); ok && ok2 {
		took = after - before
	}
	return number(float64(took.Nanoseconds()) / float64(n))
}

// Goals: how much of json.Valid deciding with enforcing may cost, and how much
// of what few Consents cost very many may.
const (
	decidingGoal = 1.5
	manyGoal     = 1.3
)

// measureDeciding judges resources in this process.
func measureDeciding(ctx context.Context, b *bench) error {
	t := b.report.table("Deciding one resource, in process", "resource, bytes, Consents",
		column{"n", 0}, column{"json.Valid ns", 0}, column{"parse ns", 0}, column{"parse + label + decide ns", 0}, column{"× json.Valid", 2}, column{"allocs", 0},
		column{"+ enforce ns", 0}, column{"× json.Valid", 2}, column{"allocs", 0}, column{"once a request: Begin ns", 0})
	var all []measured
	for _, j := range judgedResources() {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := newJudge(j)
		if err != nil {
			return err
		}
		c, err := costOf(d, b.pace.pairs, b.pace.inside)
		if err != nil {
			return fmt.Errorf("%s: %w", j.name(), err)
		}
		all = append(all, measured{j, c})
		t.add(j.name(), number(b.pace.pairs), median(c.valid), median(c.parse), median(c.decide), median(pairwise(c.decide, c.valid, ratio)), c.decideAllocs,
			median(c.whole), median(pairwise(c.whole, c.valid, ratio)), c.wholeAllocs, median(c.begin))
	}
	t.note("n is rounds; in each, json.Valid and the others ran in turn on the same bytes. Times are CPU, the garbage collector's included. Consents are compiled once a request (last column), not once a resource. “Of many shapes”: all name the requester, and no two are alike in type, code, instance, label and period.")
	if err := b.profileDeciding(); err != nil {
		return err
	}
	b.decidingGoals(all)
	return nil
}

// A measured is one line of the table.
type measured struct {
	judged
	cost *decidingCost
}

// decidingGoals compares the lines with the goals. Resources of other sizes than
// 1.2 kB stand in the table alone.
func (b *bench) decidingGoals(all []measured) {
	worst, few, allocs := map[int]number{}, map[string]number{}, number(0)
	grown := number(0)
	for _, m := range all {
		allocs = max(allocs, m.cost.wholeAllocs)
		if m.kind != "Patient" {
			worst[m.consents] = max(worst[m.consents], median(pairwise(m.cost.whole, m.cost.valid, ratio)))
		}
		switch {
		case m.shapes && m.consents == fewShapes:
			few[m.kind] = median(m.cost.whole)
		case m.shapes && few[m.kind] > 0:
			grown = max(grown, median(m.cost.whole)/few[m.kind])
		}
	}
	for _, n := range slices.Sorted(maps.Keys(worst)) {
		b.report.goal(fmt.Sprintf("deciding and enforcing a resource of 1.2 kB under %d of the person's Consents", n), "≤ 1.5 × json.Valid", worst[n] <= decidingGoal, "at most %.2f ×", worst[n])
	}
	b.report.goal("allocations for each of them", "0", allocs == 0, "%.0f", allocs)
	b.report.goal(fmt.Sprintf("%d Consents in force rather than %d", manyShapes, fewShapes), "≤ 1.3 ×", grown <= manyGoal, "at most %.2f ×", grown)
}
