package disclosure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
)

// A Disclosure is what one answer gave of one Patient's records, by one
// custodian and on one ground.
type Disclosure struct {
	At        time.Time `json:"at"`
	Last      time.Time `json:"last,omitzero"`  // of several that are told together
	Times     int       `json:"times"`          // how many; 1 unless they are told together
	Request   string    `json:"request"`        // of the first: X-Request-Id
	Patient   string    `json:"patient"`        // whom it was about; a person may have several
	Custodian string    `json:"from,omitempty"` // whose record it was
	Recipient string    `json:"to"`             // organisation
	User      string    `json:"user,omitempty"` // who asked there, where that is known
	// Records is the brief description: types with their numbers.
	Records    string   `json:"records"`
	References []string `json:"references"`
	Redacted   bool     `json:"redacted,omitempty"` // parts were left out
	Purposes   []string `json:"purposes,omitempty"`
	Grounds    []string `json:"grounds"`           // Consents and paragraphs
	Requests   []string `json:"bases,omitempty"`   // accepted legal bases, which hold the request
	Lists      []string `json:"lists,omitempty"`   // that it belongs in
	Outside    []string `json:"outside,omitempty"` // why the accounting leaves it out
	// General is for the list of an intermediary: "general", "individual", or
	// "undetermined" where the Consent is not there any more.
	General string `json:"designation,omitempty"`
	// Doubt says why it is in a list although that is not certain.
	Doubt string `json:"doubt,omitempty"`
}

// A Gatherer collects the disclosures of one person's records.
type Gatherer struct {
	// Person lists the references that denote the person.
	Person []string
	// Designation says how the Consent of a reason named the recipient.
	Designation func(e *audit.Event, j *audit.Judged, r *policy.Reason) consent.Designation
	From, To    time.Time // To is not included; zero: no bound

	all []*Disclosure
	// Known says that some event was about the person, whatever came of it.
	Known bool
}

// Add takes what an event disclosed.
func (g *Gatherer) Add(e *audit.Event) {
	if slices.ContainsFunc(e.Patients, g.is) {
		g.Known = true
	}
	if !sent(e) || !g.From.IsZero() && e.At.Before(g.From) || !g.To.IsZero() && !e.At.Before(g.To) {
		return
	}
	first := len(g.all)
	for i := range e.Resources {
		j := &e.Resources[i]
		patient, doubt := g.about(e, j)
		if patient == "" || j.Unsent || j.Decision != "permit" && j.Decision != "redact" ||
			j.Origin.Custodian != "" && j.Origin.Custodian == e.Organization || ownUse(j) {
			continue
		}
		d := g.disclosure(e, j, patient, doubt)
		if n := slices.IndexFunc(g.all[first:], func(o *Disclosure) bool { return o.sameAs(d) }); n >= 0 {
			g.all[first+n].take(d)
			continue
		}
		g.all = append(g.all, d)
	}
}

// sent says whether an answer with content left: 304 confirms what somebody has.
func sent(e *audit.Event) bool {
	return e.Outcome == audit.Success && (e.Status >= 200 && e.Status < 300 || e.Status == 304)
}

func (g *Gatherer) is(ref string) bool { return slices.Contains(g.Person, ref) }

// ownUse says whether an event without origins says that the requester's
// organisation was the custodian: that is a use and no disclosure.
func ownUse(j *audit.Judged) bool {
	on := grounds(j)
	return j.Origin.Custodian == "" && len(on) > 0 && !slices.ContainsFunc(on, func(r policy.Reason) bool { return r.Rule != "baseline/own-record" })
}

// about says which of the person's Patients a resource was about. Events of
// earlier releases name the Patients of the whole answer: then it may be.
func (g *Gatherer) about(e *audit.Event, j *audit.Judged) (patient, doubt string) {
	if j.Patient != "" {
		if g.is(j.Patient) {
			return j.Patient, ""
		}
		return "", ""
	}
	if e.Facts != nil { // about nobody: staff, places
		return "", ""
	}
	for _, p := range e.Patients {
		if g.is(p) {
			if slices.ContainsFunc(e.Patients, func(o string) bool { return !g.is(o) }) {
				return p, "the record names several patients in one answer and not whose this was"
			}
			return p, ""
		}
	}
	return "", ""
}

func (g *Gatherer) disclosure(e *audit.Event, j *audit.Judged, patient, doubt string) *Disclosure {
	d := &Disclosure{
		At: e.At, Times: 1, Request: e.ID, Patient: patient, Custodian: j.Origin.Custodian, Recipient: e.Organization, User: e.User,
		References: []string{j.Reference}, Redacted: j.Decision == "redact", Purposes: e.Purposes, Doubt: doubt,
	}
	if d.Recipient == "" {
		d.Recipient = e.Client
	}
	on := grounds(j)
	for _, r := range on {
		add(&d.Grounds, groundOf(&r))
		if r.Basis != "" {
			add(&d.Requests, r.Basis)
		}
	}
	obligations := j.Obligations
	if e.Facts == nil { // of the whole answer
		obligations = e.Obligations
	}
	g.list(e, j, on, obligations, d)
	return d
}

