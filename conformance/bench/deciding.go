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
	name     string
	raw      []byte
	person   string // reference
	consents int
}

func judgedResources() []judged {
	var out []judged
	for _, n := range []int{1, 10, 100} {
		out = append(out,
			judged{"Observation", observation("p1", 7, "enc-1"), "Patient/p1", n},
			judged{"Condition", condition("p1"), "Patient/p1", n},
			judged{"Patient", patient("p1"), "Patient/p1", n},
		)
	}
	return out
}

// A judge decides one resource, as the pipeline does it.
type judge struct {
	labeller *label.Labeller
	session  *policy.Session
	request  *policy.Request
	engine   *policy.Engine
	labels   label.Labels
	doc      resource.Resource
	j        judged
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
		r, err := resource.Parse(consentFor(j.person[len("Patient/"):], to, n))
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
func (d *judge) decide() (policy.Subject, policy.Decision, error) {
	if err := d.doc.Reset(d.j.raw); err != nil {
		return policy.Subject{}, policy.Decision{}, err
	}
	s := policy.Subject{Resource: &d.doc, Labels: &d.labels, Origin: resource.Origin{System: "ehr", Custodian: "Organization/clinic"}, Patient: d.j.person}
	d.labeller.Label(s.Resource, s.Origin, s.Labels)
	v := d.session.Decide(&s)
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
	out, err := enforce.Apply(&s, v, enforce.VisibleFunc(func(string) bool { return true }))
	if err == nil && len(out.Body) < len(d.j.raw) {
		err = errors.New("WRONG ANSWER: the resource lost something")
	}
	return err
}

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
	for time.Since(start) < window {
		for range 64 {
			f()
		}
		n += 64
	}
	took := time.Since(start)
	if after, ok2 := ownCPU(); ok && ok2 {
		took = after - before
	}
	return number(float64(took.Nanoseconds()) / float64(n))
}

// decidingGoal is how much of json.Valid deciding may cost.
const decidingGoal = 1.5

// measureDeciding judges resources in this process.
func measureDeciding(ctx context.Context, b *bench) error {
	t := b.report.table("Deciding one resource, in process", "resource, bytes, Consents",
		column{"n", 0}, column{"json.Valid ns", 0}, column{"parse ns", 0}, column{"parse + label + decide ns", 0}, column{"× json.Valid", 2}, column{"allocs", 0},
		column{"+ enforce ns", 0}, column{"× json.Valid", 2}, column{"allocs", 0}, column{"once a request: Begin ns", 0})
	worst := map[int]*[2]number{} // by number of Consents: decided, enforced as well
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
			return fmt.Errorf("%s with %d Consents: %w", j.name, j.consents, err)
		}
		r1, r2 := median(pairwise(c.decide, c.valid, ratio)), median(pairwise(c.whole, c.valid, ratio))
		if worst[j.consents] == nil {
			worst[j.consents] = new([2]number)
		}
		w := worst[j.consents]
		w[0], w[1] = max(w[0], r1), max(w[1], r2)
		t.add(fmt.Sprintf("%s, %s B, %d", j.name, number(len(j.raw)).text(0), j.consents), number(b.pace.pairs), median(c.valid), median(c.parse),
			median(c.decide), r1, c.decideAllocs, median(c.whole), r2, c.wholeAllocs, median(c.begin))
	}
	t.note("n is rounds; in each, json.Valid and the others ran in turn on the same bytes. Times are CPU, the garbage collector's included. Consents are compiled once a request (last column), not once a resource.")
	if err := b.profileDeciding(); err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(worst)) {
		w := worst[n]
		b.report.goal(fmt.Sprintf("deciding a resource under %d of the person's Consents", n), "≤ 1.5 × json.Valid", w[0] <= decidingGoal, "at most %.2f × (with enforcing: %.2f ×)", w[0], w[1])
	}
	return nil
}
