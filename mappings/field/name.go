package field

import (
	"regexp"
	"slices"
	"strings"
)

// A Name is a person's name in the parts of a FHIR HumanName.
type Name struct {
	Use    string // official, old, maiden, nickname, usual
	Text   string // only where the parts are not known
	Family string
	Given  []string
	Prefix []string
	Suffix []string
}

// What a record's "person" is.
const (
	KnownPerson  = "person"
	Unidentified = "unidentified" // DOE, UNKNOWN, BABY
	Organisation = "organisation" // a business or a public body
	Fictitious   = "test"         // ZZTEST, TESTY
)

// A Person is what the name columns of a police record tell.
type Person struct {
	Kind     string // KnownPerson, Unidentified, Organisation, Fictitious
	Names    []Name // only of a KnownPerson; the official one first
	Findings []Finding
}

func (p *Person) note(level Level, code, message string) {
	p.Findings = append(p.Findings, Finding{code, message, level})
}

// ReadPerson reads the name columns.
func ReadPerson(last, first, middle, suffix string) Person {
	var p Person
	l, f, m, s := p.clean(last), p.clean(first), p.clean(middle), p.clean(suffix)
	p.Kind = kindOf(l, f, m)
	switch p.Kind {
	case Unidentified:
		p.note(Note, "person-unidentified", "the name stands for an unknown person: no Patient was made")
		return p
	case Organisation:
		p.note(Warning, "person-is-organisation", "the name is that of an organisation: no Patient was made")
		return p
	case Fictitious:
		p.note(Note, "person-is-test", "the name is that of a test record")
		return p
	}
	name := splitName(l, f, m, s)
	if name.Family == "" && len(name.Given) == 0 { // "N/A, JR"
		p.Kind = Unidentified
		p.note(Note, "person-unidentified", "the name stands for an unknown person: no Patient was made")
		return p
	}
	name.Use = "official"
	if Blank(f) && len(name.Given) > 0 {
		p.note(Note, "name-split", "the given name stood in the column of the family name")
	}
	p.Names = append(p.Names, name)
	return p
}

// ReadAliases reads a list of other names, separated by ";":
// "HALL, CRYSTAL (maiden); \"PEPE\"; MOOKIE".
func ReadAliases(list string) Person {
	p := Person{Kind: KnownPerson}
	p.addAliases(list)
	return p
}

func (p *Person) clean(s string) string {
	t := Clean(s)
	p.Findings = append(p.Findings, t.Findings...)
	return t.Value
}

var suffixes = map[string]bool{"JR": true, "SR": true, "II": true, "III": true, "IV": true, "V": true, "2ND": true, "3RD": true, "ESQ": true, "MD": true, "PHD": true}

func isSuffix(word string) bool {
	return suffixes[strings.ToUpper(strings.Trim(word, ".,"))]
}

// splitName puts the parts where they belong: "LAST, FIRST M" in one column, a
// "JR" behind the family name.
func splitName(last, first, middle, suffix string) Name {
	var n Name
	if before, after, ok := strings.Cut(last, ","); ok {
		rest := strings.Fields(after)
		for len(rest) > 0 && isSuffix(rest[0]) { // "SMITH, JR, JOHN" and "SMITH, JR"
			n.Suffix = append(n.Suffix, strings.Trim(rest[0], ","))
			rest = rest[1:]
		}
		last = before
		if Blank(first) {
			first = strings.Join(rest, " ")
		}
	}
	words := strings.Fields(last)
	for len(words) > 1 && isSuffix(words[len(words)-1]) {
		n.Suffix = append([]string{strings.Trim(words[len(words)-1], ",")}, n.Suffix...)
		words = words[:len(words)-1]
	}
	n.Family = strings.Trim(strings.Join(words, " "), ", ")
	if nothing(n.Family) {
		n.Family = ""
	}
	for _, g := range []string{first, middle} {
		if g = strings.Trim(g, ", "); nothing(g) || strings.EqualFold(g, "NMN") || strings.EqualFold(g, "NMI") {
			continue
		}
		fields := strings.Fields(g)
		for len(fields) > 1 && isSuffix(fields[len(fields)-1]) && len(fields[len(fields)-1]) > 1 {
			n.Suffix = append(n.Suffix, strings.Trim(fields[len(fields)-1], ","))
			fields = fields[:len(fields)-1]
		}
		n.Given = append(n.Given, strings.Join(fields, " "))
	}
	if !Blank(suffix) && !slices.ContainsFunc(n.Suffix, func(s string) bool { return sameSuffix(s, suffix) }) {
		n.Suffix = append(n.Suffix, suffix)
	}
	return n
}

