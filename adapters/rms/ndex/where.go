package ndex

import (
	"strings"

	"github.com/handoff-health/handoff/mappings/tree"
)

// placeLinks are the associations that say where a contact took place, the most
// telling first: the officer went to the dispatch location, the call came from
// the other.
var placeLinks = []string{"ServiceCallDispatchLocationAssociation", "IncidentLocationAssociation", "ActivityLocationAssociation", "FieldContactLocationAssociation", "OffenseLocationAssociation", "PersonFoundLocationAssociation", "ServiceCallLocationAssociation"}

// place is where the contact took place.
func (d *decoder) place(name string, c *contact) *tree.Node {
	for _, link := range placeLinks {
		for _, l := range d.g.links {
			if l.name != link || !d.g.holds(l, c) {
				continue
			}
			for _, e := range l.ends {
				if e.node.kind == kindLocation {
					return d.location(name, e.node)
				}
			}
		}
	}
	// The only location of a report with one contact, if nothing says that it is
	// somebody's home.
	var only *node
	for _, n := range d.g.nodes {
		if n.kind != kindLocation {
			continue
		}
		if only != nil || len(d.g.contactNodes()) > 1 {
			return nil
		}
		only = n
	}
	if only == nil {
		return nil
	}
	for _, l := range d.g.links {
		if l.has(only) && l.person() != nil {
			return nil
		}
	}
	return d.location(name, only)
}

func (g *graph) contactNodes() []*node {
	var out []*node
	for _, n := range g.nodes {
		if n.kind.activity() && n.kind != kindOffense && n.kind != kindArrest {
			out = append(out, n)
		}
	}
	return out
}

// person is the person of a link, nil if there is none.
func (l *link) person() *node {
	for _, e := range l.ends {
		if e.node.kind == kindPerson {
			return e.node
		}
	}
	return nil
}

// location is an address in parts, or as it is described.
func (d *decoder) location(name string, n *node) *tree.Node {
	out := &tree.Node{Name: name, Pos: n.parts[0].pos}
	var inside []*element
	for _, e := range n.parts {
		for _, path := range [][]string{{"LocationAddress", "StructuredAddress"}, {"Address"}, {"LocationAddress"}} {
			if k := e.first(path...); k != nil {
				inside = append(inside, k)
			}
		}
		inside = append(inside, e)
	}
	street := street(inside)
	put(out, word("Street", street, n.parts[0]),
		leaf("Unit", below(inside, "AddressSecondaryUnitText")),
		leaf("City", below(inside, "LocationCityName")), state(inside),
		leaf("Zip", below(inside, "LocationPostalCode")),
		leaf("Name", below(inside, "LocationName", "AddressBuildingName")),
		leaf("Text", below(inside, "AddressFullText", "LocationDescriptionText", "LocationAddress/AddressFullText", "UnstructuredAddress/AddressFullText")),
		leaf("Category", below(inside, "LocationCategoryCode", "LocationGeneralCategoryCode", "LocationCategoryText")))
	for _, e := range n.parts {
		e.useAll("LocationCountryName", "LocationCountyName", "LocationCountyCode", "LocationGeneralCategoryCode", "LocationCountryISO3166Alpha2Code")
		for _, k := range e.kids {
			k.walk(func(j *element) bool {
				j.used = j.used || strings.Contains(j.local, "Country") || strings.HasPrefix(j.local, "LocationState")
				return true
			})
		}
	}
	if len(out.Children) == 0 {
		return nil
	}
	return out
}

// street is the street as one line.
func street(inside []*element) string {
	if full := below(inside, "LocationStreet/StreetFullText", "LocationStreet/StreetDescriptionText"); full != nil {
		return full.value()
	}
	var line []string
	for _, part := range []string{"StreetNumberText", "StreetPredirectionalText", "StreetPredirectionalCode", "StreetName", "StreetCategoryText", "StreetCategoryCode", "StreetPostdirectionalText", "StreetPostdirectionalCode", "StreetExtensionText"} {
		if v := below(inside, "LocationStreet/"+part).value(); v != "" {
			line = append(line, v)
		}
	}
	return strings.Join(line, " ")
}

// state is the state's code where a code is given, else its name.
func state(inside []*element) *tree.Node {
	var name *element
	for _, e := range inside {
		for _, k := range e.kids {
			if !strings.HasPrefix(k.local, "LocationState") || k.family == foreign || k.raw() == "" {
				continue
			}
			if k.local != "LocationStateName" {
				return leaf("State", k)
			}
			name = k
		}
	}
	return leaf("State", name)
}

// home is where the person lives.
func (d *decoder) home(p *node) *tree.Node {
	for _, l := range d.g.links {
		if !strings.Contains(l.name, "Residence") || !l.has(p) {
			continue
		}
		for _, e := range l.ends {
			if e.node.kind == kindLocation {
				return d.location("Home", e.node)
			}
		}
	}
	for _, e := range p.parts {
		for _, name := range []string{"PersonResidence", "Residence", "PersonHomeLocation", "PersonResidenceLocation"} {
			for _, k := range e.under(name) {
				return d.location("Home", &node{kind: kindLocation, parts: []*element{k}})
			}
		}
	}
	return nil
}

// phone is the first telephone number of a person.
func (d *decoder) phone(p *node) *tree.Node {
	for _, l := range d.g.links {
		if !l.has(p) || !strings.Contains(l.name, "Telephone") && !strings.Contains(l.name, "ContactInformation") {
			continue
		}
		for _, e := range l.ends {
			if e.node.kind == kindPhone {
				if n := number(e.node.parts); n != nil {
					return n
				}
			}
		}
	}
	for _, e := range p.parts {
		if n := number(append(e.under("ContactTelephoneNumber"), e.under("PersonTelephoneNumber")...)); n != nil {
			return n
		}
	}
	return nil
}

// number is a telephone number as digits and hyphens.
func number(parts []*element) *tree.Node {
	for _, e := range parts {
		for _, k := range append([]*element{e}, append(e.under("TelephoneNumber"), e.under("ContactTelephoneNumber")...)...) {
			if full := below([]*element{k}, "FullTelephoneNumber/TelephoneNumberFullID", "TelephoneNumberFullID", "InternationalTelephoneNumber/TelephoneNumberID"); full != nil {
				return leaf("Phone", full)
			}
			if nanp := k.first("NANPTelephoneNumber"); nanp != nil {
				var digits []string
				for _, part := range []string{"TelephoneAreaCodeID", "TelephoneExchangeID", "TelephoneLineID"} {
					if v := nanp.get(part); v != "" {
						digits = append(digits, v)
					}
				}
				return word("Phone", strings.Join(digits, "-"), nanp)
			}
		}
	}
	return nil
}
