package whatif

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/consentform"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A Directory says what the site's configuration knows of organisations.
type Directory interface {
	Kind(organization string) string // police, health, exchange; "" if unknown
	Part2(organization string) bool  // all that it keeps is a Part 2 program's
	Agreements(from, to string, purposes []label.Code, at time.Time) []string
	Jurisdiction(custodian string) string
}

// Options are what a Consent is tried with.
type Options struct {
	At        time.Time
	Engine    *policy.Engine
	Labeller  *label.Labeller
	Directory Directory // nil: nothing is known of the organisations
	// Source says how the Consent counts for one custodian's data and one
	// requesting organisation; nil: as recorded by somebody entitled to grant.
	Source func(custodian, requester string) consent.Source
	// Custodians is whose data is tried where the Consent names none.
	Custodians []string
}

// The decisions of a cell. Some: of the forms in which the class was tried the
// Consent opens one and another not, because it names dates, codes or instances.
const (
	Open   = "permit"
	Part   = "redact"
	Some   = "some"
	Closed = "deny"
)

// A Cell is how one class of data stands to one requester.
type Cell struct {
	Class   string        `json:"class"`
	Without string        `json:"without"`
	With    string        `json:"with"`
	Changed bool          `json:"changed"`
	Reason  policy.Reason `json:"reason"` // of the decision with the Consent
}

// A Row is one requester.
type Row struct {
	Requester string `json:"requester"`
	Title     string `json:"title"`
	As        string `json:"as,omitempty"` // whom the Consent names; "": anybody else
	Cells     []Cell `json:"cells"`
}

// A Matrix is what a Consent does with the data of one custodian.
type Matrix struct {
	Custodian string `json:"custodian"`
	Rows      []Row  `json:"rows"`
}

const (
	maxCustodians = 4
	maxRecipients = 6
	anybody       = "Organization/not-named-by-the-consent"
	somewhere     = "Organization/sample-custodian"
)

// Classes lists the classes of data, in the order of every row's cells.
func Classes() []Class {
	out := make([]Class, len(samples))
	for i := range samples {
		out[i] = samples[i].Class
	}
	return out
}

// Foresee tries a Consent. A Consent that is about nobody is tried about a
// sample person.
func Foresee(r *resource.Resource, o Options) ([]Matrix, error) {
	if o.At.IsZero() || o.Engine == nil || o.Labeller == nil {
		return nil, fmt.Errorf("whatif: a part is missing")
	}
	t := trial{o: o, r: r, patient: r.Root().Path("patient", "reference").Text()}
	if _, typ, _, ok := resource.SplitReference(t.patient); !ok || typ != "Patient" {
		t.patient = "Patient/sample"
	}
	if len(r.Raw()) > MaxBytes {
		return nil, ErrTooLarge
	}
	out := []Matrix{}
	for _, custodian := range t.custodians() {
		forms, err := t.forms(custodian)
		if err != nil {
			return nil, err
		}
		m := Matrix{Custodian: custodian}
		for _, a := range t.askers() {
			m.Rows = append(m.Rows, t.row(forms, a))
		}
		out = append(out, m)
	}
	return out, nil
}

// MaxBytes is the largest Consent that is tried: it is tried many times.
const MaxBytes = 32 << 10

// ErrTooLarge says that a Consent is larger than MaxBytes.
var ErrTooLarge = errors.New("the Consent is too large to be tried")

// forms makes the samples of every class, as they come from one custodian.
func (t *trial) forms(custodian string) ([][]*policy.Subject, error) {
	var out [][]*policy.Subject
	for i := range samples {
		class := &samples[i]
		origin := resource.Origin{System: "sample", Custodian: custodian, Part2: class.part2, Police: class.police}
		if d := t.o.Directory; d != nil { // whatever it is, it comes from there
			origin.Part2 = origin.Part2 || d.Part2(custodian)
			origin.Police = origin.Police || d.Kind(custodian) == "police"
		}
		var subjects []*policy.Subject
		for _, v := range variants(t.r, class.typ, t.o.At) {
			res, err := class.build(v, t.patient)
			if err != nil {
				return nil, fmt.Errorf("whatif: %s: %w", class.Name, err)
			}
			subject := &policy.Subject{Resource: res, Origin: origin, Patient: t.patient, Labels: new(label.Labels)}
			t.o.Labeller.Label(res, origin, subject.Labels)
			subjects = append(subjects, subject)
		}
		out = append(out, subjects)
	}
	return out, nil
}

