package mappings

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
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
	Version string // of the file, for Provenance; "" = none
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

	zone          *time.Location
	places        map[string]*node // of the keys
	aliasPlaces   map[string]*node // of the columns that aliases name
	mappingFile   string
	mappingBeside bool
	overlays      []overlay // what the profile, after those that it inherits, says of the mapping
}

var profileKeys = []string{"profile", "mapping", "adapter", "charset", "delimiter", "aliases", "timezone", "dates", "agencies", "default-ori", "licence-state", "race-list", "consent", "test-names", "systems", "sender-base", "organizations", "inherit", "note", "version"}

// ParseProfile reads a profile file; name is for error messages, which say
// file:line:column.
func ParseProfile(name string, raw []byte) (*Profile, error) {
	return parseProfile(nil, name, raw)
}

// LoadProfile reads a profile from a file system: Files() for the built-in ones.
func LoadProfile(fsys fs.FS, name string) (*Profile, error) {
	raw, err := readFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return parseProfile(fsys, name, raw)
}

func parseProfile(fsys fs.FS, name string, raw []byte) (*Profile, error) {
	var errs []error
	p := &Profile{RaceList: "nibrs", ConsentHours: 72}
	root := parseYAML(name, raw, &errs)
	if root != nil {
		root.src.fsys = fsys
		if root = p.inherit(root, overlay{name, raw, fsys}, nil); root != nil {
			p.read(root)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// maxInherit is how many profiles can inherit from each other in a row.
const maxInherit = 8

// inherit lays a profile over the one that it inherits. Maps are laid over each
// other key by key, everything else takes the place of what is inherited.
func (p *Profile) inherit(root *node, self overlay, below []string) *node {
	if !root.strict("a profile", slices.Concat(profileKeys, overlayKeys)...) {
		return nil
	}
	n := root.get("inherit")
	if n == nil {
		p.overlays = append(p.overlays, self)
		return root
	}
	base := p.parent(root, n, append(slices.Clone(below), self.name))
	p.overlays = append(p.overlays, self)
	if base == nil {
		return nil
	}
	for i, k := range root.keys {
		old, now := base.get(k), root.values[i]
		if old == nil || old.kind != yamlMap || now.kind != yamlMap {
			base.set(root, k, now)
			continue
		}
		for j, inner := range now.keys {
			old.set(now, inner, now.values[j])
		}
	}
	base.src, base.line, base.column = root.src, root.line, root.column
	return base
}

// parent reads the profile that n names: beside the file, else from the root of
// the files (a built-in one).
func (p *Profile) parent(root, n *node, below []string) *node {
	fsys := root.src.fsys
	if fsys == nil {
		n.errorf("a profile that inherits is loaded from a file")
		return nil
	}
	name, raw, err := readBeside(fsys, n)
	switch {
	case err != nil:
		n.errorf("the profile %q %s", n.text, unreadable(err))
		return nil
	case slices.Contains(below, name):
		n.errorf("the profile %q inherits itself", name)
		return nil
	case len(below) > maxInherit:
		n.errorf("more than %d profiles inherit from each other", maxInherit)
		return nil
	}
	base := parseYAML(name, raw, root.src.errs)
	if base == nil {
		return nil
	}
	base.src.fsys = fsys
	return p.inherit(base, overlay{name, raw, fsys}, below)
}

// readBeside reads the file that n names: beside the one it stands in, else from
// the root.
func readBeside(fsys fs.FS, n *node) (name string, raw []byte, err error) {
	name = n.path()
	if raw, err = readFile(fsys, name); errors.Is(err, fs.ErrNotExist) {
		if other, e := readFile(fsys, n.text); e == nil {
			return n.text, other, nil
		}
	}
	return name, raw, err
}

// MappingFile is the file that Mapping names, in the file system that the profile
// was loaded from: beside the profile that says it, else from the root, where the
// built-in ones are. It is "" if there is none.
func (p *Profile) MappingFile() (file string, beside bool) { return p.mappingFile, p.mappingBeside }

func (p *Profile) findMapping(n *node) {
	if n == nil || n.kind != yamlScalar || n.src.fsys == nil {
		return
	}
	for _, name := range []string{n.text, n.path()} {
		// Seen from the root, a built-in mapping has the same name as a file beside
		// a profile that stands there.
		ours := name != n.text || strings.HasPrefix(name, "/") || !exists(embedded, name)
		if ours && exists(n.src.fsys, name) {
			p.mappingFile, p.mappingBeside = name, true
			return
		}
	}
	if exists(n.src.fsys, n.text) {
		p.mappingFile = n.text
	}
}

// Fault says what is wrong with the value of one of the profile's keys, at its
// place, wherever it is inherited from.
func (p *Profile) Fault(key, format string, args ...any) error {
	if n := p.places[key]; n != nil {
		return n.src.fault(n.line, n.column, format, args...)
	}
	return fmt.Errorf("profile %s: %s", p.Name, fmt.Sprintf(format, args...))
}

func exists(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.Mode().IsRegular()
}

func (p *Profile) read(root *node) {
	p.Name = root.string("profile", true)
	p.Version = root.string("version", false)
	p.Mapping = root.string("mapping", false)
	p.findMapping(root.get("mapping"))
	p.places = map[string]*node{}
	for i, k := range root.keys {
		p.places[k] = root.values[i]
	}
	p.aliasPlaces = map[string]*node{}
	if aliases := root.get("aliases"); aliases != nil && aliases.kind == yamlMap {
		for i, k := range aliases.keys {
			p.aliasPlaces[k] = aliases.values[i]
		}
	}
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
