package field

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// An Estimate is an age that somebody guessed: a range of years, one number, or
// words only.
type Estimate struct {
	Low, High int // equal for one number; both 0 for words only
	Text      string
	Minor     bool // may be somebody under 18
	Findings  []Finding
}

var (
	ageRange = regexp.MustCompile(`^(?:APPROX\.?|ABOUT|AGE|~|CA\.?|EST\.?)?\s*(\d{1,3})\s*(?:-|–|/|TO)\s*(\d{1,3})\s*(?:YRS?|YEARS?|YO|Y/O)?$`)
	ageOne   = regexp.MustCompile(`^(?:APPROX\.?|ABOUT|AGE|~|CA\.?|EST\.?|C\.)?\s*(\d{1,3})\s*(?:'?S|ISH|\+|\?|YRS?|YEARS?|YO|Y/O)*$`)
)

var (
	minorWords = regexp.MustCompile(`(?i)\b(?:juv\w*|minors?|teen\w*|preteen\w*|tween|(?:thir|four|fif|six|seven|eigh|nine)teen\w*|child\w*|kids?|infants?|newborn|bab(?:y|ies)|toddlers?|boys?|girls?|adolescents?|youths?|underage|pediatric|school[\s-]?age)\b`)
	minorUnder = regexp.MustCompile(`(?i)(?:<=?|under|below|less\s+than|u/?)\s*(?:1[0-8]|[1-9])\b`)
	minorUnits = regexp.MustCompile(`(?i)\b\d{1,3}\s*-?\s*(?:mos?|months?|wks?|weeks?|days?)\b`)
	anyAge     = regexp.MustCompile(`\b\d{1,2}\b`)
)

// ReadEstimate reads "30-35", "~25", "40ish", "30s", "ADULT". Whoever may be
// under 18 by it ("15-20", "teens") is taken for a minor.
func ReadEstimate(s string) Estimate {
	t := Clean(s)
	e := Estimate{Findings: t.Findings}
	if Blank(t.Value) {
		return e
	}
	up := strings.ToUpper(t.Value)
	if m := ageRange.FindStringSubmatch(up); m != nil {
		e.Low, _ = strconv.Atoi(m[1])
		e.High, _ = strconv.Atoi(m[2])
	} else if m := ageOne.FindStringSubmatch(up); m != nil {
		e.Low, _ = strconv.Atoi(m[1])
		e.High = e.Low
		if strings.HasSuffix(up, "S") && !strings.HasSuffix(up, "YRS") && !strings.HasSuffix(up, "YEARS") && e.Low%10 == 0 {
			e.High += 9
		}
	} else {
		e.Text = t.Value
		e.Minor = saysMinor(t.Value)
		return e
	}
	if e.Low == 0 || e.High > 120 || e.High < e.Low {
		e.Minor = e.Low > 0 && e.Low < 18 || e.High > 0 && e.High < 18
		e.Low, e.High = 0, 0
		e.Findings = append(e.Findings, Finding{"age-placeholder", "the age estimate is a placeholder or impossible", Note})
		return e
	}
	e.Text = t.Value
	e.Minor = e.Low < 18
	return e
}

// saysMinor reads an age in words: by a word, or by any number under 18.
func saysMinor(s string) bool {
	if minorWords.MatchString(s) || minorUnder.MatchString(s) || minorUnits.MatchString(s) {
		return true
	}
	for _, n := range anyAge.FindAllString(s, -1) {
		if age, _ := strconv.Atoi(n); age > 0 && age < 18 {
			return true
		}
	}
	return false
}

// An Expiry says until when something is agreed.
type Expiry struct {
	Value    string // FHIR dateTime; "" where there is no end that can be computed
	Basis    string // "stated", "default", "event", "review"
	Findings []Finding
}

func (x *Expiry) review(code, message string) Expiry {
	x.Value, x.Basis = "", "review"
	x.Findings = append(x.Findings, Finding{code, message, Warning})
	return *x
}

// lastYear is the last that a FHIR date can name.
const lastYear = 9999

var span = regexp.MustCompile(`^(?:FOR\s+)?(\d{1,4})\s*(H|HR|HRS|HOURS?|D|DAYS?|W|WKS?|WEEKS?|MO|MOS|MONTHS?|Y|YRS?|YEARS?)\.?$`)

// ReadExpiry reads a consent's expiry: "72 HRS", "30 DAYS", a date, "end of
// encounter"; blank gives start plus defaultHours and a finding. A term that is
// tied to the criminal case, or that cannot be computed, goes to review.
func ReadExpiry(s string, start, end Moment, defaultHours int, dayFirst bool, loc *time.Location) Expiry {
	var x Expiry
	up := strings.ToUpper(collapse(s))
	if !start.Exact {
		return x.review("consent-start-unknown", "the consent has no usable time of capture: its end cannot be computed")
	}
	if Blank(s) {
		t := start.Time.Add(time.Duration(defaultHours) * time.Hour)
		if t.Year() > lastYear {
			return x.review("consent-expiry-review", "the expiry cannot be computed: a person must decide")
		}
		x.Basis, x.Value = "default", t.Format(fhirTime)
		x.Findings = append(x.Findings, Finding{"consent-expiry-default", "no expiry was recorded: the agency's default applies", Warning})
		return x
	}
	if m := span.FindStringSubmatch(up); m != nil {
		return x.after(m, start)
	}
	if regexp.MustCompile(`^(?:UNTIL |TILL )?(?:END|CLOSE|CONCLUSION) OF (?:THE )?(?:ENCOUNTER|CONTACT|CALL|VISIT)$|^(?:THIS )?(?:ENCOUNTER|CONTACT|CALL) ONLY$|^END_OF_ENCOUNTER$`).MatchString(up) {
		if !end.Exact {
			return x.review("consent-expiry-review", "the consent ends with the contact, whose end is not known")
		}
		x.Value, x.Basis = end.Value, "event"
		return x
	}
	m := ReadMoment(strings.TrimPrefix(strings.TrimPrefix(up, "UNTIL "), "EXP "), dayFirst, loc)
	if !m.OK() {
		return x.review("consent-expiry-review", "the expiry cannot be computed: a person must decide")
	}
	if m.Date() < start.Date() || m.Exact && m.Time.Before(start.Time) {
		return x.review("consent-expiry-before-start", "the expiry lies before the consent")
	}
	x.Value, x.Basis = m.Value, "stated"
	return x
}

func (x *Expiry) after(m []string, start Moment) Expiry {
	n, _ := strconv.Atoi(m[1])
	if n == 0 {
		return x.review("consent-expiry-review", "the consent lasts no time")
	}
	t := start.Time
	switch m[2][0] {
	case 'H':
		t = t.Add(time.Duration(n) * time.Hour)
	case 'D':
		t = t.Add(time.Duration(n) * 24 * time.Hour)
	case 'W':
		t = t.Add(time.Duration(n) * 7 * 24 * time.Hour)
	case 'M':
		t = t.AddDate(0, n, 0)
	default:
		t = t.AddDate(n, 0, 0)
	}
	if t.Year()-start.Time.Year() > 10 || t.Year() > lastYear {
		return x.review("consent-expiry-review", "the consent would last over ten years")
	}
	x.Value, x.Basis = t.Format(fhirTime), "stated"
	return *x
}
