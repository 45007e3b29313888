package consent

import (
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A Source says what the gateway knows about where a Consent comes from.
type Source struct {
	// Entitled says that whoever recorded the Consent may grant: it is
	// registered as a consent recorder for the custodian, or is the patient, or
	// the system is configured as a consent registry. Without it the Consent
	// may deny and never grants.
	Entitled bool
	// Reference names the Consent and its version in reasons, such as
	// "Consent/c1/_history/3". Empty: taken from id and meta.versionId.
	Reference string
	// Foreign says that the Consent comes from another system's id space: its
	// literal references were written for that system, so what they denote here
	// is unknown. A deny by one is heard, a permit by one grants nothing.
	// Identifiers count as usual, and so does the patient, whose reference
	// whoever brings the Consent has made one of this server's. Data that the
	// Consent names is compared as usual while the Consent speaks of its own
	// system's data alone, and is unknown if it is [Source.Entitled] for others'.
	Foreign bool
	// Base is the own FHIR base URL: an absolute reference below it is read as
	// the relative one. Empty: absolute references are all of other servers.
	Base string
	// Recorder is the organisation that recorded the Consent, "" if all come from
	// one. A version ends an older deny only if the same one recorded both: a
	// business identifier is no secret.
	Recorder string
	// Ceiling bounds what its permits open, whatever the Consent says. Its denies
	// are heard in full. The zero value bounds nothing.
	Ceiling Ceiling
	// Version is the version under which the Consent is stored; 0: its own
	// meta.versionId counts.
	Version int64
	// Digest is the [resource.Digest] of its content, for the audit trail; it
	// decides nothing.
	Digest string
}

// A Ceiling is the most that a Consent captured on the scene may open, or one
// that says itself that it was only spoken.
type Ceiling struct {
	// Verbal: its permits reach a law-enforcement agency's own records on their
	// way to somebody who is not law enforcement, and nothing else.
	Verbal bool
	// Until is when its permits end at the latest; zero: when the Consent says.
	Until time.Time
}

// A Consent is a parsed Consent. It is immutable and safe for concurrent use.
// The zero value states nothing.
type Consent struct {
	name        string
	status      status
	privacy     truth // scope is patient-privacy; unknown: none that R4 has
	patient     reference
	dated       moment
	hasDate     bool
	identifiers []Identifier
	rules       []provision // the first is the root; empty: the Consent states nothing
	policyRule  []coding
	issuers     []reference // organization
	signed      bool        // has source[x], performer and dateTime
	pcf         bool        // claims a profile of IHE PCF
	breakGlass  bool        // some rule has the purpose BTG
	verified    bool
	entitled    bool
	recorder    string
	ceiling     Ceiling
	foreign     bool
	base        string
	contained   resource.Node // while it is read
	voids       []string      // why it cannot grant
	source      Source        // as it was given
}

// A status is what Consent.status means for a decision.
type status uint8

const (
	ignored  status = iota // draft, proposed, entered-in-error: as if it were not there
	inForce                // active
	ended                  // inactive, rejected: it ends older versions and states nothing
	doubtful               // a code that R4 does not have, or none: may deny
)

// Reference returns the name of the Consent and its version, for reasons.
func (c *Consent) Reference() string { return c.name }

// Patient returns the reference of the person that the Consent is about.
func (c *Consent) Patient() string { return c.patient.raw }

// Grants says whether the Consent can grant anything; if not, why lists what
// stands in the way.
func (c *Consent) Grants() (ok bool, why []string) {
	why = append(why, c.voids...)
	if !c.entitled {
		why = append(why, "its recorder is not entitled to grant")
	}
	if !c.verified {
		why = append(why, "verification is not complete")
	}
	if c.status != inForce {
		why = append(why, "status is not active")
	}
	if c.privacy != yes {
		why = append(why, "scope is not patient-privacy")
	}
	if len(c.rules) == 0 {
		why = append(why, "it has no provision")
	}
	return len(why) == 0, why
}

// Understood says whether all of it is read as it was meant. One that is not
// may deny, and neither grants nor ends another.
func (c *Consent) Understood() bool {
	return len(c.voids) == 0 && c.status != doubtful && c.privacy == yes
}

// holds says whether a permit may be relied on at this instant.
func (l Ceiling) holds(at time.Time) bool { return l.Until.IsZero() || !at.After(l.Until) }

func (c *Consent) void(why string) { c.voids = append(c.voids, why) }

// reference reads a reference that stands in the Consent.
func (c *Consent) reference(s string) reference {
	r := parseReference(s)
	if c.base != "" && r.local != "" && strings.TrimRight(r.base, "/") == c.base {
		r = reference{local: r.local, raw: r.local}
	}
	return r
}

// canGrant is Grants without the list.
func (c *Consent) canGrant() bool {
	return c.entitled && c.verified && c.status == inForce && c.privacy == yes && len(c.voids) == 0
}

// Parse reads a Consent. It never fails: what is not understood takes away the
// Consent's power to grant and leaves its power to deny.
func Parse(r *resource.Resource, s Source) *Consent {
	c := &Consent{entitled: s.Entitled, recorder: s.Recorder, ceiling: s.Ceiling, foreign: s.Foreign, base: strings.TrimRight(s.Base, "/"), name: s.Reference, verified: true, source: s}
	if r == nil || r.Type() != "Consent" {
		return c
	}
	root := r.Root()
	if c.name == "" {
		c.name = r.Reference()
		if v := root.Path("meta", "versionId").Text(); s.Version != 0 {
			c.name += "/_history/" + strconv.FormatInt(s.Version, 10)
		} else if v != "" {
			c.name += "/_history/" + v
		}
	}
	c.checkMembers(root)
	c.status = readStatus(root.Get("status"))
	if c.status == doubtful {
		c.void("status is missing or unknown")
	}
	c.privacy = readScope(root.Get("scope"))
	c.patient = c.reference(root.Path("patient", "reference").Text())
	if c.patient.local == "" { // a fragment or a URN denotes nobody here
		c.patient = reference{}
		c.void("patient is missing or not a reference to a Patient")
	}
	if d := root.Get("dateTime"); d.Exists() {
		c.dated, c.hasDate = parseMoment(d.Text())
	}
	c.identifiers = identifiersOf(root)
	c.readForm(root)
	c.readVerification(root.Get("verification"))
	c.readMethod(root.Get("extension"))
	for p := range root.Path("meta", "profile").Elements() {
		c.pcf = c.pcf || isPCF(p.Text())
	}
	for range root.Named("modifierExtension", root.Get("contained")) {
		c.void("it has a modifier extension")
		break
	}
	if p := root.Get("provision"); p.Exists() {
		c.contained = root.Get("contained")
		c.read(p, -1, 0, "provision")
	}
	c.contained = resource.Node{} // the resource is not kept
	c.breakGlass = c.rulesBreakGlass()
	return c
}

// consentMembers are the elements of an R4 Consent. Elements of other versions
// (R5 has "decision") could turn its meaning round.
var consentMembers = map[string]bool{
	"resourceType": true, "id": true, "meta": true, "language": true, "text": true, "contained": true,
	"extension": true, "identifier": true, "status": true, "scope": true, "category": true,
	"patient": true, "dateTime": true, "performer": true, "organization": true,
	"sourceAttachment": true, "sourceReference": true, "policy": true, "policyRule": true,
	"verification": true, "provision": true, "_id": true, "_language": true, "_dateTime": true, "fhir_comments": true,
}

func (c *Consent) checkMembers(root resource.Node) {
	for m := range root.Members() {
		if name := m.Name(); !consentMembers[name] {
			c.void(name + " is not known")
		}
	}
}

func readStatus(n resource.Node) status {
	switch n.Text() {
	case "active":
		return inForce
	case "inactive", "rejected":
		return ended
	case "draft", "proposed", "entered-in-error":
		return ignored
	}
	return doubtful
}

// readScope says whether the Consent is one about privacy. One about treatment,
// research or advance directives is not; another scope is unknown.
func readScope(n resource.Node) truth {
	out, other := unknown, false
	for c := range n.All("coding") {
		cd := readCoding(c)
		if cd.system != terminology.ConsentScope {
			continue
		}
		switch cd.code {
		case "patient-privacy":
			return yes
		case "treatment", "research", "adr":
			other = true
		}
	}
	if other {
		out = no
	}
	return out
}

// readForm reads what 42 CFR 2.31 and 45 CFR 164.508 ask of a written consent.
func (c *Consent) readForm(root resource.Node) {
	for n := range root.Path("policyRule", "coding").Elements() {
		c.policyRule = append(c.policyRule, readCoding(n))
	}
	for n := range root.All("organization") {
		if ref := n.Get("reference").Text(); ref != "" {
			c.issuers = append(c.issuers, c.reference(ref))
		}
	}
	source := root.Get("sourceAttachment").Kind() == resource.Object || root.Get("sourceReference").Kind() == resource.Object
	c.signed = source && root.Get("performer").Len() > 0 && c.hasDate
}

// readVerification: one entry that is not true, or cannot be read, counts
// against the whole.
func (c *Consent) readVerification(n resource.Node) {
	for e := range n.Elements() {
		if v, ok := e.Get("verified").Bool(); !v || !ok {
			c.verified = false
		}
	}
}

// consentMethod is the extension in which mappings say how consent was given.
const consentMethod = "https://handoff-health.github.io/fhir/StructureDefinition/consent-method"

// readMethod: what was not given in writing opens no health records to the
// police, whoever recorded it. A Consent that does not say counts as its recorder
// is trusted.
func (c *Consent) readMethod(n resource.Node) {
	for e := range n.Elements() {
		if e.Get("url").Text() == consentMethod && e.Get("valueCode").Text() != "written" {
			c.ceiling.Verbal = true
		}
	}
}

const pcfProfiles = "https://profiles.ihe.net/ITI/PCF/"

func isPCF(profile string) bool {
	return len(profile) > len(pcfProfiles) && profile[:len(pcfProfiles)] == pcfProfiles
}

func (c *Consent) rulesBreakGlass() bool {
	for i := range c.rules {
		if p := c.rules[i].own.purposes; p != nil {
			for _, cd := range p.any {
				if cd.system == terminology.ActReason && cd.code == "BTG" {
					return true
				}
			}
		}
	}
	return false
}
