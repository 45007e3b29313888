package cases

import (
	"encoding/json"
	"strings"
)

// The tables are written with the helpers of this file: each makes a piece of
// JSON of one case.

type doc = map[string]any

// A part sets something in a piece.
type part func(doc)

func with(d doc, parts ...part) doc {
	for _, p := range parts {
		p(d)
	}
	return d
}

const (
	tho    = "http://terminology.hl7.org/CodeSystem/"
	own    = "https://handoff-health.github.io/fhir/CodeSystem/"
	icd10  = "http://hl7.org/fhir/sid/icd-10-cm"
	loinc  = "http://loinc.org"
	types  = "http://hl7.org/fhir/resource-types"
	pmhc   = "https://example.org/northfield/"
	agency = "Organization/northfield-pd"
	clinic = "Organization/lakeside-clinic"
	sudorg = "Organization/harbor-recovery"
	person = "Patient/ida"
)

func coding(system, code string) doc  { return doc{"system": system, "code": code} }
func concept(system, code string) doc { return doc{"coding": []any{coding(system, code)}} }
func reference(to string) doc         { return doc{"reference": to} }
func push(d doc, name string, values ...any) {
	list, _ := d[name].([]any)
	d[name] = append(list, values...)
}

// purposeCode knows which system a purpose is of.
func purposeCode(code string) doc {
	if code == "LAWENF" || code == "CRISIS" {
		return coding(own+"purpose-of-use", code)
	}
	return coding(tho+"v3-ActReason", code)
}

// labelCode knows which system a label is of.
func labelCode(code string) doc {
	switch code {
	case "U", "L", "M", "N", "R", "V":
		return coding(tho+"v3-Confidentiality", code)
	case "CHRI", "NCIC-RESTRICTED", "JUVENILE":
		return coding(own+"cji-label", code)
	}
	return coding(tho+"v3-ActCode", code)
}

// Rules.

func permit(parts ...part) doc { return with(doc{"type": "permit"}, parts...) }
func deny(parts ...part) doc   { return with(doc{"type": "deny"}, parts...) }
func rule(parts ...part) doc   { return with(doc{}, parts...) }

func actor(role doc, ref doc) part {
	return func(d doc) { push(d, "actor", doc{"role": role, "reference": ref}) }
}
func recipient(refs ...string) part {
	return func(d doc) {
		for _, r := range refs {
			actor(concept(tho+"v3-ParticipationType", "IRCP"), reference(r))(d)
		}
	}
}
func participant(role, ref string) part {
	return actor(concept(tho+"v3-ParticipationType", role), reference(ref))
}
func anyone(role string) part {
	return actor(concept(own+"actor-role", role), doc{"display": "any " + role})
}
func purpose(codes ...string) part {
	return func(d doc) {
		for _, c := range codes {
			push(d, "purpose", purposeCode(c))
		}
	}
}
func label(codes ...string) part {
	return func(d doc) {
		for _, c := range codes {
			push(d, "securityLabel", labelCode(c))
		}
	}
}
func class(names ...string) part {
	return func(d doc) {
		for _, n := range names {
			push(d, "class", coding(types, n))
		}
	}
}
func classOf(system, code string) part { return func(d doc) { push(d, "class", coding(system, code)) } }
func code(system, c string) part       { return func(d doc) { push(d, "code", concept(system, c)) } }
func action(codes ...string) part {
	return func(d doc) {
		for _, c := range codes {
			push(d, "action", concept(tho+"consentaction", c))
		}
	}
}
func span(start, end string) doc {
	d := doc{}
	if start != "" {
		d["start"] = start
	}
	if end != "" {
		d["end"] = end
	}
	return d
}
func period(start, end string) part     { return set("period", span(start, end)) }
func dataPeriod(start, end string) part { return set("dataPeriod", span(start, end)) }
func data(meaning, ref string) part {
	return func(d doc) { push(d, "data", doc{"meaning": meaning, "reference": reference(ref)}) }
}
func nested(rules ...doc) part {
	return func(d doc) {
		for _, r := range rules {
			push(d, "provision", r)
		}
	}
}
func set(name string, value any) part { return func(d doc) { d[name] = value } }
func without(name string) part        { return func(d doc) { delete(d, name) } }

// Consents.

