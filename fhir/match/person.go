package match

import (
	"iter"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Person is what is compared of one record. All fields but Ref and System are
// in the form that comparing wants, as [New] and [FromPatient] write them; an
// empty field says nothing.
type Person struct {
	Ref    string // whatever names the record to the caller
	System string // the system that it is from; pairs are made across systems

	Names       []Name
	BirthDate   string // full date, "1984-06-12"; "" if partial, estimated or a placeholder
	Born        string // birth date as given, for telling people apart
	Sex         string // "male", "female", "other"
	Identifiers []Identifier
	Addresses   []string // house number, street and postcode or town
	Phones      []string // digits
	SSN4        []string // tokens of last four digits
	Multiple    bool     // a twin, by multipleBirth
	ReplacedBy  []string // Patients that its system has merged it into, as Ref
}

// A Name is one name of a person.
type Name struct {
	Given, Middle, Family, Suffix string
}

// An Identifier is a value given by one assigning authority.
type Identifier struct{ System, Value string }

// Systems of identifiers that say something about matching. The token system is
// the project's own; a version of the key follows it.
const (
	SSN4System = "https://handoff-health.github.io/fhir/sid/pprl-token/"
	SSNSystem  = "http://hl7.org/fhir/sid/us-ssn"
)

// FromPatient reads a Person from a Patient.
func FromPatient(r *resource.Resource, system string) Person {
	root := r.Root()
	p := Person{Ref: r.Reference(), System: system}
	for n := range root.All("name") {
		if n.Get("use").Is("temp") || n.Get("use").Is("anonymous") {
			continue
		}
		p.AddName(joined(n.All("given")), n.Get("family").Text(), joined(n.All("suffix")))
	}
	p.Born = root.Get("birthDate").Text()
	if !qualified(root.Get("_birthDate")) {
		p.SetBirthDate(p.Born)
	}
	switch g := root.Get("gender").Text(); g {
	case "male", "female", "other":
		p.Sex = g
	}
	for n := range root.All("link") {
		if n.Get("type").Is("replaced-by") {
			p.ReplacedBy = append(p.ReplacedBy, n.Path("other", "reference").Text())
		}
	}
	for n := range root.All("identifier") {
		// What a merge has made old still says who the record is of.
		if u := n.Get("use"); !u.Is("temp") && (!u.Is("old") || len(p.ReplacedBy) > 0) {
			p.AddIdentifier(n.Get("system").Text(), n.Get("value").Text())
		}
	}
	for n := range root.All("telecom") {
		if s := n.Get("system"); (s.Is("phone") || s.Is("sms")) && !n.Get("use").Is("work") && !n.Get("use").Is("old") {
			p.AddPhone(n.Get("value").Text())
		}
	}
	for n := range root.All("address") {
		if !n.Get("use").Is("temp") && !n.Get("use").Is("work") {
			line := joined(n.All("line"))
			if line == "" {
				line = n.Get("text").Text()
			}
			p.AddAddress(line, n.Get("city").Text(), n.Get("postalCode").Text())
		}
	}
	if b, ok := root.Get("multipleBirthBoolean").Bool(); ok && b || root.Get("multipleBirthInteger").Exists() {
		p.Multiple = true
	}
	return p
}

// qualified says whether a birth date has an extension that may say that it is
// estimated or absent for a reason; the time of birth is the only one that does
// not.
func qualified(n resource.Node) bool {
	for e := range n.All("extension") {
		if !e.Get("url").Is("http://hl7.org/fhir/StructureDefinition/patient-birthTime") {
			return true
		}
	}
	return false
}

func joined(seq iter.Seq[resource.Node]) string {
	var parts []string
	for n := range seq {
		if t := n.Text(); t != "" {
			parts = append(parts, t)
		}
	}
	return strings.Join(parts, " ")
}

// AddName adds a name. Generations are recognised wherever they stand; what
// stands for an unknown name is left out.
func (p *Person) AddName(given, family, suffix string) {
	var n Name
	take := func(s string) []string {
		var out []string
		for i, w := range words(s) {
			// A lone "V" is more often a middle initial than a fifth.
			if g, ok := suffixes[w]; ok && w != "v" && (i > 0 || s == suffix) {
				n.Suffix = g
				continue
			}
			out = append(out, w)
		}
		return out
	}
	g, f := take(given), take(family)
	take(suffix)
	if len(g) > 0 {
		n.Given, n.Middle = g[0], strings.Join(g[1:], "")
	}
	n.Family = strings.Join(f, "")
	if n.Given == "" || n.Family == "" || placeholders[n.Given] || placeholders[n.Family] || slices.ContainsFunc(f, func(w string) bool { return placeholders[w] }) {
		return
	}
	if !slices.Contains(p.Names, n) {
		p.Names = append(p.Names, n)
	}
}

// SetBirthDate keeps a full birth date that is not a placeholder. The first of
// January is one: it is what a year alone becomes in many systems.
func (p *Person) SetBirthDate(date string) {
	if p.Born == "" {
		p.Born = date
	}
	if len(date) != len("1984-06-12") || !validDate(date) {
		return
	}
	if strings.HasSuffix(date, "-01-01") || date < "1900" || date >= "2100" || sentinelDates[date] {
		return
	}
	p.BirthDate = date
}

var sentinelDates = map[string]bool{
	"1900-01-02": true, "1911-11-11": true, "1901-12-13": true, "1969-12-31": true, "2038-01-19": true,
}

func validDate(s string) bool {
	if s[4] != '-' || s[7] != '-' || len(digits(s)) != 8 {
		return false
	}
	m, d := s[5:7], s[8:]
	return m >= "01" && m <= "12" && d >= "01" && d <= "31"
}

// AddIdentifier adds an identifier. Placeholders, and those whose authority
// nobody names, say nothing.
func (p *Person) AddIdentifier(system, value string) {
	system = strings.TrimSpace(system)
	norm := fold(value, false)
	if system == "" || len(norm) < 3 || monotone(norm) || counting(norm) || placeholders[norm] || strings.HasPrefix(norm, "unk") || strings.HasPrefix(norm, "temp") {
		return
	}
	if strings.HasPrefix(system, SSN4System) {
		p.SSN4 = append(p.SSN4, system+"|"+strings.TrimSpace(value))
		return
	}
	if system == SSNSystem {
		if norm = digits(norm); !plausibleSSN(norm) {
			return
		}
		value = norm
	}
	id := Identifier{system, strings.TrimSpace(value)}
	if !slices.Contains(p.Identifiers, id) {
		p.Identifiers = append(p.Identifiers, id)
	}
}

// plausibleSSN refuses numbers that were never given out, and the ones printed
// in advertisements. Source: SSA, "SSN randomization" and its list of invalid
// numbers.
func plausibleSSN(d string) bool {
	return len(d) == 9 && d[:3] != "000" && d[:3] != "666" && d[0] != '9' && d[3:5] != "00" && d[5:] != "0000" &&
		d != "078051120" && d != "219099999" && !counting(d) && !monotone(d)
}

// AddPhone adds a telephone number of at least seven digits.
func (p *Person) AddPhone(s string) {
	d := digits(s)
	if len(d) == 11 && d[0] == '1' {
		d = d[1:]
	}
	if len(d) < 7 || len(d) > 15 {
		return
	}
	if last := d[len(d)-7:]; monotone(last) || monotone(last[3:]) && last[3] == '0' || counting(last) || last == "5551212" {
		return
	}
	if !slices.Contains(p.Phones, d) {
		p.Phones = append(p.Phones, d)
	}
}

// AddAddress adds an address that can be somebody's home: a house number, a
// street, and a postcode or town.
func (p *Person) AddAddress(line, city, postcode string) {
	ws := words(line)
	if len(ws) < 2 || !strings.ContainsAny(ws[0], "0123456789") || institutional(ws) {
		return
	}
	for i, w := range ws {
		if short, ok := streetWords[w]; ok {
			ws[i] = short
		}
	}
	where := digits(postcode)
	if len(where) > 5 {
		where = where[:5] // ZIP+4
	}
	if where == "" {
		where = fold(city, false)
	}
	if where == "" || monotone(where) && len(where) > 1 {
		return
	}
	a := strings.Join(ws, " ") + "," + where
	if !slices.Contains(p.Addresses, a) {
		p.Addresses = append(p.Addresses, a)
	}
}
