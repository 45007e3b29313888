package consent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
)

// A world makes random Consents, resources and questions, well-formed and not,
// from few values, so that they often meet.
type world struct{ *rand.Rand }

func newWorld(seed uint64) world { return world{rand.New(rand.NewPCG(seed, 3))} }

func pick[T any](w world, from ...T) T { return from[w.IntN(len(from))] }

// some draws one to three of the values, joined as a list's elements.
func (w world) some(from ...string) string {
	out := pick(w, from...)
	for w.IntN(3) == 0 {
		out += "," + pick(w, from...)
	}
	return out
}

const (
	thoURL  = "http://terminology.hl7.org/CodeSystem/"
	roleURL = "http://example.org/pmhc/CodeSystem/actor-role"
)

func (w world) code() string {
	return fmt.Sprintf(`{"coding":[%s]}`, w.some(`{"system":"http://x.example","code":"k"}`, `{"system":"http://x.example","code":"l"}`, `{"code":"k"}`,
		`{"system":"http://y.example","code":"k"}`, `{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}`, `{"system":"urn:oid:2.16.840.1.113883.6.90","code":"F11.20"}`, `{"system":"http://x.example"}`, `{"system":"","code":"m"}`))
}

func (w world) reference() string {
	return pick(w, `"reference":"CarePlan/a"`, `"reference":"CarePlan/b"`, `"reference":"Condition/a"`, `"reference":"Encounter/a"`, `"reference":"Practitioner/a"`, `"reference":"Patient/p"`, `"reference":"Patient/q"`,
		`"reference":"https://o.example/fhir/CarePlan/a"`, `"reference":"CarePlan/a/_history/2"`, `"reference":"#c"`, `"reference":"urn:uuid:1"`, `"display":"x"`, `"identifier":{"system":"http://i.example","value":"1"}`, `"identifier":{"value":"1"}`)
}

func (w world) date() string {
	return pick(w, "2025", "2026", "2026-03", "2026-03-05", "2026-03-04", "2026-03-05T10:00:00Z", "2026-03-05T23:30:00-05:00", "2026-03-06T00:30:00+14:00", "2026-03-05T10:00:00", "soon")
}

func (w world) span() string {
	switch w.IntN(8) {
	case 0:
		return fmt.Sprintf(`{"start":%q}`, w.date())
	case 1:
		return fmt.Sprintf(`{"end":%q}`, w.date())
	case 2:
		return pick(w, `{}`, `[]`, `7`)
	}
	return fmt.Sprintf(`{"start":%q,"end":%q}`, w.date(), w.date())
}

func (w world) actor() string {
	role := w.some(`{"system":"`+thoURL+`v3-ParticipationType","code":"IRCP"}`, `{"system":"`+thoURL+`v3-ParticipationType","code":"CST"}`, `{"system":"`+thoURL+`v3-ParticipationType","code":"CST"}`,
		`{"system":"`+thoURL+`v3-ParticipationType","code":"AUT"}`, `{"system":"`+roleURL+`","code":"case-manager"}`, `{"code":"IRCP"}`)
	ref := pick(w, `{"reference":"Organization/clinic"}`, `{"reference":"Organization/other"}`, `{"reference":"Practitioner/dr"}`, `{"reference":"https://o.example/Organization/clinic"}`, `{"display":"any"}`,
		`{"identifier":{"system":"http://i.example","value":"dr"}}`, `{"reference":"CareTeam/t"}`, `{"reference":"Organization/exchange"}`, `{}`)
	return fmt.Sprintf(`{"role":{"coding":[%s]},"reference":%s}`, role, ref)
}

