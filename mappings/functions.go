package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"

	"github.com/handoff-health/handoff/mappings/field"
)

// Base is the canonical base of the project's own systems and extensions.
const Base = "https://handoff-health.github.io/fhir"

// A function is one that expressions may call. All are pure; what depends on
// the sender comes from the profile when the map is loaded.
type function struct {
	name  string
	doc   string
	fn    func(...any) (any, error)
	types []any
}

func text(v any) string { s, _ := v.(string); return s }

func moment(v any) field.Moment { m, _ := v.(field.Moment); return m }

// functions lists what expressions can call, for one profile.
func functions(p *Profile) []function {
	fs := slices.Concat(readers(p), timeReaders(p), hl7Readers())
	return append(fs, []function{
		{"sid", "the identifier system of a kind of record at an agency: sid(AgencyORI, \"mni\")",
			func(a ...any) (any, error) { return Base + "/sid/" + text(a[0]) + "/" + text(a[1]), nil },
			[]any{new(func(string, string) string)}},
		{"slug", "text as letters, digits and hyphens, for use in keys; a digest of a text without letters and digits",
			func(a ...any) (any, error) { return slug(text(a[0])), nil },
			[]any{new(func(string) string)}},
		{"items", "the parts of a list, trimmed, without blanks and placeholders: items(Behaviors, \";\")",
			func(a ...any) (any, error) { return items(text(a[0]), text(a[1])), nil },
			[]any{new(func(string, string) []string)}},
		{"blank", "whether a text says nothing: empty, N/A, UNK, -",
			func(a ...any) (any, error) { return field.Blank(text(a[0])), nil },
			[]any{new(func(string) bool)}},
		{"yes", "whether a flag column says yes",
			func(a ...any) (any, error) { return yes(text(a[0])), nil },
			[]any{new(func(string) bool)}},
		{"fold", "text in upper case with single spaces",
			func(a ...any) (any, error) { return fold(text(a[0])), nil },
			[]any{new(func(string) string)}},
		{"either", "the first text that says something",
			func(a ...any) (any, error) { return either(a...), nil },
			[]any{new(func(...string) string)}},
		{"placeholder", "whether a number or key stands for none: 0, R000000, 999999, PENDING, NEW",
			func(a ...any) (any, error) { return field.PlaceholderKey(text(a[0])), nil },
			[]any{new(func(string) bool)}},
		{"digest", "a short digest of texts, without regard to case and spaces, for use in keys",
			func(a ...any) (any, error) { return digestOf(a), nil },
			[]any{new(func(...string) string)}},
		{"organization", "the id that the profile gives for an organization's name; empty if none",
			func(a ...any) (any, error) { return p.organization(text(a[0])), nil },
			[]any{new(func(string) string)}},
		{"codesOf", "the codes of targets",
			func(a ...any) (any, error) {
				targets, _ := a[0].([]Target)
				var out []string
				for _, t := range targets {
					out = append(out, t.Code)
				}
				return out, nil
			},
			[]any{new(func([]Target) []string)}},
		{"list", "the texts of a list, each once: list(filter(parties, # != \"\"))",
			func(a ...any) (any, error) {
				var out []string
				for _, s := range textsOf(a[0]) {
					if !slices.Contains(out, s) {
						out = append(out, s)
					}
				}
				return out, nil
			},
			[]any{new(func(any) []string)}},
		{"orElse", "the first list, or the second if the first is empty",
			func(a ...any) (any, error) {
				if first := textsOf(a[0]); len(first) > 0 {
					return first, nil
				}
				return textsOf(a[1]), nil
			},
			[]any{new(func(any, any) []string)}},
		{"supplement", "a supplement number with leading zeros, so that it sorts as text",
			func(a ...any) (any, error) { return supplement(text(a[0])), nil },
			[]any{new(func(string) string)}},
		{"codeSystem", "the FHIR URI of an HL7 v2 coding system (LN, SCT, I10, HL70005); empty if not known",
			func(a ...any) (any, error) { return field.CodeSystem(text(a[0])), nil },
			[]any{new(func(string) string)}},
		{"authority", "the identifier system of an HL7 v2 assigning authority: authority(namespace, id, type, sender)",
			func(a ...any) (any, error) {
				base := p.SenderBase
				if base == "" {
					base = Base + "/sid/v2/" + either(slug(text(a[3])), "unknown-sender")
				}
				return field.AssigningAuthority(text(a[0]), text(a[1]), text(a[2]), base, p.Systems), nil
			},
			[]any{new(func(string, string, string, string) string)}},
	}...)
}

