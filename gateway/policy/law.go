package policy

import (
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
)

// A Law is the rules of one jurisdiction as data. Whoever reads rule packs
// builds one; the engine gives rows their meaning.
type Law struct {
	Name     string // of the pack, with its version
	Baseline Baseline
	Bases    []Basis
	Profile  Profile
	// Police are the roles that are law enforcement, of the project's
	// actor-role system.
	Police []string
	// Times are the date elements for dataPeriod; nil: consent.DefaultTimes.
	Times map[string]consent.Times
}

// A Baseline is what holds for a treating provider where no Consent speaks.
type Baseline struct {
	// Purposes permit with everything below them in their hierarchy, Except
	// and what is below that apart.
	Purposes, Except []label.Code
	Citation         string
	// Agreement cites what lets an agency's own contact data go to a health
	// organisation under a sharing agreement.
	Agreement string
}

// A Basis is a kind of declared legal basis.
type Basis struct {
	Type     string // of LegalBasis
	Citation string
	// Any lists alternatives; one whose conditions all hold makes the basis
	// valid.
	Any    [][]Condition
	Extent Extent
	// Part2 and PsychotherapyNotes say that it reaches data behind these gates.
	Part2, PsychotherapyNotes bool
	// Obligations go with every disclosure on it, beside Audit. ToPolice go
	// with one to law enforcement.
	Obligations, ToPolice []Obligation
	// Judgement marks alternatives (by index in Any) that rest on a person's
	// judgement: they carry HumanApproval.
	Judgement []int
}

// An Extent says what a basis reaches.
type Extent struct {
	Covers    bool     // what its "covers" lists
	Profile   bool     // within the minimum-necessary profile
	Elements  []Kept   // these types and elements only
	Custodian bool     // data of the custodian that "initiatedBy" names
	Never     []string // sensitivities that it does not reach
}

// A Test is a way to check one attribute of a declared basis.
type Test uint8

// The tests. An attribute that is absent, null or of another kind passes only Null.
const (
	True      Test = iota + 1
	False          // the boolean false
	Null           // absent or null
	NotEmpty       // a text that is not blank
	OneOf          // a text among Values
	AnyOf          // a list with an element among Values
	NotLater       // an instant not after the request
	Outside        // a reference that is neither the requester nor its organisation
	HasRole        // not of the basis: the requester holds one of the roles Values
	Reference      // a reference
)

// A Condition is a test of one attribute.
type Condition struct {
	Attribute string
	Test      Test
	Values    []string
}

// A Profile is the minimum necessary for a crisis response: the types that may
// go to police where no Consent is the basis, and their elements.
type Profile struct {
	Citation string
	Types    []Kept
	Never    []string // sensitivities of which nothing goes
}

// A Kept says which elements of a type are kept. With Only it lists them;
// otherwise all but Drop are kept. id, meta and what names the subject always are.
type Kept struct {
	Type       string
	Only, Drop []string
	// Within limits what is kept inside an element: element → members.
	Within map[string][]string
	// System keeps only those entries of an element whose system it is.
	System map[string]string
	// Codes keeps the resource only if its code is one of these, or is named
	// by one of Names.
	Codes []label.Code
	Names []string
	// Topic keeps the resource only if its title, category or description
	// names one of these words.
	Topic []string
	// Unless drops the resource if an element has one of the codes.
	Unless map[string][]string
}

func code(s terminology.System, c string) label.Code { return label.Code{System: s.URI(), Code: c} }

// USFederal is HIPAA (45 CFR 164), 42 CFR Part 2 and 28 CFR 20, without any
// state's law. Rows that cite a paragraph restate it; this is no legal advice.
func USFederal() *Law {
	return &Law{
		Name: "us-federal/1",
		Baseline: Baseline{
			Purposes:  []label.Code{code(terminology.ActReason, "TREAT"), code(terminology.ActReason, "HPAYMT"), code(terminology.ActReason, "HOPERAT")},
			Except:    []label.Code{code(terminology.ActReason, "HLEGAL")},
			Citation:  "45 CFR 164.506(b)-(c)",
			Agreement: "28 CFR 20.3, 20.20(b)-(c)",
		},
		Bases:   bases(),
		Profile: crisisProfile(),
		Police:  []string{"law-enforcement-officer", "custody-officer", "dispatcher"},
	}
}

