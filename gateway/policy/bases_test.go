package policy

import (
	"slices"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

// patient has what each of the two element-limited extents keeps in part.
const patient = `{"resourceType":"Patient","id":"p","name":[{"family":"Reyes"}],"telecom":[{"value":"555-0100"}],"address":[{"city":"Marlow"}],"birthDate":"1990-01-02","gender":"male"}`

func locate(id string) *LegalBasis {
	return &LegalBasis{ID: id, Type: "hipaa-512f2-identify-locate", Attributes: map[string]any{"subject": "missing-person"}}
}

func avert(id string) *LegalBasis {
	return &LegalBasis{ID: id, Type: "hipaa-512j-avert-threat", Covers: []string{"Patient/p", "CarePlan/x"},
		Attributes: map[string]any{"attestedBy": "Practitioner/d", "attestedAt": "2026-08-05T11:00:00-05:00"}}
}

func TestEachBasisIsValidOrVoidByItself(t *testing.T) {
	engine := New(Options{})
	sub := subjectOf(t, patient, resource.Origin{Custodian: "Organization/clinic"})
	warrant := &LegalBasis{ID: "Task/w", Type: "warrant", Covers: []string{"Patient/p"}}
	void := &LegalBasis{ID: "Task/v", Type: "warrant"}
	elsewhere := &LegalBasis{ID: "Task/e", Type: "warrant", Covers: []string{"https://elsewhere.example/fhir/Patient/p"}}
	for _, c := range []struct {
		says    string
		bases   []*LegalBasis
		effect  Effect
		removed []string
		named   []string // Reason.Basis of what permits
		duties  []Obligation
	}{
		{"none", nil, Deny, nil, nil, nil},
		{"a void one", []*LegalBasis{void}, Deny, nil, nil, nil},
		{"a void one takes nothing from another", []*LegalBasis{void, warrant}, Permit, nil, []string{"Task/w"}, []Obligation{Audit, Account}},
		{"one that is nil", []*LegalBasis{nil, warrant}, Permit, nil, []string{"Task/w"}, []Obligation{Audit, Account}},
		{"a record of another server", []*LegalBasis{elsewhere}, Deny, nil, nil, nil},
		{"limited", []*LegalBasis{locate("Task/l")}, Redact, []string{"telecom"}, []string{"Task/l"}, []Obligation{Audit, Account, MinimumNeeded}},
		{"limited otherwise", []*LegalBasis{avert("Task/a")}, Redact, []string{"telecom", "address"}, []string{"Task/a"}, []Obligation{Audit, Account, MinimumNeeded, HumanApproval}},
		{"both: each opens its elements", []*LegalBasis{avert("Task/a"), locate("Task/l")}, Redact, []string{"telecom"}, []string{"Task/a", "Task/l"}, []Obligation{Audit, Account, MinimumNeeded, HumanApproval}},
		{"whole before limited", []*LegalBasis{avert("Task/a"), warrant, locate("Task/l")}, Permit, nil, []string{"Task/w"}, []Obligation{Audit, Account}},
	} {
		for range 2 { // the order of bases does not matter
			req := officer(newWorld(1))
			req.LegalBases = c.bases
			d := engine.Begin(req).Decide(sub)
			var removed, named []string
			for _, n := range d.Remove {
				removed = append(removed, n.Name())
			}
			for _, r := range d.Reasons {
				if r.Basis != "" && r.Effect == "permit" {
					named = append(named, r.Basis)
				}
			}
			slices.Sort(named)
			if d.Effect != c.effect || !slices.Equal(removed, c.removed) || !slices.Equal(named, c.named) || !slices.Equal(d.Obligations, c.duties) {
				t.Errorf("%s: %v, removed %v, on %v, with %v", c.says, d.Effect, removed, named, d.Obligations)
			}
			c.bases = slices.Clone(c.bases)
			slices.Reverse(c.bases)
		}
	}
}

func TestAVoidBasisSaysWhyAndWhich(t *testing.T) {
	req := officer(newWorld(1))
	req.LegalBases = []*LegalBasis{{ID: "Task/1", Type: "warrant"}, {ID: "Task/2", Type: "hunch"}}
	d := New(Options{}).Begin(req).Decide(subjectOf(t, carePlan, resource.Origin{}))
	var void []string
	for _, r := range d.Reasons {
		if r.Rule == "basis/void" {
			void = append(void, r.Basis+": "+r.Detail)
		}
	}
	if !slices.Equal(void, []string{"Task/1: it names no resource", "Task/2: its type is unknown"}) {
		t.Errorf("got %q", void)
	}
}