// A trial is one Consent that is tried.
type trial struct {
	o       Options
	r       *resource.Resource
	patient string
}

// custodians lists whose data is tried: whom the Consent names, else who issued
// it, else whom the options name.
func (t *trial) custodians() []string {
	var out []string
	add := func(ref string) {
		if _, typ, _, ok := resource.SplitReference(ref); ok && typ == "Organization" && !slices.Contains(out, ref) && len(out) < maxCustodians {
			out = append(out, ref)
		}
	}
	for _, p := range consentform.Custodians(t.r) {
		add(p.Reference)
	}
	for n := range t.r.Root().All("organization") {
		add(n.Get("reference").Text())
	}
	if len(out) == 0 {
		for _, c := range t.o.Custodians {
			add(c)
		}
	}
	if len(out) == 0 {
		out = append(out, somewhere)
	}
	return out
}

// A seat is a kind of requester as somebody.
type seat struct {
	asker
	as    consentform.Party
	named bool
}

// askers lists every kind of requester as each of whom the Consent names, where
// that can be, and as somebody else.
func (t *trial) askers() []seat {
	var out []seat
	parties := consentform.Recipients(t.r)
	parties = parties[:min(len(parties), maxRecipients)]
	for _, a := range askers {
		for _, p := range parties {
			if !p.AnyOfRoles && t.can(&a, p.Reference) {
				out = append(out, seat{a, p, true})
			}
		}
		if !a.through {
			out = append(out, seat{asker: a})
		}
	}
	return out
}

// can says whether somebody of the organisation can be such a requester.
func (t *trial) can(a *asker, organization string) bool {
	kind := ""
	if t.o.Directory != nil {
		kind = t.o.Directory.Kind(organization)
	}
	switch kind {
	case "exchange":
		return a.through
	case "police":
		return a.police && !a.through
	case "health":
		return !a.police && !a.through
	}
	return true
}

func (t *trial) row(forms [][]*policy.Subject, s seat) Row {
	row := Row{Requester: s.Name, Title: s.Title, As: s.as.Reference}
	if row.As == "" && s.as.Value != "" {
		row.As = s.as.System + "|" + s.as.Value
	}
	for i := range samples {
		row.Cells = append(row.Cells, t.cell(forms[i], &s, samples[i].Name))
	}
	return row
}

// cell tries one class, in every form that the Consent's conditions ask for.
func (t *trial) cell(forms []*policy.Subject, s *seat, class string) Cell {
	origin := forms[0].Origin
	q := t.question(s, origin)
	source := consent.Source{Entitled: true}
	if t.o.Source != nil {
		source = t.o.Source(origin.Custodian, q.Requester.Organization)
	}
	without := t.o.Engine.Begin(q)
	q2 := *q
	q2.Consents = []*consent.Consent{consent.Parse(t.r, source)}
	q2.Graph = consent.Resources{}
	with := t.o.Engine.Begin(&q2)
	c := Cell{Class: class}
	for i, subject := range forms {
		a, b := without.Decide(subject), with.Decide(subject)
		if i == 0 {
			c.Without, c.With, c.Reason = word(a), word(b), last(b)
			continue
		}
		if word(b) != Closed && c.With == Closed {
			c.Reason = last(b)
		}
		c.Without, c.With = join(c.Without, word(a)), join(c.With, word(b))
	}
	c.Changed = c.With != c.Without
	return c
}

