package ndex

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/tree"
)

// person is the person whom the record is about.
func (d *decoder) person(name string, c *contact, p *node) *tree.Node {
	e := p.parts
	n := &tree.Node{Name: name, Pos: e[0].pos}
	put(n, d.key(p))
	for _, r := range p.roles {
		put(n, word("Role", r.name, r.el))
		if n.First("Sequence") == nil {
			put(n, leaf("Sequence", below([]*element{r.el}, "SubjectSequenceNumberText", "SubjectSequenceNumber")))
		}
		for _, k := range r.el.under("SubjectCautionInformationCode") {
			put(n, leaf("Caution", k))
		}
	}
	names(n, e)
	put(n, leaf("Birth", below(e, "PersonBirthDate/Date", "PersonBirthDate/DateTime", "PersonBirthDate/YearMonthDate", "PersonBirthDate/YearDate", "PersonBirthDate/DateRange/StartDate/Date", "PersonBirthDate")),
		age(e), leaf("Sex", below(e, "PersonSexCode", "PersonSexText", "PersonSex")),
		leaf("Ethnicity", below(e, "PersonEthnicityCode", "PersonEthnicityText")))
	races(n, e)
	put(n, leaf("SSN", below(e, "PersonSSNIdentification/IdentificationID", "PersonAugmentation/PersonSSNIdentification/IdentificationID")))
	license(n, e)
	put(n, d.home(p), d.phone(p))
	for _, k := range e {
		for _, t := range append(k.under("PersonVeteranIndicator"), k.under("VeteranStatusIndicator")...) {
			put(n, leaf("Veteran", t))
		}
		for _, t := range k.under("PersonLivingIndicator") {
			put(n, leaf("Living", t))
		}
	}
	return n
}

// key is the number by which the agency's system knows the person: stated for it,
// or the id of the source record that a LEXS digest gives.
func (d *decoder) key(p *node) *tree.Node {
	if k := below(p.parts, "PersonRMSIdentification/IdentificationID", "PersonAugmentation/PersonRMSIdentification/IdentificationID", "PersonMasterNameIndexIdentification/IdentificationID",
		"PersonLocalIdentification/IdentificationID", "PersonOtherIdentification/IdentificationID"); k != nil {
		return leaf("Key", k)
	}
	for _, e := range p.parts {
		for _, id := range strings.Fields(e.attr(structure, "metadata")) {
			if m := d.g.ids[id]; m.first("SourceIDText").raw() != "" {
				return leaf("Key", m.first("SourceIDText"))
			}
		}
	}
	return nil
}

// names are the parts of the name; each from the first element that has it, and
// the other names that the person has.
func names(n *tree.Node, parts []*element) {
	var all []*element
	for _, e := range parts {
		for i, k := range e.all("PersonName") {
			if i > 0 || len(all) > 0 && all[0].first("PersonSurName").raw() != "" && k.first("PersonSurName").raw() != "" && !same(all[0], k) {
				alias(n, k)
				continue
			}
			all = append(all, k)
		}
		for _, k := range append(e.all("PersonAlternateName"), e.under("PersonAlias")...) {
			alias(n, k)
		}
	}
	put(n, leaf("Surname", below(all, "PersonSurName")), leaf("Given", below(all, "PersonGivenName")))
	for _, k := range all {
		for _, m := range k.all("PersonMiddleName") {
			if n.First("Middle") == nil {
				put(n, leaf("Middle", m))
			} else {
				n.First("Middle").Text += " " + m.value()
			}
		}
	}
	put(n, leaf("Suffix", below(all, "PersonNameSuffixText")), leaf("FullName", below(all, "PersonFullName")))
	for _, k := range all {
		k.use()
	}
}

func same(a, b *element) bool {
	return strings.EqualFold(a.first("PersonSurName").raw(), b.first("PersonSurName").raw()) &&
		(b.first("PersonGivenName").raw() == "" || strings.EqualFold(a.first("PersonGivenName").raw(), b.first("PersonGivenName").raw()))
}

