package terminology

import "strings"

// A System is a code system that Handoff knows. Its zero value is a system it
// does not know.
type System uint8

// The code systems.
const (
	Unknown System = iota
	ICD10CM        // ICD-10-CM; national ICD-10 variants have the same categories
	ICD10          // ICD-10 of the WHO
	ICD9CM
	SNOMEDCT
	LOINC
	RxNorm
	HCPCS
	ActCode
	ActReason
	Confidentiality
	ActUSPrivacyLaw // deprecated; its codes moved to ActCode
	ParticipationType
	ObservationValue
	ConsentAction
	ConsentScope
	PurposeOfUse // the project's own, as all below
	ActorRole
	CJILabel
	RecordOrigin
	PoliceObservation
	PoliceDisposition
	ObservedBehavior
	ObservedSubstance
	SuicideRisk
	CallType
	APCOIncident // incident types of APCO ANS 2.103.2
	systemCount
)

// Base is the canonical base of the project's own systems, profiles and
// extensions.
const Base = "https://handoff-health.github.io/fhir"

const thoBase = "http://terminology.hl7.org/CodeSystem/"

// uris are the canonical URIs by System.
var uris = [systemCount]string{
	ICD10CM:           "http://hl7.org/fhir/sid/icd-10-cm",
	ICD10:             "http://hl7.org/fhir/sid/icd-10",
	ICD9CM:            "http://hl7.org/fhir/sid/icd-9-cm",
	SNOMEDCT:          "http://snomed.info/sct",
	LOINC:             "http://loinc.org",
	RxNorm:            "http://www.nlm.nih.gov/research/umls/rxnorm",
	HCPCS:             "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
	ActCode:           thoBase + "v3-ActCode",
	ActReason:         thoBase + "v3-ActReason",
	Confidentiality:   thoBase + "v3-Confidentiality",
	ActUSPrivacyLaw:   thoBase + "v3-ActUSPrivacyLaw",
	ParticipationType: thoBase + "v3-ParticipationType",
	ObservationValue:  thoBase + "v3-ObservationValue",
	ConsentAction:     thoBase + "consentaction",
	ConsentScope:      thoBase + "consentscope",
	PurposeOfUse:      Base + "/CodeSystem/purpose-of-use",
	ActorRole:         Base + "/CodeSystem/actor-role",
	CJILabel:          Base + "/CodeSystem/cji-label",
	RecordOrigin:      Base + "/CodeSystem/record-origin",
	PoliceObservation: Base + "/CodeSystem/police-observation",
	PoliceDisposition: Base + "/CodeSystem/police-disposition",
	ObservedBehavior:  Base + "/CodeSystem/observed-behavior",
	ObservedSubstance: Base + "/CodeSystem/observed-substance",
	SuicideRisk:       Base + "/CodeSystem/suicide-risk",
	CallType:          Base + "/CodeSystem/call-type",
	APCOIncident:      Base + "/CodeSystem/apco-2-103-2",
}

