package mappings

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/mappings/field"
)

// A Profile says what is particular to one sender: whose records these are and
// in which zone, charset and spelling they come. It is data; a new agency with
// a known format needs a profile and no code.
type Profile struct {
	Name    string // for messages and Provenance
	Mapping string // mapping file: "rms/riverton/contact.map.yaml"; "" = the caller's
	Adapter string // decoder: "rms/csv"; "" = the caller's

	// What decoders use.
	Charset   string            // "windows-1252", "utf-8"; "" = sniff
	Delimiter string            // of delimited files: "," "|" "\t" "~|~"; "" = sniff
	Aliases   map[string]string // header in the file → column of the mapping

	// What expressions see as profile.X.
	TimeZone       string            // IANA name; "" = none
	DayFirst       bool              // 07/03/1979 is the 7th of March
	Agencies       map[string]string // ORI → name; not empty: other ORIs are refused
	DefaultORI     string            // for records without one
	LicenceState   string            // state that issued the licences of the OLN column; "" = not known
	RaceList       string            // "nibrs" (A = Asian) or "ncic" (A = Asian or Pacific Islander)
	ConsentHours   int               // how long a consent without expiry lasts
	ConsentParties []string          // who a consent without named recipient is for; empty: nobody
	Organizations  map[string]string // name as written in exports, case folded → id of the organization in the gateway's configuration
	TestNames      []string          // family names that mark test records, besides the usual ones
	Systems        map[string]string // HL7 v2 assigning authority → identifier system
	SenderBase     string            // URI under which this sender's own identifier systems stand

	zone *time.Location
}

var profileKeys = []string{"profile", "mapping", "adapter", "charset", "delimiter", "aliases", "timezone", "dates", "agencies", "default-ori", "licence-state", "race-list", "consent", "test-names", "systems", "sender-base", "organizations"}

// ParseProfile reads a profile file; name is for error messages, which say
// file:line:column.
func ParseProfile(name string, raw []byte) (*Profile, error) {
	var errs []error
	root := parseYAML(name, raw, &errs)
	p := &Profile{RaceList: "nibrs", ConsentHours: 72}
	if root != nil && root.strict("a profile", profileKeys...) {
		p.read(root)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// LoadProfile reads a profile from a file system: Files() for the built-in ones.
func LoadProfile(fsys fs.FS, name string) (*Profile, error) {
	raw, err := readFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return ParseProfile(name, raw)
}

func (p *Profile) read(root *node) {
	p.Name = root.string("profile", true)
	p.Mapping = root.string("mapping", false)
	p.Adapter = root.string("adapter", false)
	p.Charset = root.string("charset", false)
	if d := root.get("delimiter"); d != nil {
		p.Delimiter = d.text
		if fold(d.text) == "TAB" || d.text == `\t` {
			p.Delimiter = "\t"
		}
		if n := len([]rune(p.Delimiter)); n < 1 || n > 4 || strings.ContainsAny(p.Delimiter, "\"\r\n") {
			d.errorf("the delimiter must be one to four characters, none of them a quote or a line end")
		}
	}
	p.Aliases = root.texts("aliases")
	p.Agencies = root.texts("agencies")
	p.Systems = root.texts("systems")
	p.readOrganizations(root)
	p.DefaultORI = root.string("default-ori", false)
	p.LicenceState = strings.ToUpper(root.string("licence-state", false))
	p.SenderBase = root.string("sender-base", false)
	if z := root.get("timezone"); z != nil {
		var err error
		if p.zone, err = field.LoadZone(z.text); err != nil {
			z.errorf("%v", err)
		}
		p.TimeZone = z.text
	}
	if d := root.get("dates"); d != nil {
		switch d.text {
		case "month-first":
		case "day-first":
			p.DayFirst = true
		default:
			d.errorf("dates must be month-first or day-first")
		}
	}
	if r := root.get("race-list"); r != nil {
		if p.RaceList = r.text; r.text != "nibrs" && r.text != "ncic" {
			r.errorf("race-list must be nibrs or ncic")
		}
	}
	for _, n := range root.list("test-names") {
		p.TestNames = append(p.TestNames, fold(n.text))
	}
	p.readConsent(root.get("consent"))
}

func (p *Profile) readConsent(c *node) {
	if c == nil || !c.strict("consent", "default-hours", "default-recipients") {
		return
	}
	if h := c.get("default-hours"); h != nil {
		n, err := strconv.Atoi(h.text)
		if err != nil || n < 1 || n > 24*366 {
			h.errorf("default-hours must be a number of hours from 1 to 8784")
		}
		p.ConsentHours = n
	}
	for _, r := range c.list("default-recipients") {
		p.readRecipient(r)
	}
}

// readRecipient reads one default recipient: a name, or {name: …, organization:
// …} where the gateway's configuration knows it.
func (p *Profile) readRecipient(r *node) {
	if r.kind != yamlMap {
		p.ConsentParties = append(p.ConsentParties, r.text)
		return
	}
	if !r.strict("a recipient", "name", "organization") {
		return
	}
	name := r.string("name", true)
	p.ConsentParties = append(p.ConsentParties, name)
	if r.get("organization") != nil {
		p.addOrganization(r.get("organization"), name, r.string("organization", true))
	}
}

func (p *Profile) readOrganizations(root *node) {
	m := root.get("organizations")
	for name, id := range root.texts("organizations") {
		p.addOrganization(m.get(name), name, id)
	}
}

var organizationID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

func (p *Profile) addOrganization(at *node, name, id string) {
	if !organizationID.MatchString(id) {
		at.errorf("an organization is named by its id in the gateway's configuration: letters, digits, . and -")
		return
	}
	if p.Organizations == nil {
		p.Organizations = map[string]string{}
	}
	if old := p.Organizations[fold(name)]; old != "" && old != id {
		at.errorf("%q is the organization %q already", name, old)
		return
	}
	p.Organizations[fold(name)] = id
}

// organization is the configured id of an organization as exports write its
// name, "" if the profile has none.
func (p *Profile) organization(name string) string {
	if id := p.Organizations[fold(name)]; id != "" {
		return id
	}
	for known, id := range p.Organizations { // a profile made in code
		if fold(known) == fold(name) {
			return id
		}
	}
	return ""
}

// texts reads a map of texts.
func (n *node) texts(key string) map[string]string {
	m := n.get(key)
	if m == nil {
		return nil
	}
	if m.kind != yamlMap {
		m.errorf("%q must be a map of texts", key)
		return nil
	}
	out := map[string]string{}
	for i, k := range m.keys {
		if m.values[i].kind != yamlScalar || m.values[i].text == "" {
			m.values[i].errorf("%q must be text", k)
			continue
		}
		out[k] = m.values[i].text
	}
	return out
}

// Zone is the sender's time zone, nil if the profile names none.
func (p *Profile) Zone() *time.Location {
	if p.zone == nil && p.TimeZone != "" { // a profile made in code
		if z, err := field.LoadZone(p.TimeZone); err == nil {
			return z
		}
	}
	return p.zone
}
