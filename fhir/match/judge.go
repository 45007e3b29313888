package match

import "slices"

// A Level is how sure a verdict is. The zero value links nothing.
type Level uint8

// The levels.
const (
	None     Level = iota
	Possible       // for a reviewer; never shown, never used
	Certain        // may be linked, if neither side has another candidate
)

// A Verdict says what two records have to do with each other.
type Verdict struct {
	Level  Level
	Method string  // "identifier" or "demographics"; "" for None
	Score  float64 // 0 to 1, for ordering a reviewer's list; it decides nothing
	// Agree and Against name the fields that spoke: "family", "birthDate" …
	Agree, Against []string
}

// Judge compares two records. What has no weight in this set of people, such as
// an address that many share, must have been taken out before ([Pairs] does).
func Judge(a, b Person) Verdict {
	c := compare(a, b)
	v := Verdict{Agree: c.agree, Against: c.against, Score: c.score()}
	switch {
	case c.identifier && !c.contradicted():
		v.Level, v.Method = Certain, "identifier"
	case c.identifier:
		v.Level, v.Method = Possible, "identifier"
	case c.name == same && c.birth && c.sex && c.more() && !c.doubtful():
		v.Level, v.Method = Certain, "demographics"
	case c.possible():
		v.Level, v.Method = Possible, "demographics"
	}
	return v
}

type likeness uint8

const (
	different likeness = iota
	absent             // one side has none
	near               // alike, or an initial, or given and family swapped
	same
)

type comparison struct {
	name                      likeness
	suffix, middle            likeness
	birth, sex                bool
	birthClose                bool
	bornApart, sexApart       bool
	identifier, identifierOff bool
	address, phone, ssn4      bool
	ssn4Apart                 bool
	multiple                  bool
	agree, against            []string
}

func compare(a, b Person) comparison {
	var c comparison
	c.name, c.middle, c.suffix = compareNames(a.Names, b.Names)
	c.note("name", c.name == same, c.name == different)
	c.note("middle", c.middle == same, c.middle == different)
	c.note("suffix", c.suffix == same, c.suffix == different)
	c.birth = a.BirthDate != "" && a.BirthDate == b.BirthDate
	c.birthClose = c.birth || nearDate(a.Born, b.Born)
	c.bornApart = a.BirthDate != "" && b.BirthDate != "" && !c.birthClose
	c.note("birthDate", c.birth, a.BirthDate != "" && b.BirthDate != "" && !c.birth)
	c.sex = a.Sex != "" && a.Sex == b.Sex
	c.sexApart = a.Sex != "" && b.Sex != "" && a.Sex != b.Sex
	c.note("sex", c.sex, c.sexApart)
	c.identifier, c.identifierOff = compareIdentifiers(a.Identifiers, b.Identifiers)
	c.note("identifier", c.identifier, c.identifierOff)
	c.address = overlap(a.Addresses, b.Addresses)
	c.note("address", c.address, false)
	c.phone = slices.ContainsFunc(a.Phones, func(x string) bool {
		return slices.ContainsFunc(b.Phones, func(y string) bool { return samePhone(x, y) })
	})
	c.note("phone", c.phone, false)
	c.ssn4 = overlap(a.SSN4, b.SSN4)
	c.ssn4Apart = !c.ssn4 && comparableTokens(a.SSN4, b.SSN4)
	c.note("ssn4", c.ssn4, c.ssn4Apart)
	c.multiple = a.Multiple || b.Multiple
	return c
}

func (c *comparison) note(field string, agrees, against bool) {
	switch {
	case agrees:
		c.agree = append(c.agree, field)
	case against:
		c.against = append(c.against, field)
	}
}

// more says whether there is one thing besides name, birth date and sex.
func (c *comparison) more() bool { return c.address || c.phone || c.ssn4 }

// doubtful says whether something hints at two people who share a lot: father
// and son of one name, twins, or numbers that differ.
func (c *comparison) doubtful() bool {
	return c.suffix == different || c.middle == different || c.ssn4Apart || c.identifierOff ||
		(c.suffix == absent && !c.ssn4) || // Jr and Sr share address and phone
		(c.multiple && !c.ssn4) // twins do
}

// contradicted says whether an identifier that agrees stands against all else:
// a card that was borrowed, a number that was mistyped.
func (c *comparison) contradicted() bool {
	n := 0
	for _, against := range []bool{c.name == different, c.bornApart, c.sexApart, c.ssn4Apart, c.suffix == different} {
		if against {
			n++
		}
	}
	return n >= 2 || c.name == different && c.multiple
}

// possible says whether a reviewer should see the pair.
func (c *comparison) possible() bool {
	switch {
	case c.name >= near && c.birthClose:
		return true
	case c.birth && c.sex && c.more():
		return true // another name: married, misspelt; or a twin
	case c.name == same && c.more():
		return true // a birth date that was given wrong
	}
	return c.ssn4 && c.birth
}

// score adds up weights by which a reviewer's list is ordered. They follow the
// usual order of Fellegi-Sunter weights for US data and were not fitted.
func (c *comparison) score() float64 {
	var s float64
	for _, w := range []struct {
		on bool
		by float64
	}{
		{c.identifier, .5}, {c.name == same, .25}, {c.name == near, .15}, {c.birth, .25}, {c.birthClose && !c.birth, .12},
		{c.sex, .05}, {c.address, .15}, {c.phone, .15}, {c.ssn4, .2}, {c.middle == same, .05}, {c.suffix == same, .02},
		{c.sexApart, -.15}, {c.suffix == different, -.15}, {c.middle == different, -.1}, {c.bornApart, -.3},
		{c.ssn4Apart, -.2}, {c.identifierOff, -.2}, {c.multiple, -.05},
	} {
		if w.on {
			s += w.by
		}
	}
	return max(0, min(1, s))
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// samePhone compares whole numbers, or the local part when one has no area code.
func samePhone(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == b || (len(a) == 7 && b[len(b)-7:] == a)
}

// comparableTokens says whether both sides have a token made with one key.
func comparableTokens(a, b []string) bool {
	key := func(s string) string {
		for i := len(s) - 1; i >= 0; i-- {
			if s[i] == '|' {
				return s[:i]
			}
		}
		return s
	}
	return slices.ContainsFunc(a, func(x string) bool {
		return slices.ContainsFunc(b, func(y string) bool { return key(x) == key(y) })
	})
}

// compareIdentifiers says whether one is shared, and whether one authority gave
// the two different ones while none is shared.
func compareIdentifiers(a, b []Identifier) (shared, off bool) {
	for _, x := range a {
		for _, y := range b {
			switch {
			case x == y:
				shared = true
			case x.System == y.System && x.System == SSNSystem:
				off = true // other authorities give one person several
			}
		}
	}
	return shared, off && !shared
}
