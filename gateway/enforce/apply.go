package enforce

import (
	"errors"
	"fmt"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
)

// A Visibility says whether the caller may see what a literal reference points
// at ("Condition/1", an absolute URL, a urn:uuid). It must answer alike for
// what is hidden and what does not exist. References to contained resources
// ("#x") are not asked for. The reference may be a view of the resource's bytes:
// what is kept beyond the call is cloned.
type Visibility interface{ Visible(reference string) bool }

// A Partial is a Visibility that also knows of what the caller sees a part only:
// the display of a reference to it was written by somebody who saw the whole.
type Partial interface {
	Visibility
	Partial(reference string) bool
}

// VisibleFunc is a Visibility as a function.
type VisibleFunc func(reference string) bool

// Visible calls f.
func (f VisibleFunc) Visible(reference string) bool { return f(reference) }

// Errors of Apply. With any of them nothing is let out.
var (
	// ErrUnlabelled: the subject has no labels, so nobody judged its content.
	ErrUnlabelled = errors.New("enforce: the resource has not been labelled")
	// ErrIncomplete: the subject or the visibility is missing.
	ErrIncomplete = errors.New("enforce: the subject or what is visible is missing")
	// ErrForeignNode: the decision removes a node of another document.
	ErrForeignNode = errors.New("enforce: the decision removes what is not in the resource")
	// ErrStructure: the resource's type has no known structure, so that no
	// valid redaction of it can be told from an invalid one.
	ErrStructure = errors.New("enforce: the structure of the resource's type is unknown")
	// ErrResidue: after redaction a withheld text was still found.
	ErrResidue = errors.New("enforce: a withheld value is still in the redacted resource")
)

// An ObligationError names an obligation that could not be carried out.
type ObligationError struct {
	Obligation policy.Obligation
	Reason     string
}

func (e *ObligationError) Error() string {
	return fmt.Sprintf("enforce: obligation %q: %s", string(e.Obligation), e.Reason)
}

// A Result is what may go out. The zero Result is nothing.
type Result struct {
	// Body is the resource as the caller may see it; nil: the caller sees
	// nothing, exactly as if the resource did not exist. It may share memory
	// with the subject's bytes: do not change it.
	Body []byte
	// Form is Body as read; the subject's resource itself if nothing changed.
	Form *resource.Resource
	// Redacted says that something was removed; Body is then marked SUBSETTED.
	Redacted bool
	// Security holds the labels of what is returned, for the Bundle's high-water
	// mark (label.HighWater.AddCodes).
	Security []label.Code
	// Duties are the obligations that came with the decision, each once: what
	// enforce has carried out in Body, and what is left to audit (AOD, the
	// record of 42 CFR 2.51(c) …).
	Duties []policy.Obligation
	// Notice says that the answer owes the full notice of 42 CFR 2.32: in a
	// searchset by NoticeEntry(Scope).
	Notice bool
	// Scope explains the consent that the disclosure rests on (2.32(b)), "" if
	// it owes no such explanation.
	Scope string
	// Why says why there is no Body, for the audit: "denied" by the decision,
	// or "nothing left" after redaction. Never shown to the caller.
	Why string
}

// Apply carries out d on s. It returns the zero Result with Why set when the
// decision lets nothing out, and an error when the decision cannot be carried
// out; no bytes come with either. Effects other than Permit and Redact, known
// or not, let nothing out. What it returns lies in memory of its own or of s.
func Apply(s *policy.Subject, d policy.Decision, v Visibility) (Result, error) {
	return apply(nil, s, d, v)
}

// A Point carries out decisions one after another in memory that it uses again:
// a Result, its Body and Form included, is good until the next one. Whoever
// keeps results takes [Apply]. The zero Point is ready; it is not safe for
// concurrent use.
type Point struct {
	body, security []byte
	codes          []label.Code
	form           resource.Resource
}

// Apply is the function of the same name in p's memory: nothing is allocated for
// a resource that goes out as it is, with other labels, or not at all.
func (p *Point) Apply(s *policy.Subject, d policy.Decision, v Visibility) (Result, error) {
	return apply(p, s, d, v)
}

func apply(p *Point, s *policy.Subject, d policy.Decision, v Visibility) (Result, error) {
	if d.Effect != policy.Permit && d.Effect != policy.Redact {
		return Result{Why: "denied"}, nil
	}
	if s == nil || s.Resource == nil || v == nil {
		return Result{}, ErrIncomplete
	}
	if s.Labels == nil || s.Labels.Version == "" {
		return Result{}, ErrUnlabelled
	}
	owed, err := duties(&d)
	if err != nil {
		return Result{}, err
	}
	res, kept, err := redact(s, &d, seen(s, v))
	if errors.Is(err, errNothingLeft) {
		return Result{Why: "nothing left"}, nil
	}
	if err != nil {
		return Result{}, err
	}
	out := Result{Redacted: res != s.Resource, Duties: owed.all, Notice: owed.notice, Scope: owed.scope}
	own, changed := p.ownCodes(s.Labels, &owed, res)
	if out.Body, out.Form, err = p.mark(res, own, changed, &owed, out.Redacted); err != nil {
		return Result{}, err
	}
	out.Security = append(own, kept...)
	return out, nil
}

// seen takes for visible, beside what v says, the resource itself and the person
// it is about: whoever may have the resource knows of both.
func seen(s *policy.Subject, v Visibility) sight {
	out := sight{self: s.Resource, person: s.Patient, others: v}
	out.parts, _ = v.(Partial)
	return out
}

// A sight is what the caller may see.
type sight struct {
	self   *resource.Resource
	person string
	others Visibility
	parts  Partial // nil: it is not known
}

// Visible implements Visibility.
func (s sight) Visible(ref string) bool {
	return s.person != "" && ref == s.person || s.self.Is(ref) || s.others.Visible(ref)
}

// Partial implements Partial.
func (s sight) Partial(ref string) bool { return s.parts != nil && s.parts.Partial(ref) }

// redact returns s.Resource itself if nothing is to be removed, else the
// redacted one, with the labels of the labelled elements that stay.
func redact(s *policy.Subject, d *policy.Decision, v sight) (*resource.Resource, []label.Code, error) {
	r := s.Resource
	if len(d.Remove) == 0 && !pointsAtInvisible(r, v) {
		return r, keptCodes(s.Labels, nil), nil
	}
	t, ok := grow(r)
	if !ok {
		return nil, nil, fmt.Errorf("%w: %s", ErrStructure, r.Type())
	}
	c := &cutter{tree: t, labels: s.Labels, visible: v}
	if err := c.run(d.Remove); err != nil {
		return nil, nil, err
	}
	out, err := resource.Parse(t.bytes(r))
	if err != nil {
		return nil, nil, fmt.Errorf("enforce: the redacted resource cannot be read: %w", err)
	}
	if err := c.check(r, out); err != nil {
		return nil, nil, err
	}
	return out, keptCodes(s.Labels, t), nil
}

// keptCodes returns the labels of labelled elements that are not cut; t nil
// means that nothing is.
func keptCodes(l *label.Labels, t *tree) []label.Code {
	var codes []label.Code
	for i := range l.Elements {
		e := &l.Elements[i]
		if t != nil {
			if at, ok := t.index[e.Node]; !ok || t.elems[at].gone {
				continue
			}
		}
		codes = append(codes, e.Labels.Codes()...)
	}
	return codes
}
