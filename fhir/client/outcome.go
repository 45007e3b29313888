package client

import "slices"

// Codes that one vendor's servers put into details.coding. Source: Epic's
// published error codes (fhir.epic.com, as collected by api-evangelist).
var (
	suppressedDetails = []string{"4130", "4131", "4134"}          // break-the-glass, restricted patient
	incompleteDetails = []string{"4113", "4119", "4127", "59133"} // paging lost, more may exist, result cap
)

// kindOfIssues says what issues mean when the status does not: in an answer
// with 200, or as an entry among matches. ok is false when they mean nothing
// for completeness, as "no results" and "unknown parameter ignored" do.
func kindOfIssues(issues []Issue) (k Kind, ok bool) {
	for _, i := range issues {
		if i.Code == "suppressed" || hasAny(i.Details, suppressedDetails) {
			return Suppressed, true
		}
	}
	for _, i := range issues {
		if hasAny(i.Details, incompleteDetails) {
			return Incomplete, true
		}
		switch i.Code {
		case "incomplete", "too-costly", "timeout", "throttled", "lock-error", "no-store", "exception", "transient":
			return Incomplete, true
		case "forbidden", "security", "login", "expired", "unknown":
			return Forbidden, true
		case "not-found", "deleted":
			if i.Severity == "error" || i.Severity == "fatal" {
				return NotFound, true
			}
			continue
		}
		if i.Severity == "error" || i.Severity == "fatal" {
			return Incomplete, true
		}
	}
	return 0, false
}

func hasAny(have, want []string) bool {
	return slices.ContainsFunc(have, func(s string) bool { return slices.Contains(want, s) })
}
