package config

// Organization is an agency, clinic or exchange that takes part.
type Organization struct {
	ID   string `yaml:"id"`   // the id in Organization/<id>
	Name string `yaml:"name"` // as people know it
	// Address is the postal one, for the accounting of disclosures.
	Address string `yaml:"address"`
	Kind    string `yaml:"kind"`  // police, health or exchange
	State   string `yaml:"state"` // USPS code ("TX") of the state whose law binds it as custodian
	Part2   bool   `yaml:"part2"` // a 42 CFR Part 2 program
	// Designations say as what it is designated by a law that lists agencies, in
	// the words of a rule pack.
	Designations []string     `yaml:"designations"`
	Networks     []string     `yaml:"networks"`    // ids of exchanges in which it takes part
	Identifiers  []Identifier `yaml:"identifiers"` // ORI, NPI …
	// PrivacyContact is told of emergencies and of legal bases that wait.
	PrivacyContact *PrivacyContact `yaml:"privacyContact"`
	// Practitioners are people of this organisation by whom a Consent may name a
	// recipient. A user whom one of its clients asserts under such an id or
	// identifier is that Practitioner.
	Practitioners []Practitioner `yaml:"practitioners"`
}

// Practitioner is a person who works for an organisation.
type Practitioner struct {
	ID          string       `yaml:"id"`          // the id in Practitioner/<id>
	Identifiers []Identifier `yaml:"identifiers"` // NPI, badge number …
}

// Identifier is a business identifier.
type Identifier struct {
	System string `yaml:"system"`
	Value  string `yaml:"value"`
}