// nothing says whether a part of a name that is fit for output as a whole is none: a
// comma or a quote may have stood before a formula.
func nothing(part string) bool { return Blank(part) || Formula(part) }

func sameSuffix(a, b string) bool {
	return strings.EqualFold(strings.Trim(a, "."), strings.Trim(b, "."))
}

var (
	aliasNote = regexp.MustCompile(`(?i)\s*\(([^)]*)\)\s*$`)
	inQuotes  = regexp.MustCompile(`^["“”'‘](.+)["“”'’]$`)
	nickname  = regexp.MustCompile(`["“]([^"”]+)["”]`)
)

func (p *Person) addAliases(list string) {
	if list = strings.TrimSpace(list); Formula(list) { // its text may hold a ";"
		p.note(Warning, "spreadsheet-formula", "the text is a spreadsheet formula and was quarantined")
		return
	}
	for _, a := range strings.Split(list, ";") {
		t := Clean(a)
		p.Findings = append(p.Findings, t.Findings...)
		if Blank(t.Value) || kindOf(t.Value, "", "") != KnownPerson || len(p.Names) >= 20 {
			continue
		}
		if n, ok := readAlias(t.Value); ok && !slices.ContainsFunc(p.Names, n.same) {
			p.Names = append(p.Names, n)
		}
	}
}

func (n Name) same(o Name) bool {
	return strings.EqualFold(n.Family, o.Family) && strings.EqualFold(n.Text, o.Text) && n.Use == o.Use &&
		slices.EqualFunc(n.Given, o.Given, strings.EqualFold) && slices.Equal(n.Suffix, o.Suffix)
}

func readAlias(a string) (Name, bool) {
	use := "usual"
	if m := aliasNote.FindStringSubmatchIndex(a); m != nil {
		use = aliasUse(a[m[2]:m[3]])
		a = strings.TrimSpace(a[:m[0]])
	}
	m := inQuotes.FindStringSubmatch(a)
	if m == nil && use == "usual" {
		m = nickname.FindStringSubmatch(a) // JOSE "PEPE" NUNEZ
	}
	if m != nil {
		quoted := strings.TrimSpace(m[1])
		return Name{Use: "nickname", Given: []string{quoted}}, !nothing(quoted)
	}
	if a == "" {
		return Name{}, false
	}
	if strings.Contains(a, ",") {
		n := splitName(a, "", "", "")
		n.Use = use
		return n, n.Family != "" || len(n.Given) > 0
	}
	words := strings.Fields(a)
	if len(words) == 1 {
		if use == "maiden" || use == "old" {
			return Name{Use: use, Family: a}, true
		}
		return Name{Use: "nickname", Given: []string{a}}, true
	}
	return Name{Use: use, Text: a}, true // which word is the family name is not known
}

func aliasUse(note string) string {
	switch note = strings.ToLower(note); {
	case strings.Contains(note, "maiden"), strings.Contains(note, "née"), note == "nee":
		return "maiden"
	case strings.Contains(note, "prior"), strings.Contains(note, "former"), strings.Contains(note, "legal"), strings.Contains(note, "old"), strings.Contains(note, "birth"):
		return "old"
	case strings.Contains(note, "nick"), strings.Contains(note, "street"), strings.Contains(note, "moniker"):
		return "nickname"
	}
	return "usual"
}