// condition is one element of a rule.
func (w world) condition() (name, value string) {
	switch w.IntN(13) {
	case 0:
		return "purpose", "[" + w.some(`{"system":"`+thoURL+`v3-ActReason","code":"TREAT"}`, `{"system":"`+thoURL+`v3-ActReason","code":"HLEGAL"}`, `{"code":"TREAT"}`, `{"system":"`+thoURL+`v3-ActReason","code":"BTG"}`) + "]"
	case 1, 2:
		return "actor", "[" + w.some(w.actor(), w.actor()) + "]"
	case 3, 4:
		return "securityLabel", "[" + w.some(`{"system":"`+thoURL+`v3-Confidentiality","code":"`+pick(w, "L", "N", "R", "V", "ETH", "Q")+`"}`,
			`{"system":"`+thoURL+`v3-ActCode","code":"`+pick(w, "SUD", "ETH", "PSY", "MH", "BH", "HIV", "42CFRPart2", "HIPAAPsyNotes", "PSYTHPN", "ETHUD", "XX")+`"}`,
			`{"system":"`+thoURL+`v3-ActCode","code":"`+pick(w, "SUD", "PSY")+`"}`, `{"system":"http://x.example/labels","code":"own"}`, `{"code":"R"}`, `{"system":"http://example.org/pmhc/CodeSystem/cji-label","code":"CHRI"}`) + "]"
	case 5, 6:
		return "class", "[" + w.some(`{"system":"http://hl7.org/fhir/resource-types","code":"`+pick(w, "CarePlan", "Condition", "Encounter", "DocumentReference")+`"}`,
			`{"system":"urn:ietf:rfc:3986","code":"`+pick(w, "http://p.example/one", "http://p.example/one|1", "http://p.example/two")+`"}`, `{"system":"http://loinc.org","code":"11488-4"}`, `{"code":"CarePlan"}`, `{"system":"http://z.example","code":"CarePlan"}`, `{"system":"http://hl7.org/fhir/resource-types"}`) + "]"
	case 7, 8:
		return "dataPeriod", w.span()
	case 9:
		return "period", pick(w, `{"start":"2026-01-01","end":"2026-12-31"}`, `{"end":"2026-01-31"}`, w.span())
	case 10:
		return "data", "[" + w.some(fmt.Sprintf(`{"meaning":%q,"reference":{%s}}`, pick(w, "instance", "instance", "related", "dependents", "authoredby", "kin"), w.reference()), fmt.Sprintf(`{"meaning":"instance","reference":{%s}}`, w.reference())) + "]"
	case 11:
		return "action", `[{"coding":[{"system":"` + thoURL + `consentaction","code":"` + pick(w, "access", "use", "collect") + `"}]}]`
	}
	return "code", "[" + w.some(w.code(), w.code(), `{"text":"words"}`) + "]"
}

// rule makes a provision. A tidy one grants more often than not, and its denies
// are narrow: among many others they would leave nothing to permit.
func (w world) rule(depth int, tidy bool) string {
	members, least := map[string]string{}, 0
	switch {
	case tidy && w.IntN(5) > 0:
		members["type"] = `"permit"`
	case tidy:
		members["type"], least = `"deny"`, 3
	case w.IntN(12) > 0:
		members["type"] = pick(w, `"permit"`, `"permit"`, `"deny"`, `"deny"`, `"PERMIT"`)
	}
	for range least + w.IntN(4) {
		name, value := w.condition()
		members[name] = value
	}
	if w.IntN(40) == 0 && !tidy {
		members["modifierExtension"] = `[{"url":"http://m.example","valueBoolean":true}]`
	}
	if depth > 0 && w.IntN(2) == 0 {
		var nested []string
		for range 1 + w.IntN(3) {
			nested = append(nested, w.rule(depth-1, tidy))
		}
		members["provision"] = "[" + strings.Join(nested, ",") + "]"
	}
	var out []string
	for k, v := range members {
		out = append(out, fmt.Sprintf("%q:%s", k, v))
	}
	slices.Sort(out)
	return "{" + strings.Join(out, ",") + "}"
}

// consent makes a Consent, of whom and from whom as it falls.
func (w world) consent(t testing.TB) *Consent {
	t.Helper()
	raw, source := w.raw()
	return Parse(parse(t, raw), source)
}

func (w world) raw() (string, Source) {
	tidy := w.IntN(8) > 0
	forms := `"policyRule":{"coding":[{"system":"` + thoURL + `v3-ActCode","code":"` + pick(w, "HIPAAConsentCD", "42CFRPart2CD", "HIPAAAuthCD", "OPTIN", "OPTOUT") + `"}]},"sourceReference":{"reference":"DocumentReference/d"},"performer":[{"reference":"Patient/p"}],`
	raw := fmt.Sprintf(`{"resourceType":"Consent","id":"c%d",%s%s%s"status":%q,"patient":{%s},"dateTime":%q,%s"scope":{"coding":[{"system":"`+thoURL+`consentscope","code":%q}]},"provision":%s}`,
		w.IntN(1e6), pick(w, "", "", "", `"meta":{"profile":["https://profiles.ihe.net/ITI/PCF/StructureDefinition/x"]},`),
		pick(w, "", forms), pick(w, "", "", fmt.Sprintf(`"identifier":[{"system":"http://n.example","value":"%d"}],`, w.IntN(40))),
		pick(w, "active", "active", "active", "active", "active", "inactive", "draft", "odd"),
		pick(w, `"reference":"Patient/p"`, `"reference":"Patient/p"`, `"reference":"Patient/p"`, `"reference":"Patient/q"`, `"reference":"Patient/other"`, `"reference":"https://o.example/fhir/Patient/p"`, `"identifier":{"value":"1"}`),
		w.date(), pick(w, `"organization":[{"reference":"Organization/clinic"}],`, ""), pick(w, "patient-privacy", "patient-privacy", "patient-privacy", "patient-privacy", "research", "odd"), w.rule(2, tidy))
	if tidy {
		return raw, Source{Entitled: true, Foreign: w.IntN(6) == 0, Ceiling: Ceiling{Verbal: w.IntN(6) == 0}}
	}
	return raw, w.source()
}

