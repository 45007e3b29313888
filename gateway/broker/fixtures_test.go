package broker

import "fmt"

// observation is a resource of the usual size.
func observation(id, patient string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05Z","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Sodium 140 mmol/L, taken during the visit, within the reference range of the laboratory.</p></div>"},
"identifier":[{"use":"official","system":"urn:oid:2.16.840.1.113883.3.9999","value":"lab-%s"}],
"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"2951-2","display":"Sodium [Moles/volume] in Serum or Plasma"}],"text":"Sodium"},
"subject":{"reference":"Patient/%s","display":"Ann Example"},"encounter":{"reference":"Encounter/e-%s"},"effectiveDateTime":"2026-01-02T03:00:00Z","issued":"2026-01-02T03:04:05Z",
"performer":[{"reference":"Practitioner/dr-1","display":"Dr. One"},{"reference":"Organization/lab"}],
"valueQuantity":{"value":140.0,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"},
"referenceRange":[{"low":{"value":136,"unit":"mmol/L"},"high":{"value":145,"unit":"mmol/L"}}]}`, id, id, patient, id)
}

func patient(id string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"family":"Example","given":["Ann"]}],"birthDate":"1980-02-03"}`, id)
}
