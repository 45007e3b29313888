package label

import (
	"bytes"
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
)

// drugNames are the medications for substance use disorder by ingredient and
// by brand, in lower case: an order often has a text, a local or an NDC code
// and no RxNorm code. Source: SAMHSA's and FDA's lists of medications for
// opioid and alcohol use disorders (public domain).
var drugNames = [...]string{
	"methadone", "methadose", "dolophine", "diskets",
	"buprenorphine", "suboxone", "subutex", "zubsolv", "bunavail", "sublocade", "brixadi", "probuphine",
	"naltrexone", "vivitrol", "revia", "disulfiram", "antabuse", "acamprosate", "campral", "lofexidine", "lucemyra",
}

// medicationName adds SUD if a text below a medication's principal element
// names one of drugNames as a word.
func medicationName(m resource.Node, into *Labels) {
	m.Descend(func(n resource.Node) bool {
		if n.Kind() != resource.String {
			return true
		}
		raw := n.Raw()
		for _, name := range drugNames {
			if containsWord(raw, name) {
				into.compute("SUD", Reason{Basis: "name", Code: Code{Code: name}, Set: "handoff:sud-drug-names", at: n})
			}
		}
		return true
	})
}

// serviceNames are words in the name of a place, an organisation or a stay that
// say that it treats substance use, beside drugNames; in lower case.
var serviceNames = [...]string{
	"detox", "detoxification", "addiction", "addictions", "opioid", "opiate", "narcotic", "sobering", "sober living",
	"substance use", "substance abuse", "substance misuse", "chemical dependency", "alcoholism", "drug treatment", "drug rehab", "sud treatment",
}

// byLetter is drugNames and serviceNames by their first letter.
var byLetter = func() (m [26][]string) {
	for _, name := range slices.Concat(drugNames[:], serviceNames[:]) {
		m[name[0]-'a'] = append(m[name[0]-'a'], name)
	}
	return m
}()

// referenceName adds SUD if n is a Reference whose display names a drug or a
// service for substance use: "Methadone clinic", "detox stay".
func referenceName(n resource.Node, into *Labels) {
	d := n.Get("display")
	if d.Kind() != resource.String || n.Get("code").Exists() {
		return
	}
	raw := d.Raw()
	for i := 1; i < len(raw); i++ {
		c := raw[i] | 0x20
		if c < 'a' || c > 'z' || isLetter(raw[i-1]) {
			continue
		}
		for _, name := range byLetter[c-'a'] {
			if end := i + len(name); end <= len(raw) && bytes.EqualFold(raw[i:end], []byte(name)) && (end == len(raw) || !isLetter(raw[end])) {
				into.compute("SUD", Reason{Basis: "name", Code: Code{Code: name}, Set: "handoff:sud-service-names", at: n})
				return
			}
		}
	}
}

// medicationReference adds what a contained Medication implies to the resource
// whose medication[x] points at it: the drug is the subject matter there too.
func (l *Labeller) medicationReference(n, root resource.Node, own *Labels) {
	ref := n.Path("medicationReference", "reference")
	if ref.Kind() == resource.String {
		r := stringBytes(ref)
		if len(r) > 1 && r[0] == '#' {
			for c := range root.All("contained") {
				if c.Get("id").Is(string(r[1:])) {
					l.own(c.Get("code"), kindOf("Medication"), own)
					l.own(c.Get("ingredient"), kindOf("Medication"), own)
				}
			}
		}
	}
	medicationName(n.Path("medicationReference", "display"), own)
}

// containsWord finds a lower-case word in text, whatever the text's case, with
// no letter right before or after it.
func containsWord(text []byte, word string) bool {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 != word[0] || !bytes.EqualFold(text[i:i+len(word)], []byte(word)) {
			continue
		}
		if (i == 0 || !isLetter(text[i-1])) && (i+len(word) == len(text) || !isLetter(text[i+len(word)])) {
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { c |= 0x20; return c >= 'a' && c <= 'z' }
