package gateway

import (
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/gateway/capture"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/rest"
)

// OperationParameters returns what each operation reads, by its interaction
// ("$capture"): the specs that reading uses, not a copy. What a legal basis asks
// for depends on the law. The published OperationDefinitions are compared with it.
func OperationParameters(law *policy.Engine) map[string]parameters.Spec {
	return map[string]parameters.Spec{
		rest.CrisisSummary:  crisisSpec,
		rest.ExplainAccess:  explainSpec(law),
		rest.Capture:        capture.Spec,
		rest.Revoke:         revokeSpec,
		rest.WhatIf:         whatIfSpec,
		rest.DeclareBasis:   declareSpec(law),
		rest.AcceptBasis:    acceptSpec(law),
		rest.RejectBasis:    reasonSpec(true),
		rest.WithdrawBasis:  reasonSpec(false),
		rest.CancelTask:     reasonSpec(false),
		rest.BreakGlass:     breakGlassSpec,
		rest.CompleteReview: reviewSpec,
	}
}
