package packs

// Kinds of packs.
const (
	Federal   = "federal"
	State     = "state"
	Agreement = "agreement"
)

// A Pack is one file of rules. The tags say how a file spells it and what the
// schema says of it; what is not marked "optional" must be there.
type Pack struct {
	ID           string            `yaml:"id" pattern:"^[a-z0-9][a-z0-9-]{0,63}$" doc:"name of the pack; the configuration names it so"`
	Version      string            `yaml:"version" pattern:"^20[0-9]{2}[.](0[1-9]|1[0-2])([.][0-9]{1,3})?$" doc:"calendar version, in quotes: year, month and, within a month, a number"`
	Title        string            `yaml:"title" doc:"for people"`
	Kind         string            `yaml:"kind" enum:"federal,state,agreement" doc:"which layer it is: see the package comment for what each may do"`
	Jurisdiction string            `yaml:"jurisdiction" pattern:"^[A-Z]{2}(-[A-Z0-9]{1,3})?$" doc:"ISO 3166: US, or US-TX; the custodian whose data are judged must be there"`
	Combining    string            `yaml:"combining" enum:"first-applicable,deny-overrides" doc:"first-applicable for a federal pack, deny-overrides for the others"`
	Sources      []Source          `yaml:"sources" doc:"where the texts stand"`
	Period       *Period           `yaml:"period,omitempty" doc:"when an agreement is in force; required there, and only there"`
	Police       []string          `yaml:"police,omitempty" doc:"roles that are law enforcement, of the project's actor-role system; federal packs only"`
	Times        map[string]Times  `yaml:"times,omitempty" doc:"resource type → the elements that a Consent's dataPeriod is compared with; federal packs only; absent: those of package consent"`
	Profiles     map[string]Extent `yaml:"profiles,omitempty" doc:"extents by name, for rules to refer to"`
	Rules        []Rule            `yaml:"rules" doc:"in the order in which they are tried"`
	Elsewhere    []Elsewhere       `yaml:"elsewhere,omitempty" doc:"rows of the decision table that have no rule here, with the reason"`

	name string         // of the file
	raw  []byte         // its bytes
	hash string         // sha256:… of them
	at   map[string]Pos // path → place
}

// A Source is where a text of law or an agreement stands.
type Source struct {
	ID    string `yaml:"id" pattern:"^[a-z0-9][a-z0-9.-]{0,63}$" doc:"for verified.where"`
	Title string `yaml:"title" doc:"for people"`
	URL   string `yaml:"url,omitempty" doc:"where it was read"`
}

// A Period is from one day to another, both inclusive, in the offset of the
// request's instant.
type Period struct {
	Start string `yaml:"start,omitempty" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" doc:"first day; absent: open"`
	End   string `yaml:"end" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" doc:"last day; required: agreements expire"`
}

// Times names two elements without their type: "effective" for effective[x].
type Times struct {
	Clinical string `yaml:"clinical" doc:"when it happened"`
	Recorded string `yaml:"recorded,omitempty" doc:"what counts if that is absent"`
}

