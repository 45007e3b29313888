package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
)

// Forms of written consent that a draft may take.
var draftForms = []struct {
	code   ChangeCode
	policy string // policyRule of v3-ActCode
	detail string
}{
	{NewConsent, "HIPAAConsentCD", "the person permits it: a Consent in writing to this requester, recorded by somebody entitled to"},
	{NewPart2, "42CFRPart2CD", "the person permits it: a Consent with all elements of 42 CFR 2.31 that names the requester, recorded by somebody entitled to"},
	{NewPsychotherapy, "HIPAAAuthCD", "the person permits it: an authorization for psychotherapy notes alone (45 CFR 164.508(a)(2)), recorded by somebody entitled to"},
}

// drafts are Consents that would speak for the resource, in the forms that
// exist, and their combinations where one alone cannot cover its labels.
func (x *explainer) drafts() [][]Change {
	var single []Change
	for _, f := range draftForms {
		raw, ok := x.draft(f.code, f.policy)
		if !ok {
			return nil
		}
		r, err := resource.Parse(raw)
		if err != nil {
			return nil
		}
		c := consent.Parse(r, consent.Source{Entitled: true, Reference: "Consent/(new)"})
		single = append(single, Change{
			Code: f.code, Detail: f.detail, Draft: raw,
			apply: func(q *Request) { q.Consents = append(slices.Clip(slices.Clone(q.Consents)), c) },
		})
	}
	// The least form that does is offered, not every one that does.
	all := [][]Change{{single[0]}, {single[1]}, {single[2]}, {single[0], single[2]}, {single[1], single[2]}}
	for _, changes := range all {
		if d := x.decide(changes...); d.compare(&x.now) > 0 {
			return [][]Change{changes}
		}
	}
	return all // for a pair with another change
}

type object = map[string]any

func coded(system, code string) object {
	return object{"coding": []object{{"system": system, "code": code}}}
}

// draft writes the Consent: by the person, of the custodian's data of these
// labels and this type, to the requester, for the declared purposes, for a year.
func (x *explainer) draft(form ChangeCode, policyRule string) (raw json.RawMessage, ok bool) {
	q, s := x.s.req, x.subject
	recipient := x.recipient()
	if s.Patient == "" || recipient == nil || len(q.Purposes) == 0 {
		return nil, false
	}
	patient := object{"reference": s.Patient}
	provision := object{
		"type":          "permit",
		"period":        object{"start": q.At.Format(time.RFC3339), "end": q.At.AddDate(1, 0, 0).Format(time.RFC3339)},
		"purpose":       purposeCodings(q.Purposes),
		"actor":         []object{{"role": coded(participation, "IRCP"), "reference": recipient}},
		"class":         []object{{"system": "http://hl7.org/fhir/resource-types", "code": s.Resource.Type()}},
		"securityLabel": x.draftLabels(form),
	}
	if len(x.draftLabels(form)) == 0 {
		delete(provision, "securityLabel")
	}
	out := object{
		"resourceType": "Consent", "status": "active", "patient": patient, "dateTime": q.At.Format(time.RFC3339),
		"scope":     coded("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
		"category":  []object{coded("http://loinc.org", "59284-0")},
		"performer": []object{patient}, "sourceAttachment": object{"title": "the signed form"},
		"policyRule": coded(terminology.ActCode.URI(), policyRule), "provision": provision,
	}
	if custodian := s.Origin.Custodian; custodian != "" {
		out["organization"] = []object{{"reference": custodian}}
		provision["actor"] = append(provision["actor"].([]object), object{"role": coded(participation, "CST"), "reference": object{"reference": custodian}})
	}
	raw, err := json.Marshal(out)
	return raw, err == nil
}

const participation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

// recipient names the requester: its organisation, else the person, else a
// business identifier.
func (x *explainer) recipient() object {
	r := &x.s.req.Requester
	switch {
	case r.Organization != "":
		return object{"reference": r.Organization}
	case r.Reference != "":
		return object{"reference": r.Reference}
	case len(r.Identifiers) > 0:
		return object{"identifier": object{"system": r.Identifiers[0].System, "value": r.Identifiers[0].Value}}
	}
	return nil
}

func purposeCodings(list []label.Code) []object {
	var out []object
	for _, p := range list {
		out = append(out, object{"system": p.System, "code": p.Code})
	}
	return out
}

// draftLabels are the sensitivities of the resource and its elements, which a
// permit must cover, and what the form asks for.
func (x *explainer) draftLabels(form ChangeCode) []object {
	if form == NewPsychotherapy {
		return actCodes("PSYTHPN", "HIPAAPsyNotes")
	}
	var codes []string
	add := func(l *label.Labels) {
		for _, s := range l.Sensitivity {
			if !slices.Contains(codes, s) {
				codes = append(codes, s)
			}
		}
	}
	add(x.subject.Labels)
	for i := range x.subject.Labels.Elements {
		add(&x.subject.Labels.Elements[i].Labels)
	}
	if form == NewPart2 {
		codes = append(codes, label.Part2)
	}
	slices.SortFunc(codes, strings.Compare)
	return actCodes(codes...)
}

func actCodes(codes ...string) []object {
	var out []object
	for _, c := range codes {
		out = append(out, object{"system": terminology.ActCode.URI(), "code": c})
	}
	return out
}