// list says in which lists a disclosure belongs.
func (g *Gatherer) list(e *audit.Event, j *audit.Judged, on []policy.Reason, obligations []string, d *Disclosure) {
	if isPart2(j) && onConsent(on) {
		d.Lists = append(d.Lists, Part2)
		if d.General = g.designation(e, j, on); d.General != "individual" {
			d.Lists = append(d.Lists, Intermediary)
		}
	}
	except, ok := excluded(j, on)
	switch {
	case slices.Contains(obligations, string(policy.Account)):
		d.Lists = append(d.Lists, Accounting)
	case ok:
		for _, x := range except {
			d.Outside = append(d.Outside, x.citation+": "+x.text)
		}
	default:
		d.Lists = append(d.Lists, Accounting)
		if d.Doubt == "" {
			d.Doubt = "its ground falls under no exception that is known here"
		}
	}
}

// designation combines those of all Consents that were grounds: general as soon
// as one is.
func (g *Gatherer) designation(e *audit.Event, j *audit.Judged, on []policy.Reason) string {
	out := "individual"
	for i := range on {
		if on[i].Consent == "" {
			continue
		}
		of := consent.Undetermined
		if g.Designation != nil {
			of = g.Designation(e, j, &on[i])
		}
		switch {
		case of == consent.General:
			return "general"
		case of == consent.Undetermined:
			out = "undetermined"
		}
	}
	return out
}

func groundOf(r *policy.Reason) string {
	var parts []string
	for _, s := range []string{r.Consent, r.Path, r.Citation} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return r.Rule
	}
	return strings.Join(parts, " ")
}

func add(list *[]string, s string) {
	if !slices.Contains(*list, s) {
		*list = append(*list, s)
	}
}

// sameAs says whether two resources of one answer are one disclosure.
func (d *Disclosure) sameAs(o *Disclosure) bool {
	return d.Request == o.Request && d.sameKind(o) && slices.Equal(d.Grounds, o.Grounds) && d.General == o.General && d.Doubt == o.Doubt
}

// sameKind says whether two disclosures may be told together: 164.528(b)(3) asks
// for one recipient and one purpose.
func (d *Disclosure) sameKind(o *Disclosure) bool {
	return d.Patient == o.Patient && d.Custodian == o.Custodian && d.Recipient == o.Recipient && d.User == o.User &&
		slices.Equal(d.Purposes, o.Purposes) && slices.Equal(d.Requests, o.Requests) && slices.Equal(d.Lists, o.Lists) &&
		slices.Equal(d.Outside, o.Outside)
}

func (d *Disclosure) take(o *Disclosure) {
	d.References = append(d.References, o.References...)
	d.Redacted = d.Redacted || o.Redacted
}

// List returns what belongs in one of the lists, oldest first; none: every
// disclosure, those outside all lists too. With together, those of 164.528 to
// one recipient for one purpose on one ground are told once, with their number
// and the last one's time (164.528(b)(3)).
func (g *Gatherer) List(together bool, lists ...string) []Disclosure {
	var out []Disclosure
	// Trails of several gateways come one after the other.
	slices.SortStableFunc(g.all, func(a, b *Disclosure) int { return a.At.Compare(b.At) })
	for _, d := range g.all {
		if len(lists) > 0 && !slices.ContainsFunc(d.Lists, func(l string) bool { return slices.Contains(lists, l) }) {
			continue
		}
		n := -1
		if together && slices.Contains(d.Lists, Accounting) {
			n = slices.IndexFunc(out, func(o Disclosure) bool {
				return o.sameKind(d) && slices.Equal(o.Grounds, d.Grounds) && types(o.References) == types(d.References) && o.Doubt == d.Doubt
			})
		}
		if n >= 0 {
			out[n].Times++
			out[n].Last = d.At
			continue
		}
		c := *d
		c.Records = types(d.References)
		if d.Redacted {
			c.Records += ", in part"
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b Disclosure) int { return a.At.Compare(b.At) })
	return out
}

// types counts references by type: "2 Encounter, 1 Patient".
func types(references []string) string {
	count := map[string]int{}
	var names []string
	for _, ref := range references {
		typ, _, _ := strings.Cut(ref, "/")
		if count[typ] == 0 {
			names = append(names, typ)
		}
		count[typ]++
	}
	slices.Sort(names)
	for i, n := range names {
		names[i] = fmt.Sprintf("%d %s", count[n], n)
	}
	return strings.Join(names, ", ")
}