// alias adds another name in the form that lists of other names have.
func alias(n *tree.Node, e *element) {
	sur, given, full := e.first("PersonSurName").raw(), e.first("PersonGivenName").raw(), e.first("PersonFullName").raw()
	if middle := e.first("PersonMiddleName").raw(); middle != "" && given != "" {
		given += " " + middle
	}
	text := full
	switch {
	case sur != "" && given != "":
		text = sur + ", " + given
	case sur != "":
		text = sur
	case given != "":
		text = given
	}
	if text == "" && len(e.kids) == 0 {
		text = e.raw()
	}
	if c := e.first("PersonNameCategoryCode"); c.raw() != "" && text != "" {
		text += " (" + strings.ToLower(c.raw()) + ")"
	}
	put(n, word("Alias", strings.ReplaceAll(text, ";", " "), e))
	e.use()
}

// age is a stated age as people write it: "41", "55-65", "5 months".
func age(parts []*element) *tree.Node {
	at := below(parts, "PersonAgeMeasure/MeasurePointValue", "PersonAgeMeasure/MeasureIntegerValue", "PersonAgeMeasure/MeasureText", "PersonAgeMeasure/MeasureValueText", "PersonAgeMeasure/MeasureDecimalValue",
		"PersonAgeMeasure/MeasureUnitlessIntegerValue", "PersonAgeDescriptionText")
	text := at.value()
	for _, shape := range [][2]string{{"MeasureIntegerRange/RangeMinimumIntegerValue", "MeasureIntegerRange/RangeMaximumIntegerValue"}, {"MeasureRangeValue/RangeMinimumValue", "MeasureRangeValue/RangeMaximumValue"},
		{"MeasureRange/RangeMinimumIntegerValue", "MeasureRange/RangeMaximumIntegerValue"}} {
		low, high := below(parts, "PersonAgeMeasure/"+shape[0]), below(parts, "PersonAgeMeasure/"+shape[1])
		if text == "" && low != nil {
			at, text = low, low.value()
			if h := high.value(); h != "" && h != text {
				text += "-" + h
			}
		}
	}
	unit := below(parts, "PersonAgeMeasure/TimeUnitCode", "PersonAgeMeasure/MeasureUnitText", "PersonAgeMeasure/MeasureTimeUnitCode").value()
	switch u := strings.ToUpper(unit); {
	case text == "":
	case strings.HasPrefix(u, "MON"):
		text += " months"
	case strings.HasPrefix(u, "WEE"), u == "WK":
		text += " weeks"
	case strings.HasPrefix(u, "DAY"):
		text += " days"
	case strings.HasPrefix(u, "HUR"), strings.HasPrefix(u, "HOUR"):
		text = "newborn"
	}
	return word("Age", text, at)
}

// races are the codes with the list that the element's name says they are of.
func races(n *tree.Node, parts []*element) {
	for _, e := range parts {
		e.walk(func(k *element) bool {
			if k.local == "Person" && k != e {
				return false
			}
			if strings.HasPrefix(k.local, "PersonRace") && len(k.kids) == 0 && k.family != foreign && k.raw() != "" {
				list := ""
				switch {
				case strings.Contains(k.local, "NCIC"):
					list = "ncic"
				case strings.Contains(k.local, "NDEx"), strings.Contains(k.local, "NIBRS"), strings.Contains(k.local, "UCR"):
					list = "nibrs"
				}
				if n.First("RaceList") == nil {
					put(n, word("RaceList", list, k))
				}
				put(n, leaf("Race", k))
			}
			return true
		})
	}
}