func consent(id string, provision doc, parts ...part) doc {
	d := doc{
		"resourceType": "Consent", "id": id, "status": "active",
		"scope":        concept(tho+"consentscope", "patient-privacy"),
		"category":     []any{concept(loinc, "59284-0")},
		"patient":      reference(person),
		"dateTime":     "2026-02-03T10:00:00-06:00",
		"performer":    []any{reference(person)},
		"organization": []any{reference(clinic)}, "sourceReference": reference("DocumentReference/form-" + id),
		"policyRule": concept(tho+"v3-ActCode", "HIPAAConsentCD"),
	}
	if provision != nil {
		d["provision"] = provision
	}
	return with(d, parts...)
}
func policyRule(code string) part { return set("policyRule", concept(tho+"v3-ActCode", code)) }
func number(value string) part {
	return set("identifier", []any{doc{"system": pmhc + "consents", "value": value}})
}
func dated(at string) part { return set("dateTime", at) }
func part2Form() part {
	return func(d doc) {
		policyRule("42CFRPart2CD")(d)
		d["organization"] = []any{reference(sudorg)}
	}
}

// Resources.

func labelled(codes ...string) part {
	return func(d doc) {
		meta, _ := d["meta"].(doc)
		if meta == nil {
			meta = doc{}
			d["meta"] = meta
		}
		for _, c := range codes {
			push(meta, "security", labelCode(c))
		}
	}
}
func from(custodian string) part {
	return func(d doc) {
		labelled()(d)
		d["meta"].(doc)["source"] = custodian
	}
}
func plan(id string, parts ...part) doc {
	return with(doc{"resourceType": "CarePlan", "id": id, "status": "active", "intent": "plan", "title": "Crisis plan", "subject": reference(person), "created": "2026-03-10"}, parts...)
}
func team(id string, parts ...part) doc {
	return with(doc{"resourceType": "CareTeam", "id": id, "status": "active", "subject": reference(person), "participant": []any{doc{"member": doc{"display": "Warm line, day and night"}}}}, parts...)
}
func glucose(id, when string, parts ...part) doc {
	d := doc{"resourceType": "Observation", "id": id, "status": "final", "code": concept(loinc, "2345-7"), "subject": reference(person)}
	if when != "" {
		d["effectiveDateTime"] = when
	}
	return with(d, parts...)
}
func condition(id, icd string, parts ...part) doc {
	return with(doc{
		"resourceType": "Condition", "id": id, "clinicalStatus": concept(tho+"condition-clinical", "active"),
		"code": concept(icd10, icd), "subject": reference(person), "recordedDate": "2026-03-12",
	}, parts...)
}
func narrative(text string) part {
	return set("text", doc{"status": "generated", "div": `<div xmlns="http://www.w3.org/1999/xhtml">` + text + `</div>`})
}
func encounter(id, start, end string, parts ...part) doc {
	return with(doc{
		"resourceType": "Encounter", "id": id, "status": "finished", "class": coding(tho+"v3-ActCode", "AMB"),
		"subject": reference(person), "period": span(start, end),
	}, parts...)
}
func document(id string, parts ...part) doc {
	return with(doc{
		"resourceType": "DocumentReference", "id": id, "status": "current", "subject": reference(person), "date": "2026-03-12T15:00:00Z",
		"content": []any{doc{"attachment": doc{"contentType": "text/plain", "title": id}}},
	}, parts...)
}
func ida(parts ...part) doc {
	return with(doc{
		"resourceType": "Patient", "id": "ida",
		"identifier": []any{doc{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "900-55-0123"}, doc{"system": pmhc + "mrn", "value": "L-77"}},
		"name":       []any{doc{"family": "Holm", "given": []any{"Ida"}}}, "telecom": []any{doc{"system": "phone", "value": "555-0142"}},
		"gender": "female", "birthDate": "1988-11-30", "address": []any{doc{"line": []any{"4 Quarry Rd"}}},
		"maritalStatus": concept(tho+"v3-MaritalStatus", "D"),
	}, parts...)
}

// Requests.

