package mappings

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/mappings/field"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A Place is one level of an HL7 v2 location (PL): a bed, the room that it stands
// in, and so on up to the site.
//
// Spec: HL7 v2.8.2 section 2.A.53; the guide's map PL[Location].
type Place struct {
	Key         string // the levels from the site down to this one
	Parent      string // the key of the next level up that is stated; "" for the outermost
	Code        string // as sent, HD.1, or HD.2 where that is all
	Universal   string // HD.2 as a URI, if it is one
	Level       string // of http://terminology.hl7.org/CodeSystem/location-physical-type; "" for a point of care
	Title       string // the level's display
	Site        string // PL.4
	Description string // PL.9, on the innermost level
	Number      string // PL.10, on the innermost level
	Text        string // the place from point of care to bed: "2000, 2012, 01"
}

// levels of a PL from the outermost in.
var levels = []struct{ component, level, title string }{
	{"4", "si", "Site"}, {"7", "bu", "Building"}, {"8", "lvl", "Level"}, {"1", "", "Point of care"}, {"2", "ro", "Room"}, {"3", "bd", "Bed"},
}

// places lists the levels of the locations at paths, the innermost of each first,
// each level once.
func (r *run) places(paths ...string) []Place {
	var out []Place
	for _, p := range paths {
		for _, n := range r.nodesAt(r.m.paths[p]) {
			for _, place := range placesOf(n) {
				if !slices.ContainsFunc(out, func(o Place) bool { return o.Key == place.Key }) {
					out = append(out, place)
				}
			}
		}
	}
	return out
}

// innermost is the innermost level of the location at a path, as a list of one,
// or none if it states none.
func (r *run) innermost(p string) []Place {
	for _, n := range r.nodesAt(r.m.paths[p]) {
		if all := placesOf(n); len(all) > 0 {
			return all[:1]
		}
	}
	return nil
}

func placesOf(n *tree.Node) []Place {
	if n.Null {
		return nil
	}
	var out []Place
	key := ""
	for _, l := range levels {
		hd := n.First(l.component)
		if l.component == "1" {
			hd = n.Part("1")
		}
		code, universal := trim(leaf(hd.Part("1"))), trim(leaf(hd.First("2")))
		if code == "" && universal == "" {
			continue
		}
		p := Place{Parent: key, Code: code, Universal: field.UniversalURI(universal, trim(leaf(hd.First("3")))), Level: l.level, Title: l.title}
		if code == "" {
			p.Code = universal
		}
		part := l.level + "=" + strings.NewReplacer("%", "%25", "|", "%7C").Replace(fold(p.Code))
		if key = part; p.Parent != "" {
			key = p.Parent + "|" + part
		}
		p.Key = key
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil
	}
	slices.Reverse(out)
	inner := &out[0]
	inner.Description, inner.Number = trim(leaf(n.First("9"))), trim(leaf(n.First("10")))
	for i := range out {
		out[i].Site = trim(leaf(n.First("4")))
		out[i].Text = placeText(out[i:])
	}
	return out
}

// placeText names a level by those that people name it by: point of care, room,
// bed; one that is further out by itself.
func placeText(upwards []Place) string {
	var parts []string
	for _, p := range upwards {
		if p.Level == "" || p.Level == "ro" || p.Level == "bd" {
			parts = append(parts, p.Code)
		}
	}
	if len(parts) == 0 {
		return upwards[0].Code
	}
	slices.Reverse(parts)
	return strings.Join(parts, ", ")
}

// A Clinician is one repetition of an HL7 v2 extended name and number (XCN).
//
// Spec: HL7 v2.8.2 section 2.A.86; the guide's map XCN[Practitioner].
type Clinician struct {
	ID, Type                              string // XCN.1, XCN.13
	Namespace, UniversalID, UniversalType string // XCN.9
	Family, Given, Middle                 string
	Suffix, Prefix, Degree, Professional  string // XCN.5, .6, .7, .21
	OwnPrefix, OwnName                    string // XCN.2.2, .2.3
	PartnerPrefix, PartnerName            string // XCN.2.4, .2.5
	NameType                              string // XCN.10
	CheckDigit                            string // XCN.11
	Order                                 string // XCN.18, table 0444
	From, To                              string // XCN.19, .20; else XCN.17
	Text                                  string // the name as people write it
	Key                                   string // the number, or a digest of the name
}

