package casefile

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/handoff-health/handoff/fhir/bundle"
	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// A Runner runs cases. It is safe for concurrent use.
type Runner struct {
	Engine   *policy.Engine // for cases that name no packs
	Labeller *label.Labeller
	// Packs finds the packs that a case names; nil: those that are built in.
	Packs func(id string) (*packs.Pack, error)

	engines sync.Map // of packs that are built in, by what Facts.key says
}

// NewRunner makes a Runner for the law that is built in.
func NewRunner() *Runner {
	return &Runner{Engine: policy.New(policy.Options{}), Labeller: label.New(label.Options{})}
}

// An Outcome is what came of a case.
type Outcome struct {
	ID          string
	Resources   []Judged // in the order of the case
	Obligations []policy.Obligation
	Bundle      []byte   // the answer, where the interaction is a search that can be evaluated
	Notices     []string // texts that go with the answer
	Security    []label.Code
	Problem     string // why a search was refused; then there is no Bundle
	matched     []int
	page        page
	empty       []byte // the Bundle of a person of whom nothing is known
}

// A Judged is what became of one resource.
type Judged struct {
	Reference string
	Decision  string // permit, deny, redact
	Reasons   []policy.Reason
	Resource  *resource.Resource // as returned, nil if denied
	result    enforce.Result
	subject   policy.Subject
	decision  policy.Decision
	session   *policy.Session // that decided
}

// Run decides a case.
func (r *Runner) Run(c *Case) *Outcome {
	o := &Outcome{ID: c.ID}
	engine, err := r.engine(c)
	if err != nil { // without a law nothing is permitted
		o.Problem, engine = err.Error(), policy.New(policy.Options{Law: &policy.Law{}})
	}
	q, subjects := r.subjects(c)
	sessions := map[string]*policy.Session{}
	for i := range subjects {
		sub := &subjects[i]
		s := sessions[sub.Origin.Custodian]
		if s == nil {
			about := q
			about.Designations = c.Facts.Organizations[sub.Origin.Custodian].Designations
			s = engine.Begin(&about)
			sessions[sub.Origin.Custodian] = s
		}
		o.Resources = append(o.Resources, Judged{Reference: sub.Resource.Reference(), subject: *sub, session: s, decision: s.Decide(sub)})
	}
	o.enforce()
	o.search(c)
	o.finish(c)
	return o
}

// engine is the one that decides by the law of the case.
func (r *Runner) engine(c *Case) (*policy.Engine, error) {
	if c.Facts.usual() && r.Packs == nil {
		return r.Engine, nil
	}
	builtin, key := r.Packs, ""
	if builtin == nil {
		builtin, key = packs.Builtin, c.Facts.key()
	}
	if e, ok := r.engines.Load(key); ok && key != "" {
		return e.(*policy.Engine), nil
	}
	law, err := c.Facts.law(builtin)
	if err != nil {
		return nil, err
	}
	e := policy.New(policy.Options{Law: law, Directory: c.Facts.Directory})
	if key != "" {
		r.engines.Store(key, e)
	}
	return e, nil
}

// subjects puts the request together as the gateway does from verified facts,
// and what it is asked of.
func (r *Runner) subjects(c *Case) (policy.Request, []policy.Subject) {
	q := c.Request
	q.Consents = c.Consents
	q.Graph = consent.NewResources(c.Resources...)
	subjects := make([]policy.Subject, len(c.Resources))
	for i, res := range c.Resources {
		source, _, _ := strings.Cut(res.Root().Path("meta", "source").Text(), "#")
		sub := policy.Subject{
			Resource: res, Labels: new(label.Labels), Patient: compartment.Subject(res),
			Origin: c.origin(source),
		}
		r.Labeller.Label(res, sub.Origin, sub.Labels)
		subjects[i] = sub
	}
	q.LaunchPatient = inContext(subjects)
	return q, subjects
}

// origin is what the directory says of a custodian; where it says nothing, the
// direction says whether it is a police agency.
func (c *Case) origin(custodian string) resource.Origin {
	o := resource.Origin{Custodian: custodian, Police: c.Request.Direction == policy.PoliceToHealth}
	if org, ok := c.Facts.Organizations[custodian]; ok {
		o.Part2 = org.Part2
		if org.Kind != "" {
			o.Police = org.Kind == "police"
		}
	}
	return o
}

// inContext is the one person whom the resources are about: a patient/ scope
// is taken to be that person's. "" if there are several.
func inContext(subjects []policy.Subject) string {
	person := ""
	for i := range subjects {
		p := subjects[i].Patient
		if p != "" && person != "" && p != person {
			return ""
		}
		person = max(person, p)
	}
	return person
}

