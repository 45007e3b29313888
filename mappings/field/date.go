package field

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// date is a calendar date; month and day are 0 where they are not known.
type date struct {
	year, month, day int
	short            bool // the year had two digits
	swapped          bool // day and month stood the other way round than expected
	ambiguous        bool // both orders would be dates, and they differ
}

func (d date) String() string {
	switch {
	case d.month == 0:
		return fmt.Sprintf("%04d", d.year)
	case d.day == 0:
		return fmt.Sprintf("%04d-%02d", d.year, d.month)
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day)
}

// valid says whether the parts that are known form a date.
func (d date) valid() bool {
	if d.month == 0 {
		return true
	}
	if d.month > 12 {
		return false
	}
	if d.day == 0 {
		return true
	}
	return d.day <= time.Date(d.year, time.Month(d.month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// readDate reads a calendar date in any of the usual spellings. It does not
// judge whether the day exists.
func readDate(s string, dayFirst bool) (date, bool) {
	s = strings.TrimSpace(strings.Trim(s, "'"))
	if digits(s) {
		return readCompact(s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }) {
		return readNamed(s)
	}
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '-' || r == '.' || r == ' ' })
	var n [3]int
	if len(parts) < 2 || len(parts) > 3 {
		return date{}, false
	}
	for i, p := range parts {
		if !digits(p) || len(p) > 4 {
			return date{}, false
		}
		n[i], _ = strconv.Atoi(p)
	}
	switch {
	case len(parts[0]) == 4: // 1979-03-07, 1979-03
		return date{year: n[0], month: n[1], day: n[2]}, true
	case len(parts) == 2 && len(parts[1]) == 4: // 06/1984
		return date{year: n[1], month: n[0]}, true
	case len(parts) == 3 && (len(parts[2]) == 4 || len(parts[2]) == 2) && len(parts[0]) <= 2 && len(parts[1]) <= 2:
		d := date{year: n[2], month: n[0], day: n[1], short: len(parts[2]) == 2}
		if dayFirst {
			d.month, d.day = d.day, d.month
		}
		if d.month > 12 && d.day >= 1 && d.day <= 12 {
			d.month, d.day, d.swapped = d.day, d.month, true
		} else {
			d.ambiguous = d.month != d.day && d.day >= 1 && d.day <= 12 && d.month >= 1
		}
		return d, true
	}
	return date{}, false
}

// readCompact reads digits only: 1984, 198406, 19840612; 06121984 has its year
// at the end.
func readCompact(s string) (date, bool) {
	n, _ := strconv.Atoi(s)
	switch len(s) {
	case 4:
		return date{year: n}, true
	case 6:
		return date{year: n / 100, month: n % 100}, true
	case 8:
		d := date{year: n / 10000, month: n / 100 % 100, day: n % 100}
		if year := n % 10000; (d.year < 1850 || d.month > 12) && year >= 1850 && year <= 2200 {
			d = date{year: year, month: n / 1000000, day: n / 10000 % 100}
		}
		return d, true
	}
	return date{}, false
}

var months = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// readNamed reads a date with the month's name: "Mar 7 1979", "07-MAR-1962",
// "7th of March, 1962", "March 1979".
func readNamed(s string) (date, bool) {
	parts := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return r == ' ' || r == '-' || r == '/' || r == ',' || r == '.'
	})
	var d date
	var numbers []string
	for _, p := range parts {
		if m := monthOf(p); m > 0 && d.month == 0 {
			d.month = m
			continue
		}
		if p == "of" {
			continue
		}
		for _, ordinal := range []string{"st", "nd", "rd", "th"} {
			p = strings.TrimSuffix(p, ordinal)
		}
		if !digits(p) || len(p) > 4 {
			return d, false
		}
		numbers = append(numbers, p)
	}
	if d.month == 0 || len(numbers) == 0 || len(numbers) > 2 {
		return d, false
	}
	year := numbers[len(numbers)-1]
	if len(numbers) == 2 {
		day := numbers[0]
		if len(day) == 4 { // "1979 Mar 7"
			day, year = year, day
		}
		d.day, _ = strconv.Atoi(day)
	}
	if len(year) != 4 && len(year) != 2 {
		return d, false
	}
	d.year, _ = strconv.Atoi(year)
	d.short = len(year) == 2
	return d, true
}

func monthOf(p string) int {
	for i, m := range months {
		if strings.HasPrefix(p, m) && len(p) >= 3 && strings.HasPrefix(strings.ToLower(time.Month(i+1).String()), strings.TrimSuffix(p, "t")[:3]) {
			full := strings.ToLower(time.Month(i + 1).String())
			if p == m || p == full || p == "sept" {
				return i + 1
			}
		}
	}
	return 0
}

// A Birth is a birth date read from a source.
type Birth struct {
	Value     string // YYYY, YYYY-MM or YYYY-MM-DD; "" if none is known
	Absent    string // without a value: "unknown" or "error" for data-absent-reason
	Estimated bool   // the first of January stands for a year
	Findings  []Finding
}

func (b *Birth) drop(reason, code, message string) {
	b.Value, b.Absent = "", reason
	b.Findings = append(b.Findings, Finding{code, message, Warning})
}

