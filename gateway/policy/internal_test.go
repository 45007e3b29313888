package policy

import (
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/smart"
)

// task is an internal record of the clinic about the person.
func task(t *testing.T, internal bool) *Subject {
	t.Helper()
	r, err := resource.Parse([]byte(`{"resourceType":"Task","id":"t","status":"requested","intent":"order","for":{"reference":"Patient/p"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return &Subject{Resource: r, Labels: new(label.Labels), Patient: "Patient/p", Origin: resource.Origin{Custodian: "Organization/clinic"}, Internal: internal}
}

func scoped(t *testing.T, text string) smart.Scopes {
	t.Helper()
	sc, err := smart.ParseScope(text)
	if err != nil {
		t.Fatal(err)
	}
	return smart.Scopes{sc}
}

func TestAnInternalRecordGoesToItsCustodianAlone(t *testing.T) {
	treat := label.Code{System: terminology.ActReason.URI(), Code: "TREAT"}
	base := Request{OwnRecords: true, Purposes: []label.Code{treat}, Scopes: scoped(t, "system/*.rs"), Person: []string{"Patient/p"}}
	for _, c := range []struct {
		name     string
		change   func(*Request)
		internal bool
		want     Effect
	}{
		{"its custodian", func(r *Request) { r.Requester.Organization = "Organization/clinic" }, true, Permit},
		{"its custodian, under a deny that names it", func(r *Request) {
			r.Requester.Organization = "Organization/clinic"
			r.Consents = append(r.Consents, consentOf(`"type":"deny"`, ""))
		}, true, Permit},
		{"its custodian, without a scope", func(r *Request) {
			r.Requester.Organization, r.Scopes = "Organization/clinic", scoped(t, "system/Patient.rs")
		}, true, Deny},
		{"another treating provider", func(r *Request) { r.Requester.Organization, r.Requester.TreatingProvider = "Organization/er", true }, true, Deny},
		{"the same, of an ordinary record", func(r *Request) { r.Requester.Organization, r.Requester.TreatingProvider = "Organization/er", true }, false, Permit},
		{"under a legal basis", func(r *Request) {
			r.Requester.Organization = "Organization/pd"
			r.LegalBases = []*LegalBasis{{Type: "court-order", Covers: []string{"Task/t"}}}
		}, true, Deny},
		{"nobody's organisation", func(r *Request) {}, true, Deny},
	} {
		req := base
		c.change(&req)
		if d := New(Options{}).Begin(&req).Decide(task(t, c.internal)); d.Effect != c.want {
			t.Errorf("%s: %+v, want %v", c.name, d, c.want)
		}
	}
}

func TestABasisAcceptedInAdvanceIsLimitedToTypes(t *testing.T) {
	req := &Request{Scopes: scoped(t, "system/*.rs"), Person: []string{"Patient/p"}, Purposes: []label.Code{{System: terminology.PurposeOfUse.URI(), Code: "LAWENF"}},
		Requester: Requester{Organization: "Organization/pd", Police: true}}
	for _, c := range []struct {
		name  string
		basis LegalBasis
		want  Effect
	}{
		{"of the type", LegalBasis{Type: "court-order", Types: []string{"Task"}}, Permit},
		{"of another type", LegalBasis{Type: "court-order", Types: []string{"CarePlan"}}, Deny},
		{"named and of another type", LegalBasis{Type: "court-order", Covers: []string{"Task/t"}, Types: []string{"CarePlan"}}, Deny},
		{"of the type and another named", LegalBasis{Type: "court-order", Covers: []string{"Task/u"}, Types: []string{"Task"}}, Deny},
		{"neither", LegalBasis{Type: "court-order"}, Deny},
	} {
		r := *req
		r.LegalBases = []*LegalBasis{&c.basis}
		s := New(Options{}).Begin(&r)
		if d := s.Decide(task(t, false)); d.Effect != c.want {
			t.Errorf("%s: %+v, want %v", c.name, d, c.want)
		}
		if void := s.VoidBases(); (len(void) > 0) != (c.name == "neither") {
			t.Errorf("%s: void: %+v", c.name, void)
		}
	}
}