// readers read names, places and other texts.
func readers(p *Profile) []function {
	return []function{
		{"person", "a person from last, first, middle name and suffix",
			func(a ...any) (any, error) {
				r := field.ReadPerson(text(a[0]), text(a[1]), text(a[2]), text(a[3]))
				for _, n := range p.TestNames {
					if fold(text(a[0])) == n {
						r = field.Person{Kind: field.Fictitious}
					}
				}
				return r, nil
			},
			[]any{new(func(string, string, string, string) field.Person)}},
		{"aliases", "other names of a person, separated by ;",
			func(a ...any) (any, error) { return field.ReadAliases(text(a[0])), nil },
			[]any{new(func(string) field.Person)}},
		{"staff", "an officer's or clinician's name",
			func(a ...any) (any, error) { return field.ReadStaff(text(a[0])), nil },
			[]any{new(func(string) field.Name)}},
		{"address", "a residence from street, city, state, ZIP",
			func(a ...any) (any, error) {
				return field.ReadAddress(text(a[0]), text(a[1]), text(a[2]), text(a[3])), nil
			},
			[]any{new(func(string, string, string, string) field.Address)}},
		{"cityLine", "city, state and ZIP code that stand in one column",
			func(a ...any) (any, error) { return field.ReadCityLine(text(a[0])), nil },
			[]any{new(func(string) field.CityLine)}},
		{"phone", "a telephone number",
			func(a ...any) (any, error) { return field.ReadPhone(text(a[0])), nil },
			[]any{new(func(string) field.Phone)}},
		{"estimate", "an estimated age",
			func(a ...any) (any, error) { return field.ReadEstimate(text(a[0])), nil },
			[]any{new(func(string) field.Estimate)}},
		{"clean", "free text made fit for output",
			func(a ...any) (any, error) { return field.Clean(text(a[0])), nil },
			[]any{new(func(string) field.Text)}},
		{"capacity", "what in the texts speaks against the ability to consent",
			func(a ...any) (any, error) {
				texts := make([]string, len(a))
				for i := range a {
					texts[i] = text(a[i])
				}
				return field.ReadCapacity(texts...), nil
			},
			[]any{new(func(...string) field.Capacity)}},
		{"isBlock", "whether an address is a hundred block",
			func(a ...any) (any, error) { return field.IsBlock(text(a[0])), nil },
			[]any{new(func(string) bool)}},
		{"isHomeless", "whether an address says that there is no residence",
			func(a ...any) (any, error) { return field.IsHomeless(text(a[0])), nil },
			[]any{new(func(string) bool)}},
		{"criminal", "whether a text names a criminal-history identifier, file or status",
			func(a ...any) (any, error) { return field.CriminalHistory(text(a[0])), nil },
			[]any{new(func(string) bool)}},
	}
}

// timeReaders read dates and times in the sender's zone and order.
func timeReaders(p *Profile) []function {
	local := p.Zone()
	orUTC := local
	if orUTC == nil {
		orUTC = time.UTC
	}
	return []function{
		{"moment", "a local date and time in the sender's zone",
			func(a ...any) (any, error) { return field.ReadMoment(text(a[0]), p.DayFirst, orUTC), nil },
			[]any{new(func(string) field.Moment)}},
		{"timestamp", "an HL7 v2 DTM, in the sender's zone where it has no offset",
			func(a ...any) (any, error) { return field.ReadTimestamp(text(a[0]), local), nil },
			[]any{new(func(string) field.Moment)}},
		{"birth", "a birth date; the second argument is a moment at which the person lived",
			func(a ...any) (any, error) {
				return field.ReadBirth(text(a[0]), p.DayFirst, moment(a[1]).Time), nil
			},
			[]any{new(func(string, field.Moment) field.Birth)}},
		{"hl7birth", "a birth date from an HL7 v2 DTM",
			func(a ...any) (any, error) { return field.ReadHL7Birth(text(a[0]), moment(a[1]).Time), nil },
			[]any{new(func(string, field.Moment) field.Birth)}},
		{"age", "whole years from a birth date to a moment, -1 if not known",
			func(a ...any) (any, error) {
				b, _ := a[0].(field.Birth)
				return b.Age(moment(a[1]).Time), nil
			},
			[]any{new(func(field.Birth, field.Moment) int)}},
		{"expiry", "the end of a consent from its text, its start and the end of the contact",
			func(a ...any) (any, error) {
				return field.ReadExpiry(text(a[0]), moment(a[1]), moment(a[2]), p.ConsentHours, p.DayFirst, orUTC), nil
			},
			[]any{new(func(string, field.Moment, field.Moment) field.Expiry)}},
	}
}

// slug keeps letters, digits and what lies between them as hyphens. Of a text
// that has neither it is a digest, so that every text is a key.
func slug(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 0x7f {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
		} else {
			gap = true
		}
	}
	if b.Len() == 0 && strings.TrimSpace(s) != "" {
		return digestOf([]any{s})
	}
	return b.String()
}

// digestOf is a digest of texts in order: 20 hexadecimal digits.
func digestOf(texts []any) string {
	h := sha256.New()
	for _, t := range texts {
		h.Write([]byte(fold(text(t))))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))[:20]
}

func items(s, separators string) []string {
	var out []string
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if part = strings.TrimSpace(part); !field.Blank(part) {
			out = append(out, part)
		}
	}
	return out
}

func yes(s string) bool {
	switch fold(s) {
	case "Y", "YES", "TRUE", "T", "1":
		return true
	}
	return false
}

func supplement(s string) string {
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil && n >= 0 {
		return fmt.Sprintf("%06d", n)
	}
	return "000000"
}

func either(a ...any) string {
	for _, v := range a {
		switch v := v.(type) {
		case string:
			if !field.Blank(v) {
				return strings.TrimSpace(v)
			}
		case []string:
			for _, s := range v {
				if !field.Blank(s) {
					return strings.TrimSpace(s)
				}
			}
		}
	}
	return ""
}

// options turns the functions into options of the expression compiler.
func options(fs []function) []expr.Option {
	opts := boundOptions()
	for _, f := range fs {
		opts = append(opts, expr.Function(f.name, f.fn, f.types...))
	}
	return opts
}
