package main

import (
	"bytes"
	"fmt"
	"strings"
)

// The resources that are asked for: synthetic, of the sizes that real ones
// have, the same bytes in every process.

const (
	people  = 64 // persons of each group, so that no two clients ask for the same
	entries = 20 // Observations of a person
)

// A group is a set of persons: where their records lie decides what a request
// for them costs.
type group struct {
	key    string // of the connected system; "" for the own store
	letter string // starts the ids
	path   string // where the system's FHIR base is mounted
}

var (
	// An EHR: it may keep Consents and is asked for them each time, and its
	// Observations refer to an Encounter, which is read to know whether the
	// caller may see that there was one.
	ehr = group{"ehr", "e", "/fhir"}
	// A laboratory: it keeps no Consents, and its Observations stand alone.
	laboratory = group{"lab", "f", "/lab"}
	stored     = group{"", "s", "/fhir"}
)

func (g group) remote(n int) string { return fmt.Sprintf("%s%02d", g.letter, n) }
func (g group) own(n int) string    { return "own-" + g.remote(n) }

// observation is the k-th of the n-th person.
func (g group) observation(n, k int) []byte {
	encounter := ""
	if g == ehr {
		encounter = "enc-" + g.remote(n)
	}
	return observation(g.remote(n), k, encounter)
}

// observation is one of a person, of about 1.2 kB. Its value ends in a zero,
// which has to arrive.
func observation(patient string, k int, encounter string) []byte {
	if encounter != "" {
		encounter = `"encounter":{"reference":"Encounter/` + encounter + `"},`
	}
	return []byte(fmt.Sprintf(`{"resourceType":"Observation","id":"obs-%[1]s-%02[2]d","meta":{"versionId":"3","lastUpdated":"2026-02-%02[3]dT10:15:00.000Z","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-vital-signs"]},`+
		`"identifier":[{"system":"https://lakeside.example/observations","value":"%[1]s-%02[2]d"}],"status":"final",`+
		`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}],"text":"Vital Signs"}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":"29463-7","display":"Body weight"},{"system":"http://loinc.org","code":"3141-9","display":"Body weight Measured"}],"text":"Body weight"},`+
		`"subject":{"reference":"Patient/%[1]s","display":"the person"},%[5]s`+
		`"effectiveDateTime":"2026-02-%02[3]dT10:00:00+01:00","issued":"2026-02-%02[3]dT10:14:59.123+01:00",`+
		`"performer":[{"reference":"Practitioner/nurse-7","display":"Nurse on duty"}],`+
		`%[4]s,`+
		`"note":[{"text":"Measured with shoes and clothes on; scale 4 of the ward, last calibrated in January. The person was asked to stand still twice."}],`+
		`"referenceRange":[{"low":{"value":50.0,"unit":"kg"},"high":{"value":110.0,"unit":"kg"},"text":"not a diagnosis"}]}`,
		patient, k, 1+k, weight(k), encounter))
}

// weight is the known element of an observation.
func weight(k int) string {
	return fmt.Sprintf(`"valueQuantity":{"value":7%d.%02d0,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}`, k%10, k)
}

func encounter(patient string) []byte {
	return []byte(`{"resourceType":"Encounter","id":"enc-` + patient + `","meta":{"versionId":"2","lastUpdated":"2026-02-03T10:15:00.000Z"},"status":"finished",` +
		`"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"subject":{"reference":"Patient/` + patient + `"},` +
		`"period":{"start":"2026-02-01T09:00:00+01:00","end":"2026-02-01T11:30:00+01:00"}}`)
}

func condition(patient string) []byte {
	return []byte(`{"resourceType":"Condition","id":"con-` + patient + `","meta":{"versionId":"1","lastUpdated":"2026-02-01T10:15:00.000Z","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition-encounter-diagnosis"]},` +
		`"identifier":[{"system":"https://lakeside.example/conditions","value":"` + patient + `"}],` +
		`"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active","display":"Active"}]},` +
		`"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed","display":"Confirmed"}]},` +
		`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"encounter-diagnosis","display":"Encounter Diagnosis"}]}],` +
		`"code":{"coding":[{"system":"http://snomed.info/sct","code":"195967001","display":"Asthma"},{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"J45.909","display":"Unspecified asthma, uncomplicated"}],"text":"Asthma"},` +
		`"subject":{"reference":"Patient/` + patient + `"},"encounter":{"reference":"Encounter/enc-` + patient + `"},` +
		`"onsetDateTime":"2019-05","recordedDate":"2026-02-01T10:14:00+01:00","recorder":{"reference":"Practitioner/nurse-7","display":"Nurse on duty"},` +
		`"note":[{"text":"Well controlled; carries an inhaler. Please remind the person to take it along."}]}`)
}