// A Rule is one rule of a pack.
type Rule struct {
	ID         string    `yaml:"id" pattern:"^[a-z0-9][a-z0-9./()-]{0,95}$" doc:"unique in the pack; reasons name it, and the configuration where it enables it"`
	Says       string    `yaml:"says,omitempty" doc:"the rule in plain words"`
	Rows       []int     `yaml:"rows,omitempty" doc:"rows of the decision table to which it gives a home"`
	Citation   string    `yaml:"citation" doc:"the paragraph"`
	Verified   *Verified `yaml:"verified,omitempty" doc:"where and when the paragraph was compared with the rule"`
	Unverified bool      `yaml:"unverified,omitempty" doc:"it was not; the rule is off unless the configuration enables it by name"`
	Effect     string    `yaml:"effect" enum:"permit,basis,emergency,accept,deny,require,limit,gate,oblige" doc:"see the package comment"`

	When         []Condition   `yaml:"when,omitempty" doc:"all must hold for the rule to apply"`
	Require      []Condition   `yaml:"require,omitempty" doc:"basis: what makes it valid; require: without which the ground is lost; gate: what passes it without a Consent; all must hold"`
	Alternatives []Alternative `yaml:"alternatives,omitempty" doc:"one must hold, beside all of require"`

	Type        string   `yaml:"type,omitempty" pattern:"^[a-z0-9][a-z0-9.-]{0,95}$" doc:"basis: the type by which it is declared"`
	Within      string   `yaml:"within,omitempty" doc:"the federal rule it stands on: a basis of a state, by the federal basis' type, whose conditions must hold too; a permit of an agreement, by the id of an abstract federal permit"`
	Abstract    bool     `yaml:"abstract,omitempty" doc:"it opens nothing by itself, only for a rule of another pack that stands on it"`
	Agreement   bool     `yaml:"agreement,omitempty" doc:"abstract permit: an agreement named in the request as verified and in force fills it, too"`
	Basis       []string `yaml:"basis,omitempty" doc:"accept: the types of basis that are accepted in advance"`
	Passes      []string `yaml:"passes,omitempty" doc:"ids of gates behind which it reaches"`
	Consent     string   `yaml:"consent,omitempty" enum:"part2,psychotherapy-notes" doc:"gate: the form of Consent that opens it, part2 (42 CFR 2.31) or psychotherapy-notes (45 CFR 164.508(a)(2))"`
	Overrides   []string `yaml:"overrides,omitempty" doc:"emergency, permit: what does not stand in its way: patient-deny (any deny), unnamed-deny (one that does not name the requester), residual, or a gate's id"`
	Extent      *Extent  `yaml:"extent,omitempty" doc:"what it reaches; limit: what it leaves"`
	Obligations []string `yaml:"obligations,omitempty" doc:"go with every disclosure on this ground; of a gate: with every Consent that opened it; of oblige: where its conditions hold"`
}

// A Verified says where and when the text was compared.
type Verified struct {
	Where string `yaml:"where" doc:"id of a source, or an address"`
	On    string `yaml:"on" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}$" doc:"the day"`
	Note  string `yaml:"note,omitempty" doc:"what was compared where that is not the whole of the current paragraph"`
}

// An Alternative is one way in which a rule's requirement is met.
type Alternative struct {
	ID          string      `yaml:"id" pattern:"^[a-z0-9][a-z0-9./()-]{0,95}$" doc:"unique in the rule"`
	Require     []Condition `yaml:"require" doc:"all must hold"`
	Obligations []string    `yaml:"obligations,omitempty" doc:"basis: go with what is disclosed in this way"`
}

// An Elsewhere says why a row of the decision table has no rule.
type Elsewhere struct {
	Row    int    `yaml:"row" doc:"of the decision table"`
	Reason string `yaml:"reason" doc:"where it is answered, or why not"`
}

// An Extent says what a rule reaches. What it has must all hold; an empty one
// reaches everything.
type Extent struct {
	Covers    bool       `yaml:"covers,omitempty" doc:"the resources that the declared basis lists, and at least one must be listed"`
	Profile   string     `yaml:"profile,omitempty" doc:"within this profile"`
	Custodian string     `yaml:"custodian,omitempty" doc:"data of the custodian that this attribute of the declared basis names"`
	Never     []string   `yaml:"never,omitempty" doc:"labels of which it reaches nothing"`
	Elements  []Elements `yaml:"elements,omitempty" doc:"these types and elements only"`
}

// Elements says which elements of a type are reached. id, meta and what names the subject
// always are. With only it lists them; otherwise all but drop are.
type Elements struct {
	Type   string              `yaml:"type" doc:"a resource type of R4"`
	Only   []string            `yaml:"only,omitempty" doc:"the elements"`
	Drop   []string            `yaml:"drop,omitempty" doc:"all but these"`
	Within map[string][]string `yaml:"within,omitempty" doc:"element → the members that are kept of it"`
	System map[string]string   `yaml:"system,omitempty" doc:"element → only its entries of this system"`
	Codes  []string            `yaml:"codes,omitempty" doc:"only if its code is one of these, system|code with loinc and snomed for short"`
	Names  []string            `yaml:"names,omitempty" doc:"or its code is named by one of these, in lower case"`
	Topic  []string            `yaml:"topic,omitempty" doc:"only if title, description or category names one of these, in lower case"`
	Unless map[string][]string `yaml:"unless,omitempty" doc:"element → codes with which the resource is not reached"`
}