// aliases are further spellings, folded as fold writes them: lower case, http,
// no "www.", no slash at the end, no version. OIDs are those of the HL7 OID
// registry and of HL7 v3.
var aliases = map[string]System{
	"urn:oid:2.16.840.1.113883.6.90": ICD10CM,
	"icd-10-cm":                      ICD10CM,
	"icd10cm":                        ICD10CM,
	"icd10":                          ICD10CM,
	"icd-10":                         ICD10CM,
	"i10":                            ICD10CM, // HL7 v2 table 0396
	"i10c":                           ICD10CM,
	"http://terminology.hl7.org/codesystem/icd10cm": ICD10CM,
	"urn:oid:2.16.840.1.113883.6.3":                 ICD10,
	"http://terminology.hl7.org/codesystem/icd10":   ICD10,
	"urn:oid:2.16.840.1.113883.6.103":               ICD9CM,
	"urn:oid:2.16.840.1.113883.6.2":                 ICD9CM,
	"http://hl7.org/fhir/sid/icd-9":                 ICD9CM,
	"http://hl7.org/fhir/sid/icd-9-cm/diagnosis":    ICD9CM,
	"http://terminology.hl7.org/codesystem/icd9cm":  ICD9CM,
	"icd-9-cm":                        ICD9CM,
	"icd9cm":                          ICD9CM,
	"i9":                              ICD9CM,
	"i9c":                             ICD9CM,
	"i9cdx":                           ICD9CM,
	"urn:oid:2.16.840.1.113883.6.96":  SNOMEDCT,
	"http://snomed.info/id":           SNOMEDCT,
	"http://snomed.info":              SNOMEDCT,
	"http://ihtsdo.org":               SNOMEDCT,
	"snomed-ct":                       SNOMEDCT,
	"snomedct":                        SNOMEDCT,
	"snomed":                          SNOMEDCT,
	"sct":                             SNOMEDCT,
	"urn:oid:2.16.840.1.113883.6.1":   LOINC,
	"loinc":                           LOINC,
	"ln":                              LOINC,
	"urn:oid:2.16.840.1.113883.6.88":  RxNorm,
	"rxnorm":                          RxNorm,
	"rxn":                             RxNorm,
	"urn:oid:2.16.840.1.113883.6.285": HCPCS,
	"urn:oid:2.16.840.1.113883.6.14":  HCPCS,
	"http://terminology.hl7.org/codesystem/hcpcs":           HCPCS,
	"http://terminology.hl7.org/codesystem/hcpcs-level-ii":  HCPCS,
	"http://terminology.hl7.org/codesystem/hcpcs-all-codes": HCPCS,
	"hcpcs":                                             HCPCS,
	"urn:oid:2.16.840.1.113883.5.4":                     ActCode,
	"urn:oid:2.16.840.1.113883.5.8":                     ActReason,
	"urn:oid:2.16.840.1.113883.5.25":                    Confidentiality,
	"urn:oid:2.16.840.1.113883.5.1138":                  ActUSPrivacyLaw,
	"urn:oid:2.16.840.1.113883.5.90":                    ParticipationType,
	"urn:oid:2.16.840.1.113883.5.1063":                  ObservationValue,
	"http://hl7.org/fhir/consentaction":                 ConsentAction,
	"http://example.org/pmhc/codesystem/purpose-of-use": PurposeOfUse,
	"http://example.org/pmhc/codesystem/actor-role":     ActorRole,
	"http://example.org/pmhc/codesystem/cji-label":      CJILabel,
}

// bySystem finds a System by its canonical URI or an alias.
var bySystem = func() map[string]System {
	m := make(map[string]System, len(aliases)+3*int(systemCount))
	for s, u := range uris {
		if u == "" {
			continue
		}
		m[u] = System(s)
		var buf [maxURI]byte
		f := string(fold(buf[:0], u))
		m[f] = System(s)
		if name, ok := strings.CutPrefix(f, "http://terminology.hl7.org/codesystem/v3-"); ok {
			m["http://hl7.org/fhir/v3/"+name] = System(s)
			m["http://terminology.hl7.org/valueset/v3-"+name] = System(s)
		}
	}
	for u, s := range aliases {
		m[u] = s
	}
	for _, u := range neutral {
		m[u] = Unknown
	}
	return m
}()

// neutral are systems that say nothing sensitive and stand in nearly every
// resource: known here so that they need no folding.
var neutral = [...]string{
	"http://unitsofmeasure.org", "urn:ietf:bcp:47", "urn:oid:2.16.840.1.113883.6.238",
	"http://terminology.hl7.org/CodeSystem/observation-category",
	"http://terminology.hl7.org/CodeSystem/condition-clinical",
	"http://terminology.hl7.org/CodeSystem/condition-ver-status",
	"http://terminology.hl7.org/CodeSystem/condition-category",
	"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
	"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
	"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
	"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
	"http://terminology.hl7.org/CodeSystem/v2-0203",
	"http://terminology.hl7.org/CodeSystem/v2-0131",
	"http://terminology.hl7.org/CodeSystem/v2-0074",
	"http://terminology.hl7.org/CodeSystem/data-absent-reason",
	"http://terminology.hl7.org/CodeSystem/medicationrequest-category",
	"http://terminology.hl7.org/CodeSystem/discharge-disposition",
	"http://terminology.hl7.org/CodeSystem/flag-category",
	"http://hl7.org/fhir/resource-types",
	"http://hl7.org/fhir/sid/cvx",
	"http://hl7.org/fhir/sid/ndc",
}