var (
	unknownWords = map[string]bool{"DOE": true, "UNKNOWN": true, "UNK": true, "UNIDENTIFIED": true, "UNNAMED": true, "UNSUB": true, "ANONYMOUS": true, "REFUSED": true, "NFN": true, "NLN": true, "NMN": true, "NONE": true, "UNIDENT": true, "UNKN": true, "SUBJECT": true, "TBD": true, "X": true, "XX": true, "XXX": true}
	unknownGiven = map[string]bool{"JOHN": true, "JANE": true, "JON": true, "BABY": true, "INFANT": true, "BOY": true, "GIRL": true, "MALE": true, "FEMALE": true, "BABYBOY": true, "BABYGIRL": true, "JUVENILE": true, "ADULT": true, "MAN": true, "WOMAN": true, "PERSON": true, "PARTY": true, "INDIVIDUAL": true, "VICTIM": true, "SUSPECT": true, "WHITE": true, "BLACK": true, "HISPANIC": true, "ASIAN": true, "ONE": true, "TWO": true, "THREE": true, "FOUR": true, "A": true, "B": true, "C": true}
	company      = regexp.MustCompile(`(?i)(#\s*\d+\s*$|\b(?:LLC|L\.L\.C|INC|INCORPORATED|CORP|CORPORATION|LTD|LLP|PLLC|CO-OP|COMPANY|STORES?|MARKET|MARKETPLACE|PHARMACY|HOSPITAL|CLINIC|CENTER|CENTRE|HOTEL|MOTEL|RESTAURANT|CAFE|DINER|LIBRARY|SCHOOL|UNIVERSITY|COLLEGE|CHURCH|BANK|CREDIT UNION|DEPT|DEPARTMENT|SHELTER|APARTMENTS?|TRANSIT|POLICE|SHERIFF|ENTERPRISES|SERVICES|ASSOCIATES|FOUNDATION|ASSOCIATION|WALMART|WAL-MART|WALGREENS|TARGET CORP|COSTCO|KROGER|SAFEWAY|7-ELEVEN|MCDONALDS?|STARBUCKS|AGENCY|AUTHORITY|SUPERMARKET|GROCERY|LIQUORS?|GAS STATION|FITNESS|AUTO PARTS|INDUSTRIES|SOLUTIONS|HOLDINGS|PARTNERS|LOGISTICS|TRUCKING|CONSTRUCTION|PLUMBING|MOTORS|HOME DEPOT|GOODWILL|SALVATION ARMY|DOLLAR (?:TREE|GENERAL)|CIRCLE K|SHELL (?:STATION|GAS)|DDS|DMD|DVM|P\.?C|FIRE|EMS|PD|S\.?O|UNITED WAY|YMCA|YWCA|MUSEUM|THEATER|THEATRE|AIRPORT|MALL|INN|SUITES|DEALERSHIP|REALTY|PROPERTIES|MANAGEMENT|INSURANCE|BREWERY|TAVERN|BAR AND GRILL)\b|^(?:CITY|COUNTY|STATE|TOWN|VILLAGE|BOROUGH) OF\b|\b(?:CITY|COUNTY) (?:HALL|COURT|JAIL)\b|^SOCIETY\b|^(?:STATE|SOCIETY) ?/|^VS?\.? STATE)`)
	testWord     = regexp.MustCompile(`(?i)^(?:Z*TEST\w*|TRAINING|DUMMY|SAMPLE|DEMO|FAKE|DONOTUSE|PATIENT|SUBJECT|RECORD|USER|PERSON|CLIENT|CASE|ACCOUNT|NAME|ENTRY|DATA|ONLY|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN|[A-Z]?\d*|DO|NOT|USE)$`)
	fictitious   = regexp.MustCompile(`(?i)^(?:Z{2,}\s*TEST\w*|TEST(?:Y|ER|ING|PERSON|PATIENT|RECORD|SUBJECT)?|TRAINING|DUMMY|SAMPLE|DEMO|DONOTUSE|DO NOT USE|FAKE)\d*$`)
	notLetters   = regexp.MustCompile(`[^\p{L}\s'’-]`)
)

// kindOf says what the names stand for.
func kindOf(last, first, middle string) string {
	whole := strings.TrimSpace(last + " " + first)
	if testNames(last, first) {
		return Fictitious
	}
	if Blank(last) && Blank(first) {
		return Unidentified
	}
	if company.MatchString(whole) && (Blank(first) || company.MatchString(last)) && !companyWordIsName(last, first) {
		return Organisation
	}
	if unidentified(last, first, middle) {
		return Unidentified
	}
	return KnownPerson
}

// testNames says that both names are words of test records and one of them means
// nothing else: TEST/PATIENT, TESTPATIENT/ONE, RECORD/TRAINING.
func testNames(last, first string) bool {
	if strings.HasPrefix(strings.ToUpper(last), "ZZTEST") {
		return true
	}
	all := func(s string) bool {
		words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '-' || r == '_' || r == '.' || r == '*' })
		return !slices.ContainsFunc(words, func(w string) bool { return !testWord.MatchString(w) })
	}
	certain := func(s string) bool {
		return slices.ContainsFunc(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '*' }), fictitious.MatchString)
	}
	return all(last) && all(first) && (certain(last) || fictitious.MatchString(last) || certain(first))
}

