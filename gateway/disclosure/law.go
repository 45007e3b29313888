package disclosure

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Lists by their paragraph.
const (
	Intermediary = "42 CFR 2.24"
	Part2        = "42 CFR 2.25"
	Accounting   = "45 CFR 164.528"
)

// An exception of 45 CFR 164.528(a)(1) by the grounds that it covers.
type exception struct {
	citation string
	text     string
	covers   func(*policy.Reason) bool
}

func cites(prefixes ...string) func(*policy.Reason) bool {
	return func(r *policy.Reason) bool {
		return r.Consent == "" && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.Citation, p) })
	}
}

// exceptions are those that a ground of policy can fall under. Those for
// facility directories, national security, limited data sets and times before
// the compliance date have no ground here.
var exceptions = []exception{
	{"45 CFR 164.528(a)(1)(i)", "treatment, payment or health care operations", cites("45 CFR 164.506", "45 CFR 164.522(a)(1)(iii)", "42 CFR 2.51")},
	{"45 CFR 164.528(a)(1)(iv)", "on the patient's authorization or consent", func(r *policy.Reason) bool { return r.Consent != "" }},
	{"45 CFR 164.528(a)(1)(v)", "to persons involved in the individual's care", cites("45 CFR 164.510")},
	{"45 CFR 164.528(a)(1)(vii)", "to a correctional institution or law enforcement official with lawful custody", cites("45 CFR 164.512(k)(5)")},
}

// agencyRecord leaves an agency's own record out: the accounting is of a covered
// entity's disclosures of protected health information.
var agencyRecord = exception{"45 CFR 160.103", "a record of an agency that is no covered entity", nil}

// grounds are the reasons that permitted.
func grounds(j *audit.Judged) []policy.Reason {
	var out []policy.Reason
	for _, r := range j.Reasons {
		if r.Effect == "permit" {
			out = append(out, r)
		}
	}
	return out
}

// excluded finds the exceptions that leave a disclosure out of the accounting;
// ok is false if one of its grounds falls under none.
func excluded(j *audit.Judged, on []policy.Reason) (out []exception, ok bool) {
	if j.Origin.Police && !isPart2(j) {
		return []exception{agencyRecord}, true
	}
	for i := range on {
		n := slices.IndexFunc(exceptions, func(e exception) bool { return e.covers(&on[i]) })
		if n < 0 {
			return nil, false
		}
		if !slices.ContainsFunc(out, func(e exception) bool { return e.citation == exceptions[n].citation }) {
			out = append(out, exceptions[n])
		}
	}
	return out, len(on) > 0
}

func isPart2(j *audit.Judged) bool { return slices.Contains(j.Labels, "42CFRPart2") }

// onConsent says whether a Consent was a ground.
func onConsent(on []policy.Reason) bool {
	return slices.ContainsFunc(on, func(r policy.Reason) bool { return r.Consent != "" })
}