// license is the driver's license.
func license(n *tree.Node, parts []*element) {
	for _, e := range parts {
		for _, k := range append(e.under("DriverLicense"), e.under("PersonLicenseIdentification")...) {
			id := k.first("DriverLicenseIdentification")
			if id == nil {
				id = k
			}
			if n.First("License") != nil || id.get("IdentificationID") == "" {
				continue
			}
			put(n, leaf("License", id.first("IdentificationID")))
			id.walk(func(j *element) bool {
				if n.First("LicenseState") == nil && (strings.Contains(j.local, "Jurisdiction") || strings.Contains(j.local, "State") && j.local != "IdentificationStatus") && len(j.kids) == 0 {
					put(n, leaf("LicenseState", j))
				}
				return true
			})
		}
	}
}

// officers are the one who answers for the record, the first with a badge or else
// the first, and the colleagues.
func (d *decoder) officers(c *contact) []*tree.Node {
	var out []*tree.Node
	first := -1
	for _, n := range c.officers {
		o := d.officer(c, n)
		sworn := o.First("Kind").Text == classNames[classOfficer]
		if sworn && (first < 0 || out[first].First("Badge") == nil && o.First("Badge") != nil) {
			first = len(out)
		}
		out = append(out, o)
	}
	if first >= 0 {
		out[first].Name = "Officer"
	}
	return out
}

// officer is one of the officers or dispatchers.
func (d *decoder) officer(c *contact, p *node) *tree.Node {
	n := &tree.Node{Name: "Colleague", Pos: p.parts[0].pos}
	classes := d.g.classes(p, c)
	kind := classNames[classOfficer]
	if slices.Contains(classes, classDispatcher) && !slices.Contains(classes, classOfficer) {
		kind = classNames[classDispatcher]
	}
	put(n, word("Kind", kind, p.parts[0]), d.key(p))
	var roles []*element
	for _, r := range p.roles {
		roles = append(roles, r.el)
	}
	put(n, leaf("Badge", below(append(roles, p.parts...), "EnforcementOfficialBadgeIdentification/IdentificationID", "OfficerBadgeIdentification/IdentificationID")))
	names(n, p.parts)
	for _, e := range append(roles, p.parts...) {
		e.use()
	}
	return n
}

// party is somebody else: what he is in the contact and to the person.
func (d *decoder) party(c *contact, p, person *node) *tree.Node {
	n := &tree.Node{Name: "Party", Pos: p.parts[0].pos}
	for _, k := range d.g.classes(p, c) {
		put(n, word("Role", classNames[k], p.parts[0]))
	}
	related := false
	for _, l := range d.g.links {
		if person == nil || !l.has(p) || !l.has(person) {
			continue
		}
		for _, e := range l.ends {
			if code, words := relationOf(l, e); e.node == p && words != "" {
				related = true
				put(n, word("Relation", code, l.el), word("Relationship", words, l.el))
			}
		}
	}
	told := n.First("Role") != nil && slices.ContainsFunc(n.All("Role"), func(r *tree.Node) bool {
		return r.Text == classNames[classCaller] || r.Text == classNames[classReporting]
	})
	if related || told {
		n.Name = "Related"
		put(n, d.key(p))
		names(n, p.parts)
		put(n, d.phone(p))
	}
	put(n, word("Confidential", d.confidential(p), p.parts[0]))
	for _, e := range p.parts { // the rest is not about the person of the record
		entityOf(e).use()
	}
	for _, r := range p.roles {
		r.el.use()
	}
	return n
}

// confidential says that somebody asked not to be named, or gave no name.
func (d *decoder) confidential(p *node) string {
	found := ""
	look := func(e *element) {
		e.walk(func(k *element) bool {
			if strings.HasSuffix(k.local, "Indicator") && (strings.Contains(k.local, "Confidential") || strings.Contains(k.local, "Anonym")) && yes(k.raw()) {
				k.used, found = true, "true"
			}
			return true
		})
	}
	for _, e := range p.parts {
		look(e)
	}
	for _, r := range p.roles {
		look(r.el)
	}
	for _, l := range d.g.links {
		if l.has(p) {
			look(l.el)
		}
	}
	return found
}
