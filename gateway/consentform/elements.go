package consentform

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A State says how it stands with an element of the form.
type State string

// The states.
const (
	Present   State = "present"
	Missing   State = "missing"
	Review    State = "review"     // it can be in the document only: somebody has to look
	NotNeeded State = "not-needed" // a consent to treatment, payment and operations alone may leave it out
)

// An Element is one that a written consent or an authorization must have.
type Element struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Citation string `json:"citation"`
	Field    string `json:"field"` // where a Consent says it
	Means    string `json:"means"` // what its absence means
}

const notPart2 = "not a valid consent for data of a Part 2 program"

// Elements lists the elements of 42 CFR 2.31 and 45 CFR 164.508 with their
// state in the Consent. A Consent that permits nothing needs none of them: then
// it returns an empty list.
func Elements(r *resource.Resource) []Element {
	f := read(r)
	if !f.permits {
		return []Element{}
	}
	root := r.Root()
	unless := func(there bool) State {
		switch {
		case there:
			return Present
		case f.tpo:
			return NotNeeded
		}
		return Missing
	}
	plain := func(there bool) State {
		if there {
			return Present
		}
		return Missing
	}
	review := func(there bool) State {
		if there {
			return Present
		}
		return Review
	}
	out := []Element{
		{"patient", plain(root.Path("patient", "reference").Text() != ""), "42 CFR 2.31(a)(1)", "patient", "the Consent is about nobody and grants nothing"},
		{"discloser", plain(f.discloser), "42 CFR 2.31(a)(2); 45 CFR 164.508(c)(1)(ii)", "provision.actor with role CST, or organization", notPart2},
		{"description", unless(f.describes), "42 CFR 2.31(a)(3); 45 CFR 164.508(c)(1)(i)", "provision.securityLabel, class, code, data or dataPeriod", "Part 2 data is not covered"},
		{"recipient", unless(f.recipient), "42 CFR 2.31(a)(4); 45 CFR 164.508(c)(1)(iii)", "provision.actor with role IRCP", notPart2},
		{"purpose", plain(f.purpose), "42 CFR 2.31(a)(5); 45 CFR 164.508(c)(1)(iv)", "provision.purpose", notPart2},
		{"right-to-revoke", review(f.document), "42 CFR 2.31(a)(6); 45 CFR 164.508(c)(2)(i)", "policy.uri of the form, or its source document", "look whether the form states the right to revoke and how"},
		{"expiry", unless(f.expires), "42 CFR 2.31(a)(7); 45 CFR 164.508(c)(1)(v)", "provision.period.end", notPart2},
		{"signature", plain(f.source && f.performer), "42 CFR 2.31(a)(8); 45 CFR 164.508(c)(1)(vi)", "source[x] and performer", notPart2},
		{"date", plain(f.dated), "42 CFR 2.31(a)(9); 45 CFR 164.508(c)(1)(vi)", "dateTime", notPart2},
	}
	if f.tpo {
		out = append(out, Element{"tpo-statements", review(f.part2Form && f.document), "42 CFR 2.31(a)(10)", "policyRule 42CFRPart2CD and policy.uri of the form's version", "look whether the form has the statements on redisclosure and on refusal"})
	}
	return out
}

// A form is what Elements looks at.
type form struct {
	terms
	permits                        bool // some rule permits
	source, performer, dated       bool
	document, part2Form, claimForm bool // policy.uri or a source; policyRule names a form
}

