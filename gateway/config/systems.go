package config

import "time"

// System is a connected system: a source of records, or an upstream to ask.
type System struct {
	Key          string `yaml:"key"`          // its name in this file, in links and in the audit trail
	Kind         string `yaml:"kind"`         // fhir (asked over HTTP) or feed (records come in)
	Organization string `yaml:"organization"` // id of the custodian
	// Slug starts the opaque ids of its resources: 1-8 lower-case letters that
	// do not tell which system it is.
	Slug  string `yaml:"slug"`
	Base  string `yaml:"base"`  // FHIR base URL, for kind fhir
	Part2 *bool  `yaml:"part2"` // overrides the organisation's
	// Part2Units tell which records are a 42 CFR Part 2 unit's, where a system
	// that is no such program as a whole holds one: a record is, if one of them
	// says so or if none of them says anything about it.
	Part2Units []Part2Unit `yaml:"part2Units"`
	// Consents says what a Consent from this system may do: "deny" (default)
	// only withhold, "registry" also grant, "none": it keeps none and is not
	// asked for any.
	Consents string        `yaml:"consents"`
	Types    []string      `yaml:"types"` // resource types it serves; empty: ask for any
	Auth     SystemAuth    `yaml:"auth"`
	Timeout  time.Duration `yaml:"timeout"` // default broker.timeout
	MaxPage  int64         `yaml:"maxPage"` // bytes of one answer; default 8 MiB
	Adapter  string        `yaml:"adapter"` // for kind feed: rms/csv, ehr/hl7v2 …
	Profile  string        `yaml:"profile"` // mapping profile of the feed
	// Receive says how records of a feed come in by themselves; without it they
	// come by 'handoff ingest' alone.
	Receive *Receive `yaml:"receive"`
	// RecordsConsentFor is as in a client: for which custodians a Consent of
	// this feed may grant. A police agency usually records for itself alone.
	RecordsConsentFor []string `yaml:"recordsConsentFor"`
}

// A Part2Unit is one place that tells a record's unit.
type Part2Unit struct {
	// Field is a field of a feed's records: MSH-4, PV1-3, PV1-10, a component
	// such as PV1-3.4, or a column. What stands there is compared by component
	// and as a whole, without case.
	Field string `yaml:"field"`
	// Element is a path of elements, for a system of kind fhir: serviceProvider,
	// location.location, author, performer.actor, meta.tag, or with a type in
	// front (Condition.recorder). A reference is compared as "Type/id", by its
	// identifier ("system|value" or value) and by its display; a concept by
	// "system|code", code and text.
	Element string `yaml:"element"`
	// Values are those of the Part 2 units.
	Values []string `yaml:"values"`
	// Others are those of the other units. Where they are given, a value in
	// neither list is unknown, and the record Part 2; else it is another unit's.
	Others []string `yaml:"others"`
}

// SystemAuth is how the gateway authenticates to an upstream.
type SystemAuth struct {
	ClientID string `yaml:"clientId"` // SMART Backend Services client id there
	KeyFile  string `yaml:"keyFile"`  // private JWK
	Scope    string `yaml:"scope"`
	TokenURL string `yaml:"tokenUrl"` // default: from its discovery document
}
