package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/handoff-health/handoff/fhir/terminology"
)

type object = map[string]any

// whats are kinds of data as people call them, with their resource types.
var whats = map[string][]string{
	"crisis-plan":  {"CarePlan", "Flag"},
	"care-team":    {"CareTeam"},
	"medication":   {"MedicationRequest", "MedicationStatement"},
	"diagnosis":    {"Condition"},
	"allergy":      {"AllergyIntolerance"},
	"contact-data": {"Encounter", "Observation", "ServiceRequest", "Flag"},
}

// sensitivities are v3-ActCode sensitivities as people call them.
var sensitivities = map[string][]string{
	"mental-health":     {"BH", "MH", "PSY"},
	"substance-use":     {"SUD"},
	"hiv":               {"HIV"},
	"domestic-violence": {"SDV"},
	"sexual-health":     {"SEX", "STD"},
}

// purposeSystem is the system of a purpose that a Consent can be for here.
// HLEGAL is not among them: proceedings need a consent of their own.
func purposeSystem(code string) string {
	switch code {
	case "CRISIS", "LAWENF":
		return terminology.PurposeOfUse.URI()
	case "TREAT", "ETREAT", "CAREMGT", "HPAYMT", "HOPERAT":
		return terminology.ActReason.URI()
	}
	return ""
}

func concept(system, code string) object {
	return object{"coding": []object{{"system": system, "code": code}}}
}

func coding(system, code string) object { return object{"system": system, "code": code} }

// Consent builds the Consent of a checked capture. Its form of law is set here.
func (c *Capture) Consent() ([]byte, error) {
	status, rule := "active", "OPTIN"
	switch {
	case c.Refused:
		rule = "OPTOUT"
	case c.Part2:
		rule = "42CFRPart2CD"
	case c.Signature.Given():
		rule = "HIPAAAuthCD"
	}
	if !c.Effective() {
		status = "proposed"
	}
	out := object{
		"resourceType": "Consent", "status": status,
		"identifier": []object{{"system": c.Identifier.System, "value": c.Identifier.Value}},
		"scope":      concept(terminology.ConsentScope.URI(), "patient-privacy"),
		"category":   []object{concept(terminology.LOINC.URI(), "59284-0")},
		"patient":    object{"reference": c.Patient},
		"dateTime":   c.AskedAt.Format(time.RFC3339),
		"performer":  []object{{"reference": c.performer()}},
		"policyRule": concept(terminology.ActCode.URI(), rule),
		"extension":  c.extensions(),
		"provision":  c.provision(),
	}
	if c.Form != "" {
		out["policy"] = []object{{"uri": c.Form}}
	}
	if c.Signature.Given() {
		out["sourceAttachment"] = c.attachment()
	} else {
		out["verification"] = []object{{"verified": true, "verifiedWith": object{"reference": c.Patient}, "verificationDate": c.AskedAt.Format(time.RFC3339)}}
	}
	return encode(out)
}

func (c *Capture) performer() string {
	if c.Signature.Who != "" {
		return c.Signature.Who
	}
	return c.Patient
}