func (b *Birth) note(level Level, code, message string) {
	b.Findings = append(b.Findings, Finding{code, message, level})
}

// ReadBirth reads a birth date. ref is a date on which the person was alive (of
// the contact): it bounds the future, and tells 19xx from 20xx in two-digit
// years. Placeholders, impossible and future dates give no value.
func ReadBirth(s string, dayFirst bool, ref time.Time) Birth {
	var b Birth
	s = strings.TrimSpace(s)
	if Blank(s) {
		b.Absent = "unknown"
		return b
	}
	if placeholder(s) {
		b.drop("unknown", "birth-date-sentinel", "the birth date is a placeholder")
		return b
	}
	datePart, _ := splitTime(s)
	if len(s) == 8 && digits(s) {
		datePart = s
	}
	if len(s) == 5 && digits(s) {
		b.drop("error", "birth-date-spreadsheet-serial", "the birth date is a spreadsheet's day number, whose epoch is not known")
		return b
	}
	d, ok := readDate(datePart, dayFirst)
	if !ok {
		b.drop("error", "birth-date-unreadable", "the birth date could not be read")
		return b
	}
	b.judge(d, ref)
	return b
}

func (b *Birth) judge(d date, ref time.Time) {
	if d.short {
		d.year += 1900
		if !ref.IsZero() && d.year+100 <= ref.Year() {
			d.year += 100
			if ref.Year()-d.year < 10 { // a child of under ten or somebody of over ninety
				d.year -= 100
			}
		}
		b.note(Warning, "birth-date-two-digit-year", "the birth year had two digits: the century is a guess")
	}
	switch {
	case d.year == 0:
		b.drop("unknown", "birth-date-partial", "the birth date has no year")
		return
	case d.sentinel():
		b.drop("unknown", "birth-date-sentinel", "the birth date is a placeholder")
		return
	case !d.valid() && d.day > 0 && d.month > 0:
		b.drop("error", "birth-date-impossible", "no such day exists")
		return
	case d.month == 0 && d.day > 0:
		d.day = 0
	}
	if !d.valid() {
		b.drop("error", "birth-date-impossible", "no such month exists")
		return
	}
	if d.after(ref) {
		b.drop("error", "birth-date-future", "the birth date lies after the contact")
		return
	}
	if !ref.IsZero() && d.year < ref.Year()-120 {
		b.drop("error", "birth-date-too-old", "the person would be over 120 years old")
		return
	}
	b.Value = d.String()
	switch {
	case d.month == 0 || d.day == 0:
		b.note(Note, "birth-date-partial", "the birth date is not complete")
	case d.month == 1 && d.day == 1:
		b.Estimated = true
		b.note(Warning, "birth-date-estimated", "the first of January usually stands for an estimated year")
	case d.swapped:
		b.note(Warning, "birth-date-day-month-swapped", "day and month stood in the other order")
	case d.ambiguous:
		b.note(Note, "birth-date-day-month-ambiguous", "the birth date would also be valid with day and month exchanged")
	}
}

// sentinel knows the dates that systems and people put in for "unknown".
func (d date) sentinel() bool {
	switch {
	case d.year >= 9000, d.year == 1111, d.year < 1850:
		return true
	case d.month == 1 && d.day == 1:
		return d.year == 1900 || d.year == 1901 || d.year == 1800
	case d.year == 1900 && (d.month == 0 || d.month == 1 && d.day == 0):
		return true
	case d.year == 1899 && d.month == 12:
		return true
	case d.year == 1911 && d.month == 11 && d.day == 11:
		return true
	}
	return false
}

// epoch knows the days on which calendars of systems begin and end: nothing
// that is recorded electronically happened then.
func (d date) epoch() bool {
	switch d.String() {
	case "1970-01-01", "1969-12-31", "1980-01-01", "1753-01-01", "0001-01-01":
		return true
	}
	return d.year > 0 && d.year < 1950 || d.year >= 2100
}

// placeholder knows the spellings whose digits are no date at all.
func placeholder(s string) bool {
	only := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if len(only) < 6 || len(only) > 8 {
		return false
	}
	return only == strings.Repeat("0", len(only)) || only == strings.Repeat("9", len(only)) || only == strings.Repeat("1", len(only)) || only == "12345678"
}

func (d date) after(ref time.Time) bool {
	if ref.IsZero() {
		return false
	}
	return d.String() > ref.Format("2006-01-02")[:len(d.String())]
}

// Age is the number of whole years from a birth date to day; -1 if the birth
// date is not known to the year. A partial date counts as the latest day that
// it can mean, so that somebody who may be a minor is taken for one.
func (b Birth) Age(day time.Time) int {
	if len(b.Value) < 4 || day.IsZero() {
		return -1
	}
	full := b.Value
	switch len(full) {
	case 4:
		full += "-12-31"
	case 7:
		full += "-28"
	}
	born, err := time.Parse("2006-01-02", full)
	if err != nil {
		return -1
	}
	age := day.Year() - born.Year()
	if day.Format("01-02") < born.Format("01-02") {
		age--
	}
	return age
}