func word(d policy.Decision) string {
	switch d.Effect {
	case policy.Permit:
		return Open
	case policy.Redact:
		return Part
	case policy.Deny, policy.Indeterminate, policy.NotApplicable:
	}
	return Closed
}

func join(a, b string) string {
	if a == b {
		return a
	}
	return Some
}

// last is the reason that settled a decision: the last one to the same effect.
func last(d policy.Decision) policy.Reason {
	want := "deny"
	if d.Effect == policy.Permit || d.Effect == policy.Redact {
		want = "permit"
	}
	for i := len(d.Reasons) - 1; i >= 0; i-- {
		if d.Reasons[i].Effect == want {
			return d.Reasons[i]
		}
	}
	return policy.Reason{}
}

// question puts together what such a requester asks.
func (t *trial) question(s *seat, o resource.Origin) *policy.Request {
	purpose := label.Code{System: purposeSystem(s.purpose), Code: s.purpose}
	q := &policy.Request{
		At: t.o.At, Action: "access", DenyActions: []string{"use", "disclose"}, Purposes: []label.Code{purpose},
		Scopes: smart.ParseGranted("system/*.rs"), Person: []string{t.patient},
		Requester: policy.Requester{
			Client: "what-if", Organization: anybody, Police: s.police, TreatingProvider: s.treating, MedicalPersonnel: s.medical,
			Roles: []label.Code{{System: terminology.ActorRole.URI(), Code: s.role}},
		},
	}
	if s.named {
		name(&q.Requester, s)
	}
	if o.Police && !s.police {
		q.Direction = policy.PoliceToHealth
	}
	if s.glass {
		q.BreakGlass = &policy.BreakGlass{Declared: true, Reason: "what-if", ConsentCannotBeObtained: true}
	}
	if d := t.o.Directory; d != nil {
		q.Agreements = d.Agreements(o.Custodian, q.Requester.Organization, q.Purposes, t.o.At)
		q.Jurisdiction = d.Jurisdiction(o.Custodian)
	}
	return q
}

// name makes the requester somebody whom the Consent names.
func name(r *policy.Requester, s *seat) {
	_, typ, _, _ := resource.SplitReference(s.as.Reference)
	switch {
	case s.through:
		r.Networks = []string{s.as.Reference}
	case typ == "Organization":
		r.Organization = s.as.Reference
	case typ == "CareTeam":
		r.CareTeams = []string{s.as.Reference}
	case typ == "Group":
		r.Groups = []string{s.as.Reference}
	case s.as.Reference != "":
		r.Reference = s.as.Reference
	default:
		r.Identifiers = []policy.Identifier{{System: s.as.System, Value: s.as.Value}}
	}
}

// Say puts into words what the Consent changes, one line a requester.
func Say(ms []Matrix) []string {
	var out []string
	titles := map[string]string{}
	for _, c := range Classes() {
		titles[c.Name] = c.Title
	}
	for _, m := range ms {
		for _, r := range m.Rows {
			var opens, closes []string
			for _, c := range r.Cells {
				switch {
				case !c.Changed:
				case c.Without == Closed:
					opens = append(opens, qualified(titles[c.Class], c.With))
				default:
					closes = append(closes, qualified(titles[c.Class], c.With))
				}
			}
			as := "anybody not named"
			if r.As != "" {
				as = r.As
			}
			line := r.Title + " (" + as + "), data of " + m.Custodian + ": "
			switch {
			case len(opens)+len(closes) == 0:
				continue
			case len(closes) == 0:
				line += "opens " + strings.Join(opens, ", ")
			case len(opens) == 0:
				line += "withholds " + strings.Join(closes, ", ")
			default:
				line += "opens " + strings.Join(opens, ", ") + "; withholds " + strings.Join(closes, ", ")
			}
			out = append(out, line)
		}
	}
	return out
}

func qualified(title, with string) string {
	switch with {
	case Some:
		return title + " (in part: what it names)"
	case Part:
		return title + " (some elements)"
	}
	return title
}
