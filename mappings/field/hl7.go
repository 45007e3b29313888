package field

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var hl7Time = regexp.MustCompile(`^(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.\d{1,4})?)?)?)?)?)?([+-]\d{4})?$`)

// ReadTimestamp reads an HL7 v2 DTM: its precision stays, an offset is kept as
// sent; without one the default zone loc applies. With neither, only the date
// is used, because FHIR wants an offset with a time of day. An hour without
// minutes is a date too. HL7 2.8.2 section 2A.3.21.
func ReadTimestamp(s string, loc *time.Location) Moment {
	var m Moment
	s = strings.TrimSpace(s)
	if s == "" {
		m.Blank = true
		return m
	}
	p := hl7Time.FindStringSubmatch(s)
	if p == nil {
		m.note(Warning, "time-unreadable", "the timestamp is not in HL7 form")
		return m
	}
	n := func(i int) int { v, _ := strconv.Atoi(p[i]); return v }
	d := date{year: n(1), month: n(2), day: n(3)}
	if d.year < 1000 || p[2] != "" && d.month == 0 || p[3] != "" && d.day == 0 || !d.valid() {
		m.note(Warning, "time-impossible", "no such date exists")
		return m
	}
	c := clock{hour: n(4), minute: n(5), second: n(6)}
	if c.hour > 23 || c.minute > 59 || c.second > 59 {
		m.note(Warning, "time-impossible", "no such time of day exists")
		return m
	}
	if z := p[7]; z != "" && p[5] != "" {
		if c.zone = offset(z[0], z[1:]); c.zone == nil {
			m.note(Warning, "time-impossible", "the offset is impossible")
			return m
		}
	}
	m.settle(d, c, p[5] != "", loc)
	return m
}

func (m *Moment) settle(d date, c clock, timed bool, loc *time.Location) {
	day := time.Date(d.year, time.Month(max(1, d.month)), max(1, d.day), 0, 0, 0, 0, time.UTC)
	switch {
	case !timed:
		m.Value, m.Time = d.String(), day
	case c.zone != nil:
		m.Exact = true
		m.Time = time.Date(d.year, time.Month(d.month), d.day, c.hour, c.minute, c.second, 0, c.zone)
		m.Value = m.Time.Format(fhirTime)
	case loc == nil:
		m.Value, m.Time = d.String(), day
		m.wall = time.Date(d.year, time.Month(d.month), d.day, c.hour, c.minute, c.second, 0, time.UTC).Format("2006-01-02T15:04:05")
		m.note(Warning, "time-zone-missing", "the timestamp has no offset and the source no default zone: only the date was used")
	default:
		m.Exact = true
		m.resolve(d, c, loc)
	}
}

// ReadHL7Birth reads a birth date from a DTM: date part only, placeholders and
// impossible dates as in ReadBirth.
func ReadHL7Birth(s string, ref time.Time) Birth {
	s = strings.TrimSpace(s)
	if len(s) > 8 {
		s = s[:8]
	}
	if s != "" && !digits(s) {
		b := Birth{}
		b.drop("error", "birth-date-unreadable", "the birth date is not in HL7 form")
		return b
	}
	if len(s) == 5 || len(s) == 7 { // a truncated DTM
		b := Birth{}
		b.drop("error", "birth-date-unreadable", "the birth date is not in HL7 form")
		return b
	}
	return ReadBirth(s, false, ref)
}

var (
	oidForm  = regexp.MustCompile(`^[0-2](?:\.(?:0|[1-9]\d*))+$`)
	uuidForm = regexp.MustCompile(`(?i)^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// AssigningAuthority turns an HD (namespace, universal id, its type) into a URI.
// A namespace that is only a local name is put under the sender's own path,
// because "MR" of one hospital is not "MR" of another; one that is a URI or an OID
// is it.
func AssigningAuthority(namespace, id, typ, senderBase string, known map[string]string) string {
	namespace, id = strings.TrimSpace(namespace), strings.TrimSpace(id)
	if u := known[namespace]; u != "" && namespace != "" {
		return u
	}
	if u := UniversalURI(id, typ); u != "" {
		return u
	}
	if oidForm.MatchString(namespace) && strings.Count(namespace, ".") > 3 {
		return "urn:oid:" + namespace
	}
	if u := UniversalURI(namespace, "URI"); u != "" {
		return u
	}
	if namespace == "" {
		namespace = id
	}
	if namespace == "" {
		namespace = "unspecified"
	}
	return senderBase + "/" + url.PathEscape(namespace)
}

// UniversalURI is the URI of a universal id (HD.2) of its type (HD.3); "" if it
// has none.
func UniversalURI(id, typ string) string {
	id = strings.TrimSpace(id)
	switch typ = strings.ToUpper(strings.TrimSpace(typ)); {
	case oidForm.MatchString(id) && (typ == "ISO" || typ == ""):
		return "urn:oid:" + id
	case uuidForm.MatchString(id):
		return "urn:uuid:" + strings.ToLower(id)
	case typ == "URI" && (strings.HasPrefix(id, "http://") || strings.HasPrefix(id, "https://") || strings.HasPrefix(id, "urn:")) && !strings.ContainsAny(id, " <>\""):
		return id
	}
	return ""
}

var hl7Table = regexp.MustCompile(`^(?i:HL7)(\d{4})$`)

// CodeSystem is the FHIR URI of an HL7 v2 coding system name (table 0396), ""
// for a local or unknown one: a code without a system claims nothing.
func CodeSystem(name string) string {
	name = strings.TrimSpace(name)
	if m := hl7Table.FindStringSubmatch(name); m != nil {
		return "http://terminology.hl7.org/CodeSystem/v2-" + m[1]
	}
	switch strings.ToUpper(name) {
	case "LN", "LOINC":
		return "http://loinc.org"
	case "SCT", "SNM", "SNOMED", "SNOMED-CT", "SNOMEDCT":
		return "http://snomed.info/sct"
	case "I10", "I10C", "ICD10", "ICD-10-CM":
		return "http://hl7.org/fhir/sid/icd-10-cm"
	case "I9", "I9C", "ICD9":
		return "http://hl7.org/fhir/sid/icd-9-cm"
	case "I10P":
		return "http://www.cms.gov/Medicare/Coding/ICD10"
	case "C4", "CPT", "CPT4":
		return "http://www.ama-assn.org/go/cpt"
	case "RXNORM":
		return "http://www.nlm.nih.gov/research/umls/rxnorm"
	case "NDC":
		return "http://hl7.org/fhir/sid/ndc"
	case "CVX":
		return "http://hl7.org/fhir/sid/cvx"
	case "ISO3166_1":
		return "urn:iso:std:iso:3166"
	case "BCP47", "BCP-47":
		return "urn:ietf:bcp:47"
	case "CDCREC":
		return "urn:oid:2.16.840.1.113883.6.238"
	case "UCUM":
		return "http://unitsofmeasure.org"
	}
	return ""
}
