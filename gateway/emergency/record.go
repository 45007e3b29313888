package emergency

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// An Item is one resource that was disclosed, and when it was for the first time.
type Item struct {
	Reference string
	At        time.Time
}

// A Record is what one custodian disclosed under one declaration: 42 CFR 2.51(c)
// asks for the name and affiliation of the personnel, the name of who disclosed,
// date and time, and the nature of the emergency.
type Record struct {
	Declaration   string // "Task/…"
	Custodian     string // "Organization/…"
	CustodianName string
	Patient       string // "Patient/…", as the custodian knows the person
	To            Personnel
	Reason        string
	Purpose       string // code of v3-ActReason: BTG or ETREAT
	Part2         bool   // disclosed under 42 CFR 2.51; else against a patient's restriction
	Items         []Item
}

// Add notes what is disclosed at an instant. It says whether anything of it is
// new: what a record has already is not noted twice.
func (r *Record) Add(at time.Time, references ...string) bool {
	grown := false
	for _, ref := range references {
		if !slices.ContainsFunc(r.Items, func(i Item) bool { return i.Reference == ref }) {
			r.Items = append(r.Items, Item{ref, at})
			grown = true
		}
	}
	return grown
}

// discloser names who disclosed: the gateway does, on behalf of the custodian.
func (r *Record) discloser() string {
	return orNil(r.CustodianName) + ", through the Handoff gateway on its behalf"
}

// Communication writes it. It needs at least one item.
func (r *Record) Communication(id string) ([]byte, error) {
	if len(r.Items) == 0 {
		return nil, fmt.Errorf("a record of nothing disclosed")
	}
	person := object{"type": "Practitioner", "display": r.To.described()}
	if r.To.User != "" {
		person["identifier"] = object{"system": userSystem, "value": r.To.User}
	}
	var about, payload []object
	for _, i := range r.Items {
		about = append(about, reference(i.Reference))
		payload = append(payload, object{"contentString": instant(i.At) + " " + i.Reference})
	}
	category := "emergency-disclosure"
	if r.Part2 {
		category = "part2-emergency-record-2.51(c)"
	}
	return json.Marshal(object{
		"resourceType": "Communication", "id": id, "meta": object{"profile": []string{RecordProfile}},
		"basedOn": []object{reference(r.Declaration)}, "status": "completed",
		"category": []object{concept(codeSystem, category)},
		"subject":  reference(r.Patient), "about": about, "sent": instant(r.Items[0].At),
		"recipient": []object{person, {"reference": r.To.Organization, "display": orNil(r.To.OrganizationName)}},
		"sender":    object{"reference": r.Custodian, "display": r.discloser()},
		"reasonCode": []object{{
			"coding": []object{{"system": terminology.ActReason.URI(), "code": r.Purpose}}, "text": r.Reason,
		}},
		"payload": payload,
	})
}

// ReadItems returns what a record has noted.
func ReadItems(c *resource.Resource) ([]Item, error) {
	if !is(c, RecordProfile) {
		return nil, fmt.Errorf("%s is no record of an emergency", c.Reference())
	}
	var out []Item
	for p := range c.Root().All("payload") {
		at, ref, ok := strings.Cut(p.Get("contentString").Text(), " ")
		t, err := time.Parse(time.RFC3339, at)
		if !ok || err != nil {
			return nil, fmt.Errorf("%s: a disclosure is not understood", c.Reference())
		}
		out = append(out, Item{ref, t})
	}
	return out, nil
}

// Part2Record says whether a record is of a disclosure under 42 CFR 2.51.
func Part2Record(c *resource.Resource) bool {
	for cat := range c.Root().All("category") {
		for coding := range cat.All("coding") {
			if coding.Get("code").Is("part2-emergency-record-2.51(c)") {
				return true
			}
		}
	}
	return false
}