// companyWordIsName keeps people called Bank, Church, Target, Store or Center: a
// lone word with a given name beside it is a family name.
func companyWordIsName(last, first string) bool {
	return len(strings.Fields(last)) == 1 && !Blank(first) && !strings.ContainsAny(last, "#&/0123456789.") &&
		!strings.EqualFold(last, "LLC") && !strings.EqualFold(last, "INC") && !strings.EqualFold(last, "WALMART")
}

func unidentified(last, first, middle string) bool {
	if first == "" {
		if before, after, ok := strings.Cut(last, ","); ok {
			last, first = before, strings.TrimSpace(after)
		}
	}
	l := strings.ToUpper(strings.TrimSpace(notLetters.ReplaceAllString(last, " ")))
	f := strings.ToUpper(strings.TrimSpace(notLetters.ReplaceAllString(first, " ")))
	lw, fw := strings.Fields(l), strings.Fields(f)
	all := func(words []string, set ...map[string]bool) bool {
		for _, w := range words {
			if !slices.ContainsFunc(set, func(s map[string]bool) bool { return s[w] }) {
				return false
			}
		}
		return len(words) > 0
	}
	placeholders := []map[string]bool{unknownWords, unknownGiven}
	switch {
	case len(lw)+len(fw) == 0:
		return true
	case all(lw, unknownWords) && (len(fw) == 0 || all(fw, placeholders...)): // DOE / UNKNOWN, JOHN DOE
		return true
	case all(lw, unknownWords) && l != "X": // UNKNOWN, "Mike": a first name only; DOE is no name at all
		return true
	case all(lw, placeholders...) && len(lw) > 1 && slices.ContainsFunc(lw, func(w string) bool { return unknownWords[w] }): // "JOHN DOE", "UNKNOWN MALE" in one column
		return true
	case l == "DOE" || len(lw) > 1 && lw[0] == "DOE" && len(fw) == 0:
		return true
	case len(fw) > 0 && all(fw, unknownWords): // JOHNSON, UNKNOWN
		return true
	case len(fw) > 0 && (fw[0] == "BABY" || fw[0] == "INFANT" || fw[0] == "BABYBOY" || fw[0] == "BABYGIRL") && all(fw, unknownGiven):
		return true
	case len(lw) > 0 && (lw[0] == "BABY" || lw[0] == "INFANT") && (len(fw) == 0 || all(lw, unknownGiven)):
		return true
	}
	return false
}

var rank = regexp.MustCompile(`(?i)^(?:ofc|officer|off|po|ptl|det|sgt|cpl|lt|capt|cpt|dep|deputy|tpr|agent|chief|sheriff|mr|mrs|ms|dr)\.?$`)

// ReadStaff reads "Ofc M. Delgado" or "J. Salazar LCSW": a rank, given names, the
// family name, credentials.
func ReadStaff(s string) Name {
	var n Name
	t := Clean(s)
	if Blank(t.Value) || len(t.Value) < 3 {
		return n
	}
	if before, after, ok := strings.Cut(t.Value, ","); ok && len(strings.Fields(before)) == 1 {
		if n = splitName(before+", "+after, "", "", ""); n.Family == "" && len(n.Given) == 0 {
			return Name{}
		}
		return n
	}
	words := strings.Fields(strings.ReplaceAll(t.Value, ",", " "))
	if len(words) == 0 { // nothing but commas
		return n
	}
	for len(words) > 1 && rank.MatchString(words[0]) {
		n.Prefix = append(n.Prefix, words[0])
		words = words[1:]
	}
	for len(words) > 1 && (isSuffix(words[len(words)-1]) || credential(words[len(words)-1])) {
		n.Suffix = append([]string{words[len(words)-1]}, n.Suffix...)
		words = words[:len(words)-1]
	}
	n.Family = words[len(words)-1]
	n.Given = words[:len(words)-1]
	n.Text = t.Value
	return n
}

// credential knows words such as LCSW, LMHC, RN-BC: capitals only, three or more.
func credential(w string) bool {
	return len(w) >= 2 && w == strings.ToUpper(w) && !strings.Contains(w, ".") && (len(w) >= 3 || w == "RN" || w == "NP" || w == "MA") && len(w) <= 6
}
