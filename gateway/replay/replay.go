package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Why something cannot be had. An Archive's other errors end the replay.
var (
	ErrGone    = errors.New("it was expunged")
	ErrNotKept = errors.New("it is a connected system's and not kept here")
	ErrChanged = errors.New("it is not what was decided on")
	ErrNoRules = errors.New("they are not archived")
)

// An Archive gives back what events name. Its errors wrap one of those above
// where the thing cannot be had.
type Archive interface {
	// Resource returns what was judged, in the form that was decided on.
	Resource(ctx context.Context, j *audit.Judged) (*resource.Resource, error)
	// Consent returns a Consent that was heard.
	Consent(ctx context.Context, h *audit.Heard) (*resource.Resource, error)
	// Instance returns a resource by an entry of [audit.Facts.Instances].
	Instance(ctx context.Context, entry string) (*resource.Resource, error)
	// Engine returns an engine that decides by these laws.
	Engine(laws, directory []string) (*policy.Engine, error)
}

// A Verdict is how a decision came out the second time.
type Verdict string

// The verdicts.
const (
	Same          Verdict = "same"
	Different     Verdict = "different"
	NotReplayable Verdict = "not-replayable"
)

// An Outcome is a decision as far as it is compared.
type Outcome struct {
	Effect      string          `json:"effect"` // of policy: permit, redact, deny, indeterminate
	Reasons     []policy.Reason `json:"reasons,omitempty"`
	Obligations []string        `json:"obligations,omitempty"`
	Cut         string          `json:"cut,omitempty"` // audit.Judged.Cut
}

// A Result is one decision made again.
type Result struct {
	Request   string    `json:"request"`
	At        time.Time `json:"at"`
	Reference string    `json:"reference"`
	Verdict   Verdict   `json:"verdict"`
	Why       string    `json:"why,omitempty"` // unless it is the same
	Then      Outcome   `json:"then"`
	Now       *Outcome  `json:"now,omitempty"`
}

// A Replayer makes decisions again. It is for one goroutine.
type Replayer struct {
	Archive  Archive
	Labeller *label.Labeller
	LabelSet string // of Labeller
	Zones    audit.Zones
	// WhatIf says that the archive gives other rules than those of the moment:
	// then what comes of the decisions is compared, and not their reasons.
	WhatIf bool
}

// Event replays the decisions of one event that pick chooses; nil: all. The
// error is one of the archive's own.
func (p *Replayer) Event(ctx context.Context, e *audit.Event, pick func(*audit.Judged) bool) ([]Result, error) {
	run := &run{Replayer: p, facts: e.Facts, asked: map[int]asked{}}
	var out []Result
	for i := range e.Resources {
		j := &e.Resources[i]
		if pick != nil && !pick(j) {
			continue
		}
		r := Result{Request: e.ID, At: e.At, Reference: j.Reference, Then: then(j)}
		now, err := run.decide(ctx, j)
		var no *obstacle
		switch {
		case errors.As(err, &no):
			r.Verdict, r.Why = NotReplayable, no.Error()
		case err != nil:
			return out, fmt.Errorf("request %s, %s: %w", e.ID, j.Reference, err)
		default:
			r.Now = now
			r.Verdict, r.Why = p.compare(&r.Then, now)
		}
		out = append(out, r)
	}
	return out, nil
}

// then is what the event says.
func then(j *audit.Judged) Outcome {
	o := Outcome{Effect: j.Decision, Reasons: j.Reasons, Obligations: j.Obligations, Cut: j.Cut}
	if j.Policy != "" {
		o.Effect = j.Policy
	}
	return o
}

// compare says how two outcomes differ.
func (p *Replayer) compare(then, now *Outcome) (Verdict, string) {
	switch {
	case then.Effect != now.Effect:
		return Different, fmt.Sprintf("it was %s and is %s", then.Effect, now.Effect)
	case then.Cut != now.Cut:
		return Different, "other elements are cut out"
	case !slices.Equal(then.Obligations, now.Obligations):
		return Different, "other obligations go with it"
	case !p.WhatIf && !slices.Equal(then.Reasons, now.Reasons):
		return Different, "the reasons are others"
	}
	return Same, ""
}

