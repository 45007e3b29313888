package enforce

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/policy"
)

// The two notices of 42 CFR 2.32(a), word for word, in the wording of 89 FR
// 12472 (in force since 16 April 2024). Either suffices; older wordings do not.
const (
	// ShortNotice is 2.32(a)(2).
	ShortNotice = policy.Part2NoticeShort
	// FullNotice is 2.32(a)(1).
	FullNotice = policy.Part2NoticeFull
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
