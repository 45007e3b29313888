package whatif

import (
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A Class is a class of data.
type Class struct {
	Name  string
	Title string // for people
}

// A sample is how a class looks: made up, about nobody.
type sample struct {
	Class
	typ    string
	body   string // members besides resourceType, id and subject; DATE and MORE (a further coding) stand for what varies
	part2  bool   // comes from a Part 2 program
	police bool   // comes from a law-enforcement agency
}

const (
	icd  = "http://hl7.org/fhir/sid/icd-10-cm"
	rx   = "http://www.nlm.nih.gov/research/umls/rxnorm"
	act  = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	cond = `"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"recordedDate":"DATE","code":{"coding":[{"system":"` + icd + `","code":"CODE"}MORE]}`
)

func condition(code string) string { return strings.Replace(cond, "CODE", code, 1) }

// samples has a row for each class, in the order of the matrix.
var samples = []sample{
	{Class{"crisis-plan", "crisis plan"}, "CarePlan", `"status":"active","intent":"plan","title":"Crisis plan","created":"DATE","category":[{"text":"crisis plan"MORECONCEPT}],"description":"one voice, give room"`, false, false},
	{Class{"care-team", "care team"}, "CareTeam", `"status":"active","name":"Crisis team","period":{"start":"DATE"},"category":[{"text":"crisis team"MORECONCEPT}],"telecom":[{"system":"phone","value":"555-0100"}]`, false, false},
	{Class{"medication", "medication"}, "MedicationRequest", `"status":"active","intent":"order","authoredOn":"DATE","medicationCodeableConcept":{"coding":[{"system":"` + rx + `","code":"29046"}MORE],"text":"lisinopril"}`, false, false},
	{Class{"diagnosis", "other diagnosis"}, "Condition", condition("J45.20"), false, false},
	{Class{"mental-health", "mental health diagnosis"}, "Condition", condition("F31.81"), false, false},
	{Class{"substance-use-part2", "substance use, Part 2 program"}, "Condition", condition("F11.20"), true, false},
	{Class{"hiv", "HIV"}, "Condition", condition("B20"), false, false},
	{
		Class{"psychotherapy-note", "psychotherapy note"}, "DocumentReference",
		`"meta":{"security":[{"system":"` + act + `","code":"HIPAAPsyNotes"},{"system":"` + act + `","code":"PSYTHPN"}]},"status":"current","date":"DATE","type":{"text":"note"MORECONCEPT},"content":[{"attachment":{"title":"note"}}]`, false, false,
	},
	{
		Class{"police-contact", "police contact data"}, "Encounter",
		`"status":"finished","class":{"system":"` + act + `","code":"FLD"},"period":{"start":"DATE","end":"DATE"},"reasonCode":[{"text":"welfare check"MORECONCEPT}]`, false, true,
	},
}

// A variant is one form of a sample: dates, codes and ids that the Consent names.
type variant struct{ date, coding, id string }

// maxVariants bounds the forms of one class.
const maxVariants = 12

// variants lists the plain form of a type and those that the Consent's own
// conditions ask for, so that a rule about one plan or one month shows.
func variants(r *resource.Resource, typ string, at time.Time) []variant {
	plain := variant{date: at.Add(-24 * time.Hour).UTC().Format(time.RFC3339), id: "sample"}
	out := []variant{plain}
	r.Root().Get("provision").Descend(func(n resource.Node) bool {
		if len(out) >= maxVariants {
			return false
		}
		v := plain
		switch n.Name() {
		case "dataPeriod":
			for _, bound := range [...]string{"start", "end"} {
				if d := n.Get(bound).Text(); len(d) >= 4 {
					v.date = d
				}
			}
		case "code":
			if n.Kind() != resource.Array {
				return true
			}
			for concept := range n.Elements() {
				for c := range concept.All("coding") {
					v.coding = string(c.Raw())
					out = append(out, v)
				}
			}
			return false
		case "data":
			for d := range n.Elements() {
				_, t, id, ok := resource.SplitReference(d.Path("reference", "reference").Text())
				if ok && t == typ {
					v.id = id
					out = append(out, v)
				}
			}
			return false
		default:
			return true
		}
		if v != plain {
			out = append(out, v)
		}
		return false
	})
	return out[:min(len(out), maxVariants)]
}

// build makes the sample in one form, about patient.
func (s *sample) build(v variant, patient string) (*resource.Resource, error) {
	more, concept := "", ""
	if v.coding != "" {
		more, concept = ","+v.coding, `,"coding":[`+v.coding+`]`
	}
	body := strings.NewReplacer(`"DATE"`, string(resource.Quote(v.date)), "MORECONCEPT", concept, "MORE", more).Replace(s.body)
	return resource.Parse([]byte(`{"resourceType":"` + s.typ + `","id":` + string(resource.Quote(v.id)) + `,"subject":{"reference":` + string(resource.Quote(patient)) + `},` + body + `}`))
}

// A Requester is a kind of requester.
type Requester struct {
	Name  string
	Title string // for people
}

// An asker is how a kind of requester asks.
type asker struct {
	Requester
	role, purpose                     string // purpose: of the project's system, or of v3-ActReason
	police                            bool
	treating, medical, through, glass bool
}

var askers = []asker{
	{Requester{"officer-crisis", "officer, crisis call"}, "law-enforcement-officer", "CRISIS", true, false, false, false, false},
	{Requester{"officer-enforcement", "officer, enforcement"}, "law-enforcement-officer", "LAWENF", true, false, false, false, false},
	{Requester{"co-responder", "co-responder, crisis call"}, "co-responder-clinician", "CRISIS", false, false, false, false, false},
	{Requester{"treating-provider", "treating provider"}, "treating-clinician", "TREAT", false, true, true, false, false},
	{Requester{"other-provider", "provider without relation"}, "treating-clinician", "TREAT", false, false, true, false, false},
	{Requester{"officer-through-exchange", "officer, through the exchange"}, "law-enforcement-officer", "CRISIS", true, false, false, true, false},
	{Requester{"treating-through-exchange", "treating provider, through the exchange"}, "treating-clinician", "TREAT", false, true, true, true, false},
	{Requester{"other-through-exchange", "provider without relation, through the exchange"}, "treating-clinician", "TREAT", false, false, true, true, false},
	{Requester{"break-glass", "emergency physician, break-glass"}, "emergency-physician", "BTG", false, false, true, false, true},
}

func purposeSystem(code string) string {
	if code == "CRISIS" || code == "LAWENF" {
		return terminology.PurposeOfUse.URI()
	}
	return terminology.ActReason.URI()
}