func ask(role, code string, parts ...part) doc {
	d := doc{
		"at": "2026-08-05T15:30:00-05:00", "action": "access", "actor": doc{},
		"role": []any{coding(own+"actor-role", role)}, "purpose": []any{purposeCode(code)}, "scopes": []any{"user/*.rs"},
	}
	return with(d, parts...)
}
func officer(code string, parts ...part) doc {
	return ask("law-enforcement-officer", code, append([]part{as("Practitioner/officer-dahl", agency)}, parts...)...)
}
func clinician(code string, parts ...part) doc {
	return ask("treating-clinician", code, append([]part{as("Practitioner/dr-osei", clinic), fact("treatingProvider", true), fact("medicalPersonnel", true)}, parts...)...)
}
func emergency(parts ...part) doc {
	return ask("emergency-physician", "BTG", append([]part{
		as("Practitioner/dr-vance", "Organization/county-hospital"), fact("treatingProvider", true), fact("medicalPersonnel", true),
	}, parts...)...)
}
func as(ref, org string) part {
	return func(d doc) {
		fact("reference", ref)(d)
		fact("organization", org)(d)
	}
}
func fact(name string, value any) part { return func(d doc) { d["actor"].(doc)[name] = value } }
func breaking(reason string, cannot bool) part {
	return set("breakGlass", doc{"declared": true, "reason": reason, "consentCannotBeObtained": cannot})
}
func basis(kind string, parts ...part) part {
	return set("legalBasis", with(doc{"type": kind}, parts...))
}
func covers(refs ...any) part { return set("covers", refs) }
func scopes(s ...any) part    { return set("scopes", list(s)) }
func search(query string) part {
	return set("interaction", doc{"type": "search", "query": query})
}
func purposes(codes ...string) part {
	return func(d doc) {
		d["purpose"] = []any{}
		purpose(codes...)(d)
	}
}

// Cases.

// A row is one case of a table. want maps "Type/id" to a decision, or to an
// object of decision, mustRemove and mustKeep.
type row struct {
	says      string
	semantics string
	source    string
	consents  []doc
	resources []doc
	request   doc
	want      doc
	duties    []string
	bundle    doc
	notice    string
	nobody    bool // indistinguishable from no match

	packs, enable []string // in force; unverified rules that are turned on
	orgs          doc      // what the directory says of organisations
	directory     []any    // types that are open as a directory
	rule          string   // the rule that the case is about, and its conditions
	conditions    []string
	absent        []string // obligations that must not go along
	spoke, silent string   // rules that must and must not be among the reasons
}

func redacted(remove, keep []string) doc {
	return doc{"decision": "redact", "mustRemove": list(remove), "mustKeep": list(keep)}
}

func (r row) render(family string) doc {
	resources := doc{}
	for ref, w := range r.want {
		if decision, ok := w.(string); ok {
			w = doc{"decision": decision}
		}
		resources[ref] = w
	}
	expected := doc{"resources": resources, "obligations": list(r.duties)}
	if r.bundle != nil {
		expected["bundle"] = r.bundle
	}
	if r.notice != "" {
		expected["noticeText"] = []any{r.notice}
	}
	if r.nobody {
		expected["indistinguishableFrom"] = "no-match"
	}
	d := doc{
		"id": family + "-" + slug(r.says), "description": r.says, "tags": list(r.tags(family)), "semantics": r.semantics,
		"consents": list(r.consents), "resources": list(r.resources), "request": r.request, "expected": expected, "source": r.source,
	}
	for name, value := range map[string][]string{"obligationsAbsent": r.absent, "rules": nonempty(r.spoke), "rulesAbsent": nonempty(r.silent)} {
		if len(value) > 0 {
			expected[name] = list(value)
		}
	}
	for name, value := range map[string]any{"packs": list(r.packs), "enable": list(r.enable), "directory": list(r.directory)} {
		if len(value.([]any)) > 0 {
			d[name] = value
		}
	}
	if len(r.orgs) > 0 {
		d["organizations"] = r.orgs
	}
	return d
}

// tags are the family, and what the case shows of which rule.
func (r row) tags(family string) []string {
	tags := []string{family}
	if r.rule != "" {
		tags = append(tags, "rule:"+r.rule)
	}
	for _, c := range r.conditions {
		tags = append(tags, "condition:"+c)
	}
	return tags
}

func nonempty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// list never renders null.
func list[T any](in []T) []any {
	out := make([]any, 0, len(in))
	for _, v := range in {
		out = append(out, v)
	}
	return out
}

func slug(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ', r == '-', r == '/', r == '.':
			return '-'
		}
		return -1
	}, s), "-")
}

func marshal(v any) []byte {
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		panic(err)
	}
	return append(raw, '\n')
}