func read(r *resource.Resource) form {
	var f form
	root := r.Root()
	f.source = root.Get("sourceAttachment").Kind() == resource.Object || root.Get("sourceReference").Kind() == resource.Object
	f.performer = root.Get("performer").Len() > 0
	f.dated = root.Get("dateTime").Exists()
	f.document = f.source
	for p := range root.All("policy") {
		f.document = f.document || p.Get("uri").Text() != ""
	}
	for c := range root.Path("policyRule", "coding").Elements() {
		switch terminology.SystemOf(c.Get("system").Text()) {
		case terminology.ActCode, terminology.ActUSPrivacyLaw:
			part2 := slices.Contains(part2Forms, c.Get("code").Text())
			f.part2Form = f.part2Form || part2
			f.claimForm = f.claimForm || part2 || slices.Contains(authForms, c.Get("code").Text())
		}
	}
	var t terms
	for o := range root.All("organization") {
		t.discloser = t.discloser || o.Get("reference").Exists() || o.Get("identifier").Exists()
	}
	f.granted(root.Get("provision"), t, optsIn(root), &budget{maxRules})
	return f
}

// terms are what a permit says by itself and by the rules around it.
type terms struct {
	discloser, recipient, purpose bool
	describes, expires            bool
	tpo                           bool // every purpose is treatment, payment or operations
}

type budget struct{ left int }

// granted collects the terms that every permit has. What an exception says, a
// date or a purpose of a deny, is no term of what is permitted.
func (f *form) granted(p resource.Node, around terms, permit bool, b *budget) {
	if p.Kind() != resource.Object || b.left == 0 {
		return
	}
	b.left--
	t := around.with(p)
	if permit || p.Get("type").Is("permit") {
		if f.permits {
			t.discloser, t.recipient, t.purpose = t.discloser && f.discloser, t.recipient && f.recipient, t.purpose && f.purpose
			t.describes, t.expires, t.tpo = t.describes && f.describes, t.expires && f.expires, t.tpo && f.tpo
		}
		f.permits, f.terms = true, t
	}
	for c := range p.All("provision") {
		f.granted(c, around.with(p), false, b)
	}
}

// with adds what a rule says to the terms around it.
func (t terms) with(p resource.Node) terms {
	t.describes = t.describes || describes(p)
	t.expires = t.expires || p.Path("period", "end").Exists()
	for _, a := range actors(p) {
		t.recipient = t.recipient || a.recipient && (a.identified || a.display)
		t.discloser = t.discloser || a.custodian
	}
	if p.Get("purpose").Len() > 0 {
		t.purpose, t.tpo = true, true
		for c := range p.All("purpose") {
			t.tpo = t.tpo && isTPO(c)
		}
	}
	return t
}

var (
	part2Forms = []string{"42CFRPart2CD", "42CFRPart2", "MDHHS-5515Part2"}
	authForms  = []string{"HIPAAAuthCD", "HIPAAAuth", "HIPAAPsyNotes"}
)

// optsIn says whether a root without a type permits by its policyRule.
func optsIn(root resource.Node) bool {
	if root.Path("provision", "type").Exists() || !root.Get("provision").Exists() {
		return false
	}
	for c := range root.Path("policyRule", "coding").Elements() {
		if code := c.Get("code").Text(); code == "OPTIN" || code == "OPTINR" {
			return true
		}
	}
	return false
}

func describes(p resource.Node) bool {
	for _, name := range [...]string{"securityLabel", "class", "code", "data", "dataPeriod"} {
		if p.Get(name).Exists() {
			return true
		}
	}
	return false
}

func isTPO(c resource.Node) bool {
	code := c.Get("code").Text()
	return terminology.SystemOf(c.Get("system").Text()) == terminology.ActReason && (code == "TREAT" || code == "HPAYMT" || code == "HOPERAT")
}

// maxRules bounds how many rules of one Consent are read.
const maxRules = 1000

// eachRule visits a provision and those below it, with their FHIRPath and the
// rule around them.
func eachRule(top resource.Node, at string, visit func(p resource.Node, at string, parent resource.Node)) {
	left := maxRules
	var walk func(n resource.Node, at string, parent resource.Node)
	walk = func(n resource.Node, at string, parent resource.Node) {
		if n.Kind() != resource.Object || left == 0 {
			return
		}
		left--
		visit(n, at, parent)
		i := 0
		for c := range n.All("provision") {
			walk(c, indexed(at+".provision", i), n)
			i++
		}
	}
	walk(top, at, resource.Node{})
}