// An obstacle is why a decision cannot be made again.
type obstacle struct {
	what string
	err  error
}

func (o *obstacle) Error() string {
	if o.err == nil {
		return o.what
	}
	return o.what + ": " + o.err.Error()
}

func (o *obstacle) Unwrap() error { return o.err }

// unless turns the archive's known errors into an obstacle.
func unless(what string, err error) error {
	for _, known := range []error{ErrGone, ErrNotKept, ErrChanged, ErrNoRules} {
		if errors.Is(err, known) {
			return &obstacle{what, err}
		}
	}
	return err
}

// A run replays one event.
type run struct {
	*Replayer
	facts  *audit.Facts
	engine *policy.Engine
	asked  map[int]asked
}

// An asked question is compiled, or cannot be.
type asked struct {
	session *policy.Session
	err     error
}

func (r *run) decide(ctx context.Context, j *audit.Judged) (*Outcome, error) {
	switch {
	case r.facts == nil:
		return nil, &obstacle{what: "recorded before events kept what decisions depended on"}
	case j.Question == 0:
		return nil, &obstacle{what: "policy was not asked: a connected system's Consents could not be read"}
	}
	session, err := r.session(ctx, j.Question)
	if err != nil {
		return nil, err
	}
	res, err := r.Archive.Resource(ctx, j)
	if err != nil {
		return nil, unless("the resource", err)
	}
	s := policy.Subject{Resource: res, Labels: new(label.Labels), Origin: j.Origin, Patient: j.Patient, Internal: j.Internal}
	r.Labeller.Label(res, j.Origin, s.Labels)
	if audit.LabelDigest(res, s.Labels) != j.Labelled {
		if r.facts.LabelSet != r.LabelSet {
			return nil, &obstacle{what: fmt.Sprintf("its labels come out otherwise: then by label set %s, now by %s", r.facts.LabelSet, r.LabelSet)}
		}
		return nil, &obstacle{what: "its labels come out otherwise although the label set is " + r.LabelSet + ": another release labelled it"}
	}
	d := session.Decide(&s)
	o := &Outcome{Effect: audit.Effect(d.Effect), Reasons: d.Reasons, Cut: audit.Removed(res, &d)}
	for _, ob := range d.Obligations {
		o.Obligations = append(o.Obligations, string(ob))
	}
	return o, nil
}

// session compiles a question once.
func (r *run) session(ctx context.Context, number int) (*policy.Session, error) {
	if a, ok := r.asked[number]; ok {
		return a.session, a.err
	}
	s, err := r.compile(ctx, number)
	r.asked[number] = asked{s, err}
	return s, err
}

func (r *run) compile(ctx context.Context, number int) (*policy.Session, error) {
	req, err := r.facts.Request(number, r.Zones)
	if err != nil {
		return nil, &obstacle{"its question", err}
	}
	if err := r.engineOf(); err != nil {
		return nil, err
	}
	heard, err := r.facts.Heard(number)
	if err != nil {
		return nil, &obstacle{"its Consents", err}
	}
	for i := range heard {
		res, err := r.Archive.Consent(ctx, &heard[i])
		if err != nil {
			return nil, unless(heard[i].Reference+", which was heard", err)
		}
		req.Consents = append(req.Consents, consent.Parse(res, heard[i].Source))
	}
	var known []*resource.Resource
	for _, entry := range r.facts.Instances(number) {
		res, err := r.Archive.Instance(ctx, entry)
		if err != nil {
			return nil, unless(entry+", which a Consent names", err)
		}
		known = append(known, res)
	}
	req.Graph = NewGraph(known, nil)
	return r.engine.Begin(req), nil
}

func (r *run) engineOf() (err error) {
	if r.engine == nil {
		if r.engine, err = r.Archive.Engine(r.facts.Laws, r.facts.Directory); err != nil {
			err = unless("the rules of that moment", err)
		}
	}
	return err
}