// bases are the declared legal bases of consent.md 3.5.
func bases() []Basis {
	covers := Extent{Covers: true}
	accounted := []Obligation{Account}
	minimum := []Obligation{MinimumNeeded}
	yes := func(names ...string) []Condition {
		var out []Condition
		for _, n := range names {
			out = append(out, Condition{Attribute: n, Test: True})
		}
		return out
	}
	return []Basis{
		{Type: "court-order", Citation: "45 CFR 164.512(e)(1)(i)", Any: [][]Condition{{}}, Extent: covers, Obligations: accounted},
		{Type: "warrant", Citation: "45 CFR 164.512(f)(1)(ii)(A)", Any: [][]Condition{{}}, Extent: covers, Obligations: accounted},
		{Type: "grand-jury-subpoena", Citation: "45 CFR 164.512(f)(1)(ii)(B)", Any: [][]Condition{{}}, Extent: covers, Obligations: accounted},
		{
			Type: "subpoena", Citation: "45 CFR 164.512(e)(1)(ii)",
			Any:    [][]Condition{{{"issuedBy", NotEmpty, nil}, {"satisfactoryAssurance", True, nil}}},
			Extent: covers, Obligations: accounted, ToPolice: minimum,
		},
		{
			Type: "administrative-request", Citation: "45 CFR 164.512(f)(1)(ii)(C)",
			Any:    [][]Condition{yes("relevantAndMaterial", "specificAndLimited", "deidentifiedInsufficient")},
			Extent: covers, Obligations: accounted, ToPolice: minimum,
		},
		{
			Type: "hipaa-512f2-identify-locate", Citation: "45 CFR 164.512(f)(2)",
			Any:    [][]Condition{{{"subject", OneOf, []string{"suspect", "fugitive", "material-witness", "missing-person"}}}},
			Extent: Extent{Elements: locateElements()}, Obligations: accounted, ToPolice: minimum,
		},
		{
			Type: "hipaa-512f3-victim", Citation: "45 CFR 164.512(f)(3)",
			Any: [][]Condition{yes("victimAgrees"), append([]Condition{{"victimAgrees", Null, nil}},
				yes("incapacitated", "neededAgainstOther", "notUsedAgainstVictim", "immediateActivityHarmedByWaiting", "bestInterestDetermined")...)},
			Judgement: []int{1}, Extent: covers, Obligations: accounted, ToPolice: minimum,
		},
		{
			Type: "hipaa-512j-avert-threat", Citation: "45 CFR 164.512(j)(1)(i)", PsychotherapyNotes: true,
			Any:       [][]Condition{{{"attestedBy", Outside, nil}, {"attestedAt", NotLater, nil}}},
			Judgement: []int{0}, Extent: Extent{Covers: true, Profile: true}, Obligations: accounted, ToPolice: minimum,
		},
		{
			Type: "hipaa-512k5-custody", Citation: "45 CFR 164.512(k)(5)",
			Any: [][]Condition{{
				{"", HasRole, []string{"custody-officer"}},
				{"represented", AnyOf, []string{"provision-of-health-care", "health-and-safety", "officer-safety", "transport", "order-in-institution"}},
			}},
			Extent: covers, ToPolice: minimum,
		},
		{
			Type: "part2-court-order", Citation: "42 CFR 2.61-2.67", Part2: true,
			Any: [][]Condition{{
				{"section", OneOf, []string{"2.61", "2.62", "2.63", "2.64", "2.65", "2.66", "2.67"}},
				{"compulsoryProcess", True, nil},
			}},
			Extent: covers, Obligations: accounted,
		},
		{
			Type: "crime-on-part2-premises", Citation: "42 CFR 2.12(c)(5)", Part2: true,
			Any:         [][]Condition{{{"initiatedBy", Reference, nil}}},
			Extent:      Extent{Custodian: true, Elements: []Kept{{Type: "Patient", Only: []string{"name", "address"}}}},
			Obligations: accounted, ToPolice: minimum,
		},
	}
}

// locateElements are the items of 45 CFR 164.512(f)(2)(i).
func locateElements() []Kept {
	return []Kept{
		{
			Type:   "Patient",
			Only:   []string{"name", "address", "birthDate", "gender", "deceasedBoolean", "deceasedDateTime", "photo", "identifier"},
			System: map[string]string{"identifier": "http://hl7.org/fhir/sid/us-ssn"},
		},
		{Type: "Encounter", Only: []string{"status", "class", "period", "subject"}},
		{
			Type: "Observation",
			Only: []string{
				"status", "category", "code", "subject", "effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued",
				"valueQuantity", "valueCodeableConcept", "valueString", "component",
			},
			Codes: physicalCodes(),
			Names: []string{"hair color", "hair colour", "color of hair", "colour of hair", "eye color", "eye colour", "color of eye", "colour of eye", "color of iris", "colour of iris"},
		},
	}
}

// physicalCodes are blood group, height and weight (LOINC, SNOMED CT).
func physicalCodes() []label.Code {
	var out []label.Code
	for _, c := range []string{
		"883-9", "882-1", "10331-7", "884-7", "34530-6", // ABO, ABO and Rh, Rh
		"8302-2", "3137-7", "3138-5", "8301-4", "8306-3", "8307-1", "8308-9", // body height
		"29463-7", "3141-9", "3142-7", "8335-2", "8341-0", "8350-1", "8351-9", // body weight
	} {
		out = append(out, code(terminology.LOINC, c))
	}
	for _, c := range []string{"112143006", "365637002", "115758001", "50373000", "248334005", "27113001", "363808001"} {
		out = append(out, code(terminology.SNOMEDCT, c))
	}
	return out
}

// crisisProfile is the minimum necessary for a crisis response, consent.md 3.3:
// to be confirmed by each site.
func crisisProfile() Profile {
	return Profile{
		Citation: "45 CFR 164.502(b), 164.514(d)",
		Never:    []string{"SUD", "HIV"},
		Types: []Kept{
			{
				Type: "CarePlan", Topic: []string{"crisis", "safety"},
				Drop: []string{"addresses", "goal", "supportingInfo", "contained"},
			},
			{Type: "CareTeam", Only: []string{"status", "name", "subject", "period", "participant", "telecom"}},
			{Type: "Practitioner", Only: []string{"name", "telecom"}},
			{Type: "PractitionerRole", Only: []string{"practitioner", "organization", "code", "telecom", "availableTime", "availabilityExceptions"}},
			{Type: "Organization", Only: []string{"name", "telecom"}},
			{Type: "Flag", Only: []string{"status", "category", "code", "subject", "period", "author"}},
			{
				Type: "AllergyIntolerance", Only: []string{"patient", "code", "criticality", "clinicalStatus", "reaction"},
				Within: map[string][]string{"reaction": {"manifestation"}},
				Unless: map[string][]string{"criticality": {"low"}, "verificationStatus": {"refuted", "entered-in-error"}},
			},
			{Type: "Encounter", Only: []string{"status", "class", "subject", "serviceProvider"}},
			{Type: "Patient", Only: []string{"name", "birthDate", "gender", "photo"}},
		},
	}
}
