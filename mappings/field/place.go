package field

import (
	"regexp"
	"strings"
)

// An Address is where somebody lives, as far as a record tells.
type Address struct {
	Known                             bool // any part below is set
	Homeless                          bool // the address column says so
	Text                              string
	Lines                             []string
	City, State, PostalCode, District string
	Findings                          []Finding
}

func (a *Address) note(level Level, code, message string) {
	a.Findings = append(a.Findings, Finding{code, message, level})
}

var (
	homeless = regexp.MustCompile(`(?i)^\W*(?:transient|homeless|unsheltered|no\s+(?:fixed|permanent|known)\s+(?:address|abode|residence)|nfa|undomiciled|streets?|at\s+large|unhoused)\s*(?:$|[-–,;:/(.].*$|(?:in|near|at|around|on|by|from|of|person|male|female|man|woman|camp\w*|encampment|shelter|area|staying|living|sleeping|downtown|unknown|person|individual)\b.*$)`)
	block    = regexp.MustCompile(`(?i)\b\d+\s*(?:-?\s*)(?:blk|block|hundred\s+block)\b|\b(?:blk|block)\s+(?:of|\d)`)
	postal   = regexp.MustCompile(`^\d{5}(?:-?\d{4})?$`)
	stamp    = regexp.MustCompile(`^\d{1,2}/\d{1,2}/\d{4}(?:\s|$)|^\d{4}-\d{2}-\d{2}`)
)

// IsHomeless says whether an address column says that there is no residence.
func IsHomeless(s string) bool { return homeless.MatchString(s) }

// IsBlock says whether an address names a hundred block, not a place.
func IsBlock(s string) bool { return block.MatchString(s) }

// ReadAddress reads a residence. What is no residence ("TRANSIENT", a hundred
// block) never becomes a street line.
func ReadAddress(street, city, state, zip string) Address {
	var a Address
	take := func(s string) string {
		t := Clean(s)
		a.Findings = append(a.Findings, t.Findings...)
		if Blank(t.Value) || stamp.MatchString(t.Value) {
			return ""
		}
		return t.Value
	}
	st := take(street)
	switch {
	case st == "":
	case IsHomeless(st):
		a.Homeless, a.Text = true, st
	case IsBlock(st):
		a.note(Warning, "address-block-level", "a hundred block is not a residence and was left out")
	default:
		a.Lines = []string{st}
	}
	a.City = take(city)
	if s := strings.ToUpper(take(state)); len(s) == 2 {
		a.State = s
	} else if s != "" {
		a.note(Note, "address-state-unreadable", "the state is not a two-letter code")
	}
	a.readZip(take(zip))
	a.Known = a.Text != "" || len(a.Lines) > 0 || a.City != "" || a.State != "" || a.PostalCode != ""
	return a
}

// readZip accepts five or nine digits; three or four had leading zeros that a
// spreadsheet took away.
func (a *Address) readZip(z string) {
	switch {
	case z == "":
	case postal.MatchString(z):
		if len(z) == 9 {
			z = z[:5] + "-" + z[5:]
		}
		a.PostalCode = z
	case digits(z) && (len(z) == 3 || len(z) == 4):
		a.PostalCode = strings.Repeat("0", 5-len(z)) + z
		a.note(Warning, "postal-code-padded", "leading zeros of the postal code had been lost")
	default:
		a.note(Note, "postal-code-unreadable", "the postal code is not a ZIP code")
	}
}

// A Phone is a telephone number as the source wrote it.
type Phone struct {
	Value    string
	Findings []Finding
}

var phoneForm = regexp.MustCompile(`^\+?[0-9()\-. /]{7,}(?:\s*(?:x|ext\.?)\s*\d{1,6})?$`)

// ReadPhone accepts seven digits and more. Placeholders and numbers that a
// spreadsheet made into something else give no value.
func ReadPhone(s string) Phone {
	t := Clean(s)
	p := Phone{Findings: t.Findings}
	if Blank(t.Value) {
		return p
	}
	number := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, t.Value)
	bad := func(code, message string) Phone {
		p.Findings = append(p.Findings, Finding{code, message, Warning})
		return p
	}
	switch {
	case !phoneForm.MatchString(t.Value), len(number) < 7, len(number) > 20:
		return bad("phone-unreadable", "the telephone number could not be read")
	case strings.HasPrefix(t.Value, "+") && len(number) < 8:
		return bad("phone-spreadsheet-damaged", "a spreadsheet changed the telephone number")
	case strings.Trim(number, number[:1]) == "", strings.HasSuffix(number, "0000000"), strings.HasSuffix(number, "9999999"), strings.HasSuffix(number, "1234567") && len(number) <= 10:
		return bad("phone-placeholder", "the telephone number is a placeholder")
	}
	p.Value = t.Value
	return p
}
