package enforce

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// The two notices of 42 CFR 2.32(a), word for word, in the wording of 89 FR
// 12472 (in force since 16 April 2024). Either suffices; older wordings do not.
const (
	// ShortNotice is 2.32(a)(2).
	ShortNotice = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
	// FullNotice is 2.32(a)(1).
	FullNotice = "This record which has been disclosed to you is protected by Federal confidentiality rules (42 CFR part 2). " +
		"These rules prohibit you from using or disclosing this record, or testimony that describes the information contained in this record, " +
		"in any civil, criminal, administrative, or legislative proceedings by any Federal, State, or local authority, against the patient, " +
		"unless authorized by the consent of the patient, except as provided at 42 CFR 2.12(c)(5) or as authorized by a court in accordance with 42 CFR 2.64 or 2.65. " +
		"In addition, the Federal rules prohibit you from making any other use or disclosure of this record unless at least one of the following applies: " +
		"(i) Further use or disclosure is expressly permitted by the written consent of the individual whose information is being disclosed in this record or as otherwise permitted by 42 CFR part 2. " +
		"(ii) You are a covered entity or business associate and have received the record for treatment, payment, or health care operations, or " +
		"(iii) You have received the record from a covered entity or business associate as permitted by 45 CFR part 164, subparts A and E. " +
		"A general authorization for the release of medical or other information is NOT sufficient to meet the required elements of written consent to further use or redisclose the record (see 42 CFR 2.31)."
)

// Extensions in meta.
const (
	// NoticeURL is the extension that carries the short notice (valueString).
	NoticeURL = terminology.Base + "/StructureDefinition/redisclosure-notice"
	// ScopeURL is the extension that explains the consent (valueString).
	ScopeURL = terminology.Base + "/StructureDefinition/consent-scope"
)

// NoticeOutcome returns an OperationOutcome with the full notice and, if scope
// is not empty, the explanation of the consent: for an export's outcome file.
func NoticeOutcome(scope string) []byte {
	issue := func(text string) string {
		return `{"severity":"information","code":"informational","details":{"text":` + string(resource.Quote(text)) + `}}`
	}
	issues := issue(FullNotice)
	if scope != "" {
		issues += "," + issue(scope)
	}
	return []byte(`{"resourceType":"OperationOutcome","issue":[` + issues + `]}`)
}

// NoticeEntry returns NoticeOutcome as an entry of a searchset. It goes into an
// answer in which a Result has Notice set, once.
func NoticeEntry(scope string) []byte {
	return []byte(`{"resource":` + string(NoticeOutcome(scope)) + `,"search":{"mode":"outcome"}}`)
}