// maxURI bounds the spellings looked at: none known is longer.
const maxURI = 96

// URI returns the system's canonical URI, "" for Unknown.
func (s System) URI() string {
	if s >= systemCount {
		return ""
	}
	return uris[s]
}

// SystemOf returns the system that uri denotes in any of its spellings:
// canonical, urn:oid, http or https, with or without a version, a slash at the
// end, or in the bare names of HL7 v2. It does not allocate.
func SystemOf[T string | []byte](uri T) System {
	if s, ok := bySystem[string(uri)]; ok {
		return s
	}
	if len(uri) == 0 || len(uri) > 2*maxURI {
		return Unknown
	}
	var buf [2 * maxURI]byte
	f := fold(buf[:0], uri)
	if s, ok := bySystem[string(f)]; ok {
		return s
	}
	return byPrefix(f)
}

// byPrefix recognises families of URIs: SNOMED CT editions and national
// variants of ICD-10, whose categories are those of the WHO.
func byPrefix(folded []byte) System {
	for _, p := range [...]struct {
		prefix string
		system System
	}{
		{"http://snomed.info/sct/", SNOMEDCT},
		{"http://hl7.org/fhir/sid/icd-10-cm/", ICD10CM},
		{"http://hl7.org/fhir/sid/icd-10-", ICD10},
		{"http://fhir.de/codesystem/bfarm/icd-10-gm", ICD10},
	} {
		if len(folded) >= len(p.prefix) && string(folded[:len(p.prefix)]) == p.prefix {
			return p.system
		}
	}
	return Unknown
}

// fold appends the alias form of uri to dst.
func fold[T string | []byte](dst []byte, uri T) []byte {
	for i := range len(uri) {
		c := uri[i]
		if c == '|' {
			break
		}
		if c <= ' ' {
			continue
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	if len(dst) > 8 && string(dst[:8]) == "https://" {
		dst = append(dst[:4], dst[5:]...)
	}
	if len(dst) > 11 && string(dst[:11]) == "http://www." {
		dst = append(dst[:7], dst[11:]...)
	}
	if len(dst) > 3 && string(dst[:3]) == "2.1" { // an OID without its scheme
		dst = append(dst, "urn:oid:"...)
		copy(dst[8:], dst)
		copy(dst, "urn:oid:")
	}
	for len(dst) > 0 && dst[len(dst)-1] == '/' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// Canonical returns the canonical URI of the system that uri denotes, and uri
// itself if the system is not known.
func Canonical(uri string) string {
	if s := SystemOf(uri); s != Unknown {
		return uris[s]
	}
	return uri
}

// Clinical says whether the value sets speak of the system: its codes say
// something about a person.
func (s System) Clinical() bool {
	switch s {
	case ICD10CM, ICD10, ICD9CM, SNOMEDCT, LOINC, RxNorm, HCPCS,
		PoliceObservation, PoliceDisposition, ObservedBehavior, ObservedSubstance, SuicideRisk, CallType, APCOIncident:
		return true
	}
	return false
}

// Guess returns the system that a code without one is read by: ICD-10-CM for
// its form, dotted or of five characters, LOINC for digits and a check digit,
// SNOMED CT for six digits and more, HCPCS for a letter and four digits.
// RxNorm's numbers have no form of their own. A guess can only raise a label.
func Guess[T string | []byte](code T) System {
	n, dashes, dots := 0, 0, 0
	for i := range len(code) {
		switch c := code[i]; {
		case isDigit(c):
			n++
		case c == '-':
			dashes++
		case c == '.':
			dots++
		}
	}
	switch l := len(code); {
	case l < 5 || l > maxCode:
		return Unknown
	case n == l && l >= 6:
		return SNOMEDCT
	case dashes == 1 && n == l-1 && code[l-2] == '-':
		return LOINC
	case !isLetter(code[0]) || !isDigit(code[1]) || l > 8 || dashes > 0:
		return Unknown
	case l == 5 && n == 4 && (code[0]|0x20 == 'g' || code[0]|0x20 == 'h' || code[0]|0x20 == 'j' || code[0]|0x20 == 'q'):
		return HCPCS
	case dots <= 1:
		return ICD10CM
	}
	return Unknown
}