// clinicians lists those at paths that have a number or a name, each once.
func (r *run) clinicians(paths ...string) []Clinician {
	var out []Clinician
	for _, p := range paths {
		for _, n := range r.nodesAt(r.m.paths[p]) {
			if c := clinicianOf(n); c.Key != "" && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

func clinicianOf(n *tree.Node) Clinician {
	at := func(parts ...string) string {
		x := n
		for _, p := range parts {
			x = x.Part(p)
		}
		return trim(leaf(x))
	}
	c := Clinician{
		ID: at("1"), Type: at("13"), Namespace: at("9", "1"), UniversalID: at("9", "2"), UniversalType: at("9", "3"),
		Family: at("2", "1"), Given: at("3"), Middle: at("4"), Suffix: at("5"), Prefix: at("6"), Degree: at("7"), Professional: at("21"), NameType: at("10"),
	}
	if n.Null {
		return Clinician{}
	}
	c.OwnPrefix, c.OwnName, c.PartnerPrefix, c.PartnerName = at("2", "2"), at("2", "3"), at("2", "4"), at("2", "5")
	c.CheckDigit, c.Order, c.From, c.To = at("11"), at("18"), at("19"), at("20")
	if c.From == "" && c.To == "" {
		c.From, c.To = at("17", "1"), at("17", "2")
	}
	var words []string
	for _, w := range []string{c.Prefix, c.Given, c.Middle, c.Family, c.Suffix} {
		if w != "" {
			words = append(words, w)
		}
	}
	c.Text = strings.Join(words, " ")
	switch {
	case c.ID != "":
		c.Key = c.ID
	case c.Family != "" || c.Given != "":
		c.Key = "name|" + digestOf([]any{c.Family, c.Given, c.Middle, c.Suffix})
	}
	return c
}

// An Access is one access restriction (ARV).
//
// Spec: HL7 v2.8.2 section 3.4.15.
type Access struct {
	Action       string // ARV-2: A, D, U, X; table 0206
	Value        string // ARV-3.1; table 0717
	Reason       string // ARV-4.1; table 0719
	Instructions string // ARV-5
	From, To     string // ARV-6
}

// restrictions lists the access restrictions of a scope: those that stand before
// the first PV1 are the patient's, those after it the visit's; "all" is both.
func (r *run) restrictions(scope string) []Access {
	var out []Access
	visit := false
	for _, s := range r.rec.Root.Children {
		switch {
		case s.Name == "PV1":
			visit = true
		case s.Name == "PID":
			visit = false
		case s.Name == "ARV" && (scope == "all" || visit == (scope == "visit")):
			out = append(out, accessOf(s)...)
		}
	}
	return out
}

func accessOf(s *tree.Node) []Access {
	period := s.First("6")
	base := Access{
		Action: fold(trim(leaf(s.First("2")))), Reason: trim(leaf(s.First("4"))), Instructions: trim(leaf(s.First("5"))),
		From: trim(leaf(period.Part("1"))), To: trim(leaf(period.First("2"))),
	}
	var out []Access
	for _, v := range s.All("3") {
		a := base
		if a.Value = fold(trim(leaf(v))); !v.Null {
			out = append(out, a)
		}
	}
	if len(out) == 0 { // a restriction that does not say what of: of everything
		out = append(out, base)
	}
	return out
}

// accessFields are the fields that restrictions reads.
var accessFields = []string{"ARV-2", "ARV-3", "ARV-4", "ARV-5", "ARV-6"}

// hl7Readers read parts of HL7 v2 data types.
func hl7Readers() []function {
	return []function{
		{"mail", "whether an HL7 v2 telecommunication (XTN) is an e-mail address: mail(equipment type, use)",
			func(a ...any) (any, error) {
				return text(a[0]) == "Internet" || text(a[0]) == "X.400" || text(a[1]) == "NET" && text(a[0]) == "", nil
			},
			[]any{new(func(string, string) bool)}},
		{"flag", "what a yes/no field (table 0136) says: Y, N, ? for anything else, empty if it is empty",
			func(a ...any) (any, error) { return flag(text(a[0])), nil },
			[]any{new(func(string) string)}},
		{"universal", "the URI of an HL7 v2 universal id and its type (HD.2, HD.3); empty if it has none",
			func(a ...any) (any, error) { return field.UniversalURI(text(a[0]), text(a[1])), nil },
			[]any{new(func(string, string) string)}},
		{"instant", "the first of two moments that is exact, as an instant; empty if neither is",
			func(a ...any) (any, error) {
				for _, v := range a {
					if m := moment(v); m.Exact {
						return m.Value, nil
					}
				}
				return "", nil
			},
			[]any{new(func(field.Moment, field.Moment) string)}},
		{"phoneNumber", "a number of an HL7 v2 telecommunication (XTN.1, .4, .5, .6, .7, .8, .12) as the guide writes it: +1 212 5550101 X12",
			func(a ...any) (any, error) { return phoneNumber(a), nil },
			[]any{new(func(string, string, string, string, string, string, string) string)}},
	}
}

func phoneNumber(a []any) string {
	whole, address, country, area, local, extension, unformatted := text(a[0]), text(a[1]), text(a[2]), text(a[3]), text(a[4]), text(a[5]), text(a[6])
	switch {
	case unformatted != "":
		return unformatted
	case local != "":
		var parts []string
		for _, p := range [][2]string{{"+", country}, {"", area}, {"", local}, {"X", extension}} {
			if p[1] != "" {
				parts = append(parts, p[0]+strings.TrimPrefix(p[1], p[0]))
			}
		}
		return strings.Join(parts, " ")
	case whole != "":
		return whole
	}
	return address
}

func flag(s string) string {
	switch {
	case s == "":
		return ""
	case yes(s):
		return "Y"
	case slices.Contains([]string{"N", "NO", "FALSE", "F", "0"}, fold(s)):
		return "N"
	}
	return "?"
}
