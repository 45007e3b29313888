package capture

import (
	"encoding/base64"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
)

// Spec is what $capture takes as Parameters. A QuestionnaireResponse answers the
// same names as linkIds.
var Spec = parameters.Spec{
	{Name: "patient", Value: "valueReference", Required: true},
	{Name: "identifier", Value: "valueIdentifier", Required: true},
	{Name: "how", Value: "valueCode", Required: true},
	{Name: "decision", Value: "valueCode", Required: true},
	{Name: "askedAt", Value: "valueDateTime", Required: true},
	{Name: "expires", Value: "valueDateTime"},
	{Name: "custodian", Value: "valueReference", Many: true},
	{Name: "recipient", Value: "valueReference", Many: true},
	{Name: "purpose", Value: "valueCode", Many: true},
	{Name: "what", Value: "valueCode", Many: true},
	{Name: "sensitivity", Value: "valueCode", Many: true},
	{Name: "part2", Value: "valueBoolean"},
	{Name: "informed", Value: "valueBoolean"},
	{Name: "capacity", Value: "valueCode"},
	{Name: "capacityBy", Value: "valueString"},
	{Name: "witness", Value: "valueString"},
	{Name: "language", Value: "valueCode"},
	{Name: "interpreter", Value: "valueString"},
	{Name: "evidence", Value: "valueString"},
	{Name: "askedBy", Value: "valueString"},
	{Name: "contact", Value: "valueReference"},
	{Name: "contactName", Value: "valueString"},
	{Name: "contactPhone", Value: "valueString"},
	{Name: "signature", Value: "valueSignature"},
	{Name: "replaces", Value: "valueReference"},
}

// An answer is one value with its place.
type answer struct {
	text string
	node resource.Node
	at   string
}

type answers map[string][]answer

func (a answers) one(name string) answer {
	if v := a[name]; len(v) > 0 {
		return v[0]
	}
	return answer{at: "Parameters.parameter"}
}

func (a answers) texts(name string) []string {
	var out []string
	for _, v := range a[name] {
		out = append(out, v.text)
	}
	return out
}

func (a answers) flag(name string) bool {
	b, _ := a.one(name).node.Bool()
	return b
}

// maxText bounds a text of a capture, in bytes.
const maxText = 500

// Read reads the body of $capture. Errors are 400s and 422s that say where.
func Read(r *resource.Resource, zone *time.Location) (*Capture, error) {
	var a answers
	var err error
	c := &Capture{}
	switch r.Type() {
	case "Parameters":
		a, err = fromParameters(r)
	case "QuestionnaireResponse":
		a, err = c.fromResponse(r)
	default:
		err = outcome.BadRequest(outcome.CodeStructure, "the body must be Parameters or a QuestionnaireResponse, not a %s", r.Type()).At("resourceType")
	}
	if err != nil {
		return nil, err
	}
	return c, c.take(a, zone)
}

func fromParameters(r *resource.Resource) (answers, error) {
	set, err := parameters.Read(r, Spec)
	if err != nil {
		return nil, err
	}
	a := answers{}
	for _, p := range Spec {
		for _, v := range set.All(p.Name) {
			a[p.Name] = append(a[p.Name], answer{v.Text(), v.Node, v.At})
		}
	}
	return a, nil
}

// take reads the answers.
func (c *Capture) take(a answers, zone *time.Location) error {
	for name, vs := range a {
		for _, v := range vs {
			if len(v.text) > maxText || len(vs) > 20 {
				return outcome.BadRequest(outcome.CodeTooLong, "%s is longer than %d bytes, or stands more than 20 times", name, maxText).At(v.at)
			}
		}
	}
	for _, p := range Spec { // a form can answer twice what has one answer: permit and refuse
		if vs := a[p.Name]; !p.Many && len(vs) > 1 {
			return outcome.BadRequest(outcome.CodeMultiple, "%s is answered more than once", p.Name).At(vs[1].at)
		}
	}
	c.Patient, c.How = a.one("patient").text, a.one("how").text
	id := a.one("identifier").node
	c.Identifier = Identifier{id.Get("system").Text(), id.Get("value").Text()}
	if c.Identifier.System == "" || c.Identifier.Value == "" {
		return outcome.BadRequest(outcome.CodeRequired, "identifier needs system and value: by it a replay is known").At(a.one("identifier").at)
	}
	switch d := a.one("decision").text; d {
	case "permit":
	case "refuse":
		c.Refused = true
	default:
		return invalid(a.one("decision"), "decision is neither permit nor refuse")
	}
	if c.How != resource.CapturedVerbal && c.How != resource.CapturedWritten {
		return invalid(a.one("how"), "how is neither verbal nor written")
	}
	c.Custodians, c.Recipients = a.texts("custodian"), a.texts("recipient")
	c.Purposes, c.What, c.Sensitivities = a.texts("purpose"), a.texts("what"), a.texts("sensitivity")
	c.Part2, c.Informed = a.flag("part2") || c.Part2, a.flag("informed")
	c.Capacity, c.CapacityBy, c.Witness = a.one("capacity").text, a.one("capacityBy").text, a.one("witness").text
	c.Language, c.Interpreter, c.Evidence, c.AskedBy = a.one("language").text, a.one("interpreter").text, a.one("evidence").text, a.one("askedBy").text
	c.Contact = Contact{a.one("contact").text, a.one("contactName").text, a.one("contactPhone").text}
	c.Replaces = a.one("replaces").text
	if err := c.takeTimes(a, zone); err != nil {
		return err
	}
	return c.takeSignature(a)
}

func invalid(a answer, text string) error {
	return outcome.BadRequest(outcome.CodeCodeInvalid, "%s", text).At(a.at)
}

func (c *Capture) takeTimes(a answers, zone *time.Location) error {
	var err error
	if c.AskedAt, err = time.Parse(time.RFC3339, a.one("askedAt").text); err != nil {
		return outcome.BadRequest(outcome.CodeValue, "askedAt must be an instant with its zone: 2026-01-02T15:04:05-06:00").At(a.one("askedAt").at)
	}
	if len(a["expires"]) == 0 {
		return nil
	}
	text := a.one("expires").text
	if c.Ends, err = time.Parse(time.RFC3339, text); err == nil {
		return nil
	}
	day, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		return outcome.BadRequest(outcome.CodeValue, "expires must be a date or an instant with its zone").At(a.one("expires").at)
	}
	c.Ends = day.AddDate(0, 0, 1).Add(-time.Second)
	return nil
}

// takeSignature reads an R4 Signature: its bytes must be there, as base64.
func (c *Capture) takeSignature(a answers) error {
	s := a.one("signature")
	if !s.node.Exists() {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(s.node.Get("data").Text())
	when, err2 := time.Parse(time.RFC3339, s.node.Get("when").Text())
	who := s.node.Path("who", "reference").Text()
	if err != nil || len(data) == 0 || err2 != nil || who == "" || s.node.Get("type").Len() == 0 {
		return outcome.BadRequest(outcome.CodeRequired, "a signature needs type, when, who.reference and data (base64)").At(s.at)
	}
	c.Signature = Signature{Raw: s.node.Raw(), Data: data, Format: s.node.Get("sigFormat").Text(), Who: who, When: when}
	return nil
}
