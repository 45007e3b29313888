package gateway

import (
	"slices"

	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/policy"
)

// maxDenied bounds how many refused resources one event names.
const maxDenied = 500

// account puts into the event what leaves and what was refused, with all that
// the decisions depended on. What was permitted and stands on another page does
// not leave with this answer. An error means that nothing may leave.
func (s *Server) account(x *exchange, leaves bool) error {
	e := x.event
	e.Incomplete = x.incomplete
	listed := x.denied[:min(len(x.denied), maxDenied)]
	e.Unlisted = len(x.denied) - len(listed)
	if leaves {
		listed = slices.Concat(x.kept, listed)
	}
	if len(listed) == 0 {
		return nil
	}
	facts := &audit.FactsRecorder{Facts: s.decidesBy}
	e.Resources = make([]audit.Judged, 0, len(listed))
	for _, c := range listed {
		j, err := c.judgement(facts)
		if err != nil {
			return err
		}
		e.Resources = append(e.Resources, j)
		if c.how == "deny" || c.withheld {
			continue
		}
		for _, o := range j.Obligations {
			if !slices.Contains(e.Obligations, o) {
				e.Obligations = append(e.Obligations, o)
			}
		}
	}
	e.Facts = &facts.Facts
	return nil
}

// judgement is what the event says of one resource.
func (c *candidate) judgement(facts *audit.FactsRecorder) (audit.Judged, error) {
	j := audit.Judged{
		Reference: c.reference(), Digest: c.digest, Decision: c.how, Unsent: c.withheld,
		Patient: c.subject.Patient, Origin: c.subject.Origin, Internal: c.subject.Internal, Labelled: c.labelled,
		Reasons: c.decision.Reasons, Cut: audit.Removed(c.resource, &c.decision),
	}
	if decided := audit.Effect(c.decision.Effect); decided != c.how {
		j.Policy = decided
	}
	if c.record != nil {
		j.Reference = versioned(c.record)
	}
	if l := c.subject.Labels; l != nil {
		j.Labels = slices.Concat(l.Sensitivity, l.Law, l.CJI)
	}
	for _, o := range c.decision.Obligations {
		j.Obligations = append(j.Obligations, string(o))
	}
	if c.question == nil {
		return j, nil
	}
	var err error
	j.Question, err = facts.Number(c.question)
	return j, err
}

// decidesBy is what every decision of an engine depends on.
func decidesBy(e *policy.Engine, labelSet string) audit.Facts {
	return audit.Facts{Laws: e.Laws(), Directory: e.Directory(), LabelSet: labelSet}
}
