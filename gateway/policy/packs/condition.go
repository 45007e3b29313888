package packs

// A Condition tests one fact: it has exactly one key beside id and not.
type Condition struct {
	ID  string `yaml:"id" pattern:"^[a-z0-9][a-z0-9./()-]{0,95}$" doc:"unique in the rule; cases name it"`
	Not bool   `yaml:"not,omitempty" doc:"turns the test round; what is unknown stays unknown. Not for keys that take true or false"`

	// Of the requester.
	Police           *bool    `yaml:"police,omitempty" doc:"requester: its organisation is a law-enforcement agency, or its role one of law enforcement"`
	Role             []string `yaml:"role,omitempty" doc:"requester: holds one of these roles, a code of the actor-role system or system|code; no role: unknown"`
	Organization     []string `yaml:"organization,omitempty" doc:"requester: its organisation is one of these, Organization/id"`
	OrganizationKind []string `yaml:"organizationKind,omitempty" enum:"police,health,exchange" doc:"requester: the kind of its organisation; not known: unknown"`
	Designation      []string `yaml:"designation,omitempty" doc:"requester: its organisation is designated so, for instance as one of the agencies that a statute lists"`
	Treating         *bool    `yaml:"treating,omitempty" doc:"requester: has a treating provider relationship with the person"`
	MedicalPersonnel *bool    `yaml:"medicalPersonnel,omitempty" doc:"requester: medical personnel in the sense of 42 CFR 2.51"`

	// Of the request.
	Purpose                 *Purpose `yaml:"purpose,omitempty" doc:"request: the declared purpose (of a ground that is for all purposes: each of them); none: unknown"`
	Direction               string   `yaml:"direction,omitempty" enum:"health-to-requester,police-to-health" doc:"request: which way the data go"`
	Jurisdiction            []string `yaml:"jurisdiction,omitempty" doc:"request: the custodian's jurisdiction is one of these or within it; not known: unknown"`
	BreakGlass              *bool    `yaml:"breakGlass,omitempty" doc:"request: an emergency is declared, with a reason"`
	ConsentCannotBeObtained *bool    `yaml:"consentCannotBeObtained,omitempty" doc:"request: so says the declaration of the emergency"`

	// Of the ground that is looked at.
	Ground    []string   `yaml:"ground,omitempty" enum:"consent,permit,basis,emergency" doc:"ground: its kind; consent is a Consent that permits"`
	Rule      []string   `yaml:"rule,omitempty" doc:"ground: the id of its rule"`
	Basis     []string   `yaml:"basis,omitempty" doc:"ground: a declared basis of one of these types, or one that stands on it"`
	Through   []string   `yaml:"through,omitempty" doc:"ground: a Consent in the form that these gates want"`
	Attribute *Attribute `yaml:"attribute,omitempty" doc:"ground: an attribute of the declared basis; a ground that is none fails it"`

	// Of the data.
	Label                []string `yaml:"label,omitempty" doc:"data: labelled with one of these or below it: a sensitivity of v3-ActCode, a law tag, or a code of cji-label. ETH counts as SUD; MH, PSY and BH as one; PSYTHPN and HIPAAPsyNotes as one"`
	CJI                  *bool    `yaml:"cji,omitempty" doc:"data: labelled as criminal justice information"`
	Labelled             *bool    `yaml:"labelled,omitempty" doc:"data: has any sensitivity, law tag or cji-label"`
	Sensitive            *bool    `yaml:"sensitive,omitempty" doc:"data: labelled, or confidential above normal"`
	Confidentiality      string   `yaml:"confidentiality,omitempty" enum:"U,L,M,N,R,V" doc:"data: at least this confidential"`
	Type                 []string `yaml:"type,omitempty" doc:"data: the resource is of one of these types"`
	Profile              []string `yaml:"profile,omitempty" doc:"data: meta.profile has one of these canonicals"`
	Directory            *bool    `yaml:"directory,omitempty" doc:"data: a type that the configuration opens as a directory"`
	Subject              string   `yaml:"subject,omitempty" enum:"known,unknown,none" doc:"data: whom it is about is known, is not, or it is about nobody"`
	PoliceRecord         *bool    `yaml:"policeRecord,omitempty" doc:"data: a law-enforcement agency's record"`
	Part2Program         *bool    `yaml:"part2Program,omitempty" doc:"data: from a Part 2 program"`
	OwnRecord            *bool    `yaml:"ownRecord,omitempty" doc:"data: the requester's organisation is its custodian, and asks for its own"`
	Custodian            []string `yaml:"custodian,omitempty" doc:"data: its custodian is one of these, Organization/id; not known: unknown"`
	CustodianDesignation []string `yaml:"custodianDesignation,omitempty" doc:"data: its custodian is designated so"`
}

// A Purpose compares purposes of use: codes of v3-ActReason, LAWENF, CRISIS, or
// system|code.
type Purpose struct {
	Within  []string `yaml:"within,omitempty" doc:"it is one of these or below it"`
	Except  []string `yaml:"except,omitempty" doc:"and none of these nor below it"`
	Exactly []string `yaml:"exactly,omitempty" doc:"it is one of these"`
}

// An Attribute is one of a declared basis, with the test that it must pass:
// exactly one key beside name. An attribute that is absent, null or of another
// kind passes only absent, and no test that is turned round either.
type Attribute struct {
	Name             string   `yaml:"name" doc:"of the attribute"`
	Is               *bool    `yaml:"is,omitempty" doc:"it is this boolean"`
	Absent           bool     `yaml:"absent,omitempty" doc:"it is absent or null"`
	NotBlank         bool     `yaml:"notBlank,omitempty" doc:"it is a text that is not blank"`
	OneOf            []string `yaml:"oneOf,omitempty" doc:"it is one of these texts"`
	AnyOf            []string `yaml:"anyOf,omitempty" doc:"it is a list with one of these texts"`
	NotLater         bool     `yaml:"notLater,omitempty" doc:"it is an instant or day not after the request"`
	NotOlder         string   `yaml:"notOlder,omitempty" pattern:"^[1-9][0-9]{0,4}[hd]$" doc:"it is an instant not after the request and at most so many hours (72h) or days (30d) before"`
	Reference        bool     `yaml:"reference,omitempty" doc:"it is a reference"`
	OutsideRequester bool     `yaml:"outsideRequester,omitempty" doc:"it is a reference to neither the requester nor its organisation"`
}