// patient is one of 3.4 kB: narrative, names, addresses, contacts, extensions.
func patient(id string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%[1]s","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},`+
		`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Sample, Alex</b>, born 1988-04-09</p><table><tr><td>Address</td><td>100 Test Plaza, Riverton</td></tr><tr><td>Phone</td><td>555-0100</td></tr></table></div>"},`+
		`"extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2106-3","display":"White"}},{"url":"text","valueString":"White"}]},`+
		`{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2186-5","display":"Not Hispanic or Latino"}},{"url":"text","valueString":"Not Hispanic or Latino"}]}],`+
		`"identifier":[{"use":"usual","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR","display":"Medical record number"}]},"system":"https://lakeside.example/mrn","value":"mrn-%[1]s","period":{"start":"2015-03-01"}}],`+
		`"active":true,"name":[{"use":"official","family":"Sample","given":["Alex","Robin"],"prefix":["Mx."]},{"use":"old","family":"Muster","given":["Alex"],"period":{"end":"2012-06-30"}}],`+
		`"telecom":[{"system":"phone","value":"555-0100","use":"mobile","rank":1},{"system":"email","value":"alex.sample@mail.example","use":"home"}],`+
		`"gender":"unknown","birthDate":"1988-04-09","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1988-04-09T04:20:00-06:00"}]},"deceasedBoolean":false,`+
		`"address":[{"use":"home","type":"both","line":["100 Test Plaza","Apartment 4"],"city":"Riverton","state":"ZZ","postalCode":"00501","country":"US","period":{"start":"2020-01-15"}}],`+
		`"maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"S","display":"Never Married"}]},`+
		`"contact":[{"relationship":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0131","code":"N","display":"Next-of-Kin"}]}],"name":{"family":"Sample","given":["Kim"]},"telecom":[{"system":"phone","value":"555-0101"}]}],`+
		`"communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"en","display":"English"}]},"preferred":true}],"x":""}`, id)
	// What is missing to 3.4 kB stands as a second e-mail address.
	raw := bytes.Replace(b.Bytes(), []byte(`,"x":""`), nil, 1)
	if pad := 3400 - len(raw) - len(`,{"system":"email","value":""}`); pad > 0 {
		raw = bytes.Replace(raw, []byte(`,"use":"home"}],"gender"`), []byte(`,"use":"home"},{"system":"email","value":"`+strings.Repeat("a", pad)+`"}],"gender"`), 1)
	}
	return raw
}

// consentFor is the n-th Consent of a person: it grants one purpose to one
// organisation, with a nested deny, as consent desks write them.
func consentFor(patient, to string, n int) []byte {
	return consentOf(patient, to, n, `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}],`+denyOfCode(n))
}

// consentOf is a signed Consent with a rule for one organisation and purpose;
// rest are the rule's other members.
func consentOf(patient, to string, n int, rest string) []byte {
	return []byte(fmt.Sprintf(`{"resourceType":"Consent","id":"consent-%[1]s-%[3]d","status":"active",`+
		`"scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},`+
		`"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"patient":{"reference":"Patient/%[1]s"},`+
		`"dateTime":"2026-01-%02[4]dT10:30:00-05:00","performer":[{"reference":"Patient/%[1]s"}],"organization":[{"reference":"Organization/clinic"}],`+
		`"sourceAttachment":{"contentType":"application/pdf","title":"signed"},`+
		`"policyRule":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIPAAAuthCD"}]},`+
		`"provision":{"type":"permit","period":{"start":"2026-01-01","end":"2099-12-31"},`+
		`"actor":[{"role":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"Organization/%[2]s"}}],`+
		`"purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}],%[5]s}}`,
		patient, to, n, 1+n%28, rest))
}

func denyOfCode(n int) string {
	return fmt.Sprintf(`"provision":[{"type":"deny","code":[{"coding":[{"system":"http://snomed.info/sct","code":"%d"}]}]}]`, 900_000+n)
}

// consentOfShape is the n-th of very many Consents of a person for one
// organisation, no two alike: the first grants what is normal, the others are
// about types, codes, instances, labels, years of life and what refers to what,
// as rules or as exceptions from rules. None of them denies what is judged here.
func consentOfShape(patient, to string, n int) []byte {
	types := [...]string{"Observation", "Condition", "Patient", "Encounter", "Procedure", "CarePlan", "MedicationRequest", "DiagnosticReport"}
	typ := types[n/8%len(types)]
	if typ == "Patient" && (n%8 == 2 || n%8 == 6) {
		typ = "Encounter" // a Patient has no date, so a deny with a dataPeriod would reach it
	}
	class := `"class":[{"system":"http://hl7.org/fhir/resource-types","code":"` + typ + `"}]`
	label := func(code string) string {
		return `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"` + code + `"}]`
	}
	sensitivities := [...]string{"SUD", "PSY", "HIV", "SDV", "STD", "OPIOIDUD", "ETHUD", "SEX"}
	day := func(n int) string { return fmt.Sprintf("%d-%02d-%02d", 1930+n/336%80, 1+n/28%12, 1+n%28) }
	days := `"dataPeriod":{"start":"` + day(n) + `","end":"` + day(n+20) + `"}`
	instance := func(meaning string) string {
		return fmt.Sprintf(`"data":[{"meaning":%q,"reference":{"reference":"%s/x-%d"}}]`, meaning, types[n%len(types)], n)
	}
	deny := func(of string) string { return `"provision":[{"type":"deny",` + of + `}]` }
	rest := ""
	switch n % 8 {
	case 0:
		rest = `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}],` + denyOfCode(n)
	case 1:
		rest = class + "," + days
	case 2:
		rest = class + "," + deny(label(sensitivities[n/64%8])+","+days)
	case 3:
		rest = instance("instance")
	case 4:
		rest = label(sensitivities[n/64%8]) + "," + class + "," + denyOfCode(n)
	case 5:
		rest = class + "," + deny(instance("dependents"))
	case 6:
		rest = class + "," + deny(days)
	case 7:
		rest = fmt.Sprintf(`"code":[{"coding":[{"system":"http://snomed.info/sct","code":"%d"}]}],`, 800_000+n) + days
	}
	return consentOf(patient, to, n, rest)
}

// searchset is a page of a person's Observations.
func (g group) searchset(origin string, n int) []byte {
	var b bytes.Buffer
	base, patient := origin+g.path, g.remote(n)
	fmt.Fprintf(&b, `{"resourceType":"Bundle","type":"searchset","total":%d,"link":[{"relation":"self","url":"%s/Observation?patient=%s"}],"entry":[`, entries, base, patient)
	for k := range entries {
		if k > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"fullUrl":"%s/Observation/obs-%s-%02d","resource":%s,"search":{"mode":"match"}}`, base, patient, k, g.observation(n, k))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}