// provision is a permit of what was allowed, or a deny of what was asked for.
func (c *Capture) provision() object {
	p := object{"type": "permit", "period": object{"start": c.AskedAt.Format(time.RFC3339)}}
	if c.Refused {
		p["type"] = "deny"
	}
	if !c.Ends.IsZero() {
		p["period"] = object{"start": c.AskedAt.Format(time.RFC3339), "end": c.Ends.In(c.AskedAt.Location()).Format(time.RFC3339)}
	}
	var actors, purposes, classes, labels []object
	add := func(role string, refs []string) {
		for _, ref := range refs {
			actors = append(actors, object{"role": concept(terminology.ParticipationType.URI(), role), "reference": object{"reference": ref}})
		}
	}
	add("CST", c.Custodians)
	add("IRCP", c.Recipients)
	for _, code := range c.Purposes {
		purposes = append(purposes, coding(purposeSystem(code), code))
	}
	seen := map[string]bool{}
	for _, w := range c.What {
		for _, t := range whats[w] {
			if !seen[t] {
				seen[t] = true
				classes = append(classes, coding("http://hl7.org/fhir/resource-types", t))
			}
		}
	}
	for _, s := range c.Sensitivities {
		for _, code := range sensitivities[s] {
			labels = append(labels, coding(terminology.ActCode.URI(), code))
		}
	}
	if !c.Refused { // what is not named as sensitive stays closed
		labels = append(labels, coding(terminology.Confidentiality.URI(), "N"))
	}
	if c.Part2 {
		labels = append(labels, coding(terminology.ActCode.URI(), "42CFRPart2"))
	}
	for name, list := range map[string][]object{"actor": actors, "purpose": purposes, "class": classes, "securityLabel": labels} {
		if len(list) > 0 {
			p[name] = list
		}
	}
	return p
}

// attachment is what was signed: the answered form, or the signature's own
// bytes where there is no form.
func (c *Capture) attachment() object {
	a := object{"creation": c.Signature.When.Format(time.RFC3339), "title": "signed electronically"}
	data, kind := c.Document, "application/fhir+json"
	if len(data) == 0 {
		data, kind = c.Signature.Data, c.Signature.Format
	}
	if kind == "" {
		kind = "application/octet-stream" // an Attachment with data has a type, a Signature need not
	}
	a["contentType"] = kind
	a["data"] = base64.StdEncoding.EncodeToString(data)
	return a
}

// Digest is the SHA-256 of what was signed, in hex.
func (c *Capture) Digest() string {
	data := c.Document
	if len(data) == 0 {
		data = c.Signature.Data
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// extensions say how it was captured. R4 has two of its own: the witness, and
// nothing for the rest.
func (c *Capture) extensions() []object {
	inner := []object{{"url": "how", "valueCode": c.How}}
	add := func(name, value, text string) {
		if text != "" {
			inner = append(inner, object{"url": name, value: text})
		}
	}
	add("capacity", "valueCode", c.Capacity)
	add("capacityBy", "valueString", c.CapacityBy)
	add("language", "valueCode", c.Language)
	add("interpreter", "valueString", c.Interpreter)
	add("evidence", "valueString", c.Evidence)
	add("askedBy", "valueString", c.AskedBy)
	if c.Informed {
		inner = append(inner, object{"url": "informed", "valueBoolean": true})
	}
	if c.Signature.Given() {
		add("sha256", "valueString", c.Digest())
	}
	out := []object{{"url": terminology.Base + "/StructureDefinition/consent-capture", "extension": inner}}
	if c.Witness != "" {
		out = append(out, object{"url": "http://hl7.org/fhir/StructureDefinition/consent-Witness", "valueReference": object{"display": c.Witness}})
	}
	return out
}

// CallBack builds the request to the named contact to call the person. It says
// nothing clinical. nil if nobody is to be called.
func (c *Capture) CallBack(id, consent, requester string, now time.Time) ([]byte, error) {
	if !c.Contact.Asked() {
		return nil, nil
	}
	performer := object{}
	if c.Contact.Reference != "" {
		performer["reference"] = c.Contact.Reference
	}
	if c.Contact.Name != "" {
		performer["display"] = c.Contact.Name
	}
	out := object{
		"resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order", "priority": "urgent",
		"code":           object{"coding": []object{coding(terminology.Base+"/CodeSystem/request", "call-back")}, "text": "Please call back"},
		"subject":        object{"reference": c.Patient},
		"authoredOn":     now.UTC().Format(time.RFC3339),
		"requester":      object{"reference": requester},
		"supportingInfo": []object{{"reference": consent}},
	}
	if len(performer) > 0 {
		out["performer"] = []object{performer}
	}
	if c.Contact.Phone != "" {
		out["note"] = []object{{"text": "call " + c.Contact.Phone}}
	}
	return encode(out)
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
