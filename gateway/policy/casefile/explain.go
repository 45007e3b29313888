package casefile

import (
	"encoding/json"
	"fmt"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/gateway/policy"
)

// An Explained is an Outcome with why it came out so, and what would change it.
type Explained struct {
	*Outcome
	Case  *Case
	Every []Explanation // one per resource, in the order of Outcome.Resources
}

// An Explanation is what there is to say about one resource beside its reasons.
type Explanation struct {
	Labels   []label.Cause
	Redacted []string // FHIRPath of what is cut for its labels
	Duties   []policy.Obligation
	Remedies []policy.Remedy
}

// Explain decides a case and explains every decision. It takes some dozens of
// decisions per resource.
func (r *Runner) Explain(c *Case) *Explained {
	e := &Explained{Outcome: r.Run(c), Case: c}
	for i := range e.Resources {
		j := &e.Resources[i]
		x := Explanation{
			Labels:   r.Labeller.Explain(j.subject.Resource, j.subject.Origin),
			Remedies: j.session.Explain(&j.subject).Remedies,
		}
		if j.Resource != nil {
			x.Duties = j.decision.Obligations
			for _, n := range j.decision.Remove {
				x.Redacted = append(x.Redacted, label.PathTo(j.subject.Resource, n))
			}
		}
		e.Every = append(e.Every, x)
	}
	return e
}

// The JSON form of an Explained.
type (
	explainedJSON struct {
		ID          string              `json:"id"`
		Description string              `json:"description,omitempty"`
		Resources   []explanationJSON   `json:"resources"`
		Obligations []policy.Obligation `json:"obligations"`
		Notices     []string            `json:"notice,omitempty"`
		Problem     string              `json:"problem,omitempty"`
	}
	explanationJSON struct {
		Reference   string              `json:"reference"`
		Decision    string              `json:"decision"`
		Reasons     []policy.Reason     `json:"reasons"`
		Labels      []causeJSON         `json:"labels,omitempty"`
		Redacted    []string            `json:"redacted,omitempty"`
		Obligations []policy.Obligation `json:"obligations,omitempty"`
		Remedies    []policy.Remedy     `json:"remedies,omitempty"`
	}
	causeJSON struct {
		Label    string `json:"label"`
		Basis    string `json:"basis"`
		Element  string `json:"element,omitempty"`
		Path     string `json:"path,omitempty"`
		System   string `json:"system,omitempty"`
		Code     string `json:"code,omitempty"`
		Set      string `json:"valueSet,omitempty"`
		SetName  string `json:"valueSetName,omitempty"`
		Version  string `json:"valueSetVersion,omitempty"`
		SetTaken string `json:"source,omitempty"`
	}
)

// JSON renders it as one line: {"id", "resources": [{"reference", "decision",
// "reasons", "labels", "redacted", "obligations", "remedies"}], "obligations",
// "notice"}.
func (e *Explained) JSON() ([]byte, error) {
	out := explainedJSON{
		ID: e.ID, Description: e.Case.Description, Obligations: e.Obligations, Notices: e.Notices, Problem: e.Problem,
		Resources: []explanationJSON{},
	}
	for i, x := range e.Every {
		j := &e.Resources[i]
		r := explanationJSON{
			Reference: j.Reference, Decision: j.Decision, Reasons: j.Reasons, Redacted: x.Redacted, Obligations: x.Duties, Remedies: x.Remedies,
		}
		for _, c := range x.Labels {
			r.Labels = append(r.Labels, causeJSON{c.Label, c.Basis, c.Element, c.Path, c.System, c.Code, c.Set, c.SetName, c.SetVersion, c.Source})
		}
		out.Resources = append(out.Resources, r)
	}
	line, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("case %s: %w", e.ID, err)
	}
	return line, nil
}