// enforce carries the decisions out. What one resource loses can hide another:
// it goes on until nothing changes.
func (o *Outcome) enforce() {
	hidden := map[string]bool{}
	for i := range o.Resources {
		hidden[o.Resources[i].Reference] = !lets(o.Resources[i].decision.Effect)
	}
	partial := map[string]bool{}
	for i := range o.Resources {
		partial[o.Resources[i].Reference] = o.Resources[i].decision.Effect == policy.Redact
	}
	visible := view{hidden: hidden, partial: partial}
	for changed := true; changed; {
		changed = false
		for i := range o.Resources {
			j := &o.Resources[i]
			if hidden[j.Reference] {
				j.set("deny", nil)
				continue
			}
			if err := j.apply(visible); err != nil {
				j.reason("enforce/error", err.Error())
			}
			if j.Resource == nil {
				hidden[j.Reference], changed = true, true
			}
		}
	}
}

// A view is what the requester sees of the case's resources.
type view struct{ hidden, partial map[string]bool }

// Visible implements enforce.Visibility.
func (v view) Visible(ref string) bool { return !v.hidden[local(ref)] }

// Partial implements enforce.Partial.
func (v view) Partial(ref string) bool { return v.partial[local(ref)] }

// local strips server and version.
func local(ref string) string {
	if _, typ, id, ok := resource.SplitReference(ref); ok {
		return typ + "/" + id
	}
	return ref
}

func lets(e policy.Effect) bool { return e == policy.Permit || e == policy.Redact }

func (j *Judged) set(decision string, r *resource.Resource) {
	j.Decision, j.Resource = decision, r
	if j.Reasons == nil {
		j.Reasons = j.decision.Reasons
	}
}

func (j *Judged) reason(rule, detail string) {
	j.Reasons = append(slices.Clip(j.Reasons), policy.Reason{Rule: rule, Effect: "deny", Detail: detail})
}

// apply enforces the decision. On error nothing is let out.
func (j *Judged) apply(v enforce.Visibility) error {
	j.set("deny", nil)
	res, err := enforce.Apply(&j.subject, j.decision, v)
	if err != nil {
		return err
	}
	if res.Body == nil {
		j.reason("enforce/"+strings.ReplaceAll(res.Why, " ", "-"), "nothing useful and valid would be left")
		return nil
	}
	out, err := resource.Parse(slices.Clone(res.Body))
	if err != nil {
		return fmt.Errorf("the enforced resource cannot be read: %w", err)
	}
	j.result = res
	j.set("permit", out)
	if res.Redacted {
		j.set("redact", out)
	}
	return nil
}

// withhold takes a resource back that only something withheld would show.
func (o *Outcome) withhold(i int, detail string) {
	j := &o.Resources[i]
	j.reason("search/withheld-match", detail)
	j.set("deny", nil)
}

// finish counts, labels and adds what goes with the answer.
func (o *Outcome) finish(c *Case) {
	add := func(ob policy.Obligation) {
		if !slices.Contains(o.Obligations, ob) {
			o.Obligations = append(o.Obligations, ob)
		}
	}
	add(policy.Audit)
	notice := false
	for i := range o.Resources {
		j := &o.Resources[i]
		if j.Resource == nil || o.Problem == "" && !slices.Contains(o.matched, i) {
			continue // not part of the answer
		}
		notice = notice || j.result.Notice
		for _, ob := range j.result.Duties {
			add(ob)
		}
		if j.result.Scope != "" && !slices.Contains(o.Notices, j.result.Scope) {
			o.Notices = append(o.Notices, j.result.Scope)
		}
	}
	if notice {
		o.Notices = append([]string{enforce.ShortNotice, enforce.FullNotice}, o.Notices...)
	}
	if c.Interaction.Type != "search" || o.Problem != "" {
		return
	}
	o.Bundle = o.bundle(o.matched)
	o.empty = o.bundle(nil)
}

// bundle renders the searchset of these resources. The notices stand in the
// resources and beside the Bundle, so that its entries are what was found.
func (o *Outcome) bundle(entries []int) []byte {
	b := bundle.New("searchset")
	var high label.HighWater
	total := len(entries)
	if o.page.countOnly {
		entries = nil
	}
	for _, i := range entries[:min(len(entries), o.page.count)] {
		j := &o.Resources[i]
		b.Add("", j.Resource.Raw(), "match")
		high.AddCodes(j.result.Security)
	}
	b.Total(total)
	if len(entries) > 0 {
		var marks []bundle.Coding
		for _, code := range high.Codes() {
			marks = append(marks, bundle.Coding{System: code.System, Code: code.Code})
		}
		b.Security(marks...)
	}
	return b.Bytes()
}