func (w world) source() Source {
	s := Source{Entitled: w.IntN(8) > 0, Foreign: w.IntN(8) == 0, Recorder: pick(w, "", "", "Organization/clinic")}
	if w.IntN(10) == 0 {
		s.Ceiling = Ceiling{Verbal: w.IntN(2) == 0, Until: noon.Add(time.Duration(w.IntN(3)-1) * time.Hour)}
	}
	return s
}

func (w world) question() Question {
	q := question()
	q.Purpose.Code = pick(w, "TREAT", "TREAT", "ETREAT", "HLEGAL", "BTG", "")
	q.DenyActions = pick(w, nil, []string{"use", "disclose"})
	q.Person = pick(w, nil, []string{"Patient/p"}, []string{"Patient/p", "Patient/q"})
	q.Actor = &Actor{Reference: "Practitioner/dr", Organization: "Organization/clinic", TreatingProvider: w.IntN(2) == 0, CareTeams: pick(w, nil, []string{"CareTeam/t"}),
		Networks: pick(w, nil, []string{"Organization/exchange"}), Identifiers: pick(w, nil, []Identifier{{"http://i.example", "dr"}}), Roles: pick(w, nil, []label.Code{{System: roleURL, Code: "case-manager"}})}
	return q
}

// A thing is a resource with what is known of it beside.
type thing struct {
	r                  *resource.Resource
	labels             label.Labels
	patient, custodian string
	graph              Graph
	policeToHealth     bool
}

func (x *thing) datum() Datum {
	d := NewDatum(x.r, &x.labels, x.patient, x.custodian, x.graph)
	d.PoliceToHealth = x.policeToHealth
	return d
}

func (w world) thing(t testing.TB) *thing {
	t.Helper()
	body := pick(w,
		fmt.Sprintf(`"resourceType":"CarePlan","created":%q,"author":{%s}`, w.date(), w.reference()),
		fmt.Sprintf(`"resourceType":"CarePlan","period":%s,"addresses":[{%s}]`, w.span(), w.reference()),
		fmt.Sprintf(`"resourceType":"Condition","code":%s,"onsetDateTime":%q,"recorder":{%s}`, w.code(), w.date(), w.reference()),
		fmt.Sprintf(`"resourceType":"Encounter","period":%s,"reasonCode":[%s],"participant":[{"individual":{%s}}]`, w.span(), w.code(), w.reference()),
		fmt.Sprintf(`"resourceType":"DocumentReference","type":%s,"date":%q`, pick(w, `{"coding":[{"system":"http://loinc.org","code":"11488-4"}]}`, `{"text":"x"}`, w.code()), w.date()),
		`"resourceType":"Practitioner","name":[{"text":"n"}]`, `"resourceType":"Patient"`)
	raw := fmt.Sprintf(`{"id":%q,"meta":{"profile":[%s]},"identifier":[{"system":"http://i.example","value":"1"}],"subject":{"reference":"Patient/p"},%s}`,
		pick(w, "a", "b", "p"), w.some(`"http://p.example/one"`, `"http://p.example/one|1"`, `"http://p.example/one|2"`, `"http://p.example/three"`), body)
	x := &thing{
		r: parse(t, raw), patient: pick(w, "Patient/p", "Patient/p", "Patient/p", "Patient/q", "Patient/other", ""),
		custodian: pick(w, "Organization/clinic", "Organization/clinic", "Organization/other", ""), policeToHealth: w.IntN(4) == 0,
		labels: label.Labels{
			Level: pick(w, label.N, label.N, label.R, label.V, label.L), Sensitivity: pick(w, nil, nil, []string{"SUD"}, []string{"PSY"}, []string{"PSY", "SUD"}, []string{"ETHUD"}, []string{"HIV"}, []string{"PSYTHPN"}, []string{"MH"}),
			Law: pick(w, nil, nil, []string{"42CFRPart2"}, []string{"HIPAAPsyNotes"}), Other: pick(w, nil, nil, []label.Code{{System: "http://x.example/labels", Code: "own"}}), CJI: pick(w, nil, nil, nil, []string{"CHRI"}),
		},
	}
	if w.IntN(3) == 0 {
		x.graph = NewResources(parse(t, fmt.Sprintf(`{"resourceType":"Encounter","id":"a","subject":{%s}}`, w.reference())))
	}
	return x
}
