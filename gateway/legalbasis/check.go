package legalbasis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Bounds of what a case holds.
const (
	maxCovers = 200
	maxText   = 4000 // bytes of a text
	maxList   = 50   // values of one attribute
)

// custodians are the attributes that only the custodian can state: its own
// determinations, and that it was the one who came forward (45 CFR
// 164.512(j)(1)(i), (f)(3)(ii)(C); 42 CFR 2.12(c)(5)).
var custodians = []string{"attestedBy", "attestedAt", "bestInterestDetermined", "initiatedBy"}

// CustodianStates says whether an attribute is the custodian's to state.
func CustodianStates(attribute string) bool { return slices.Contains(custodians, attribute) }

// Judged says whether a type rests on something only the custodian can state in
// the single case: such a basis cannot be accepted in advance.
func Judged(form policy.BasisForm) bool {
	return form.Judged || slices.ContainsFunc(form.Attributes, func(a policy.BasisAttribute) bool { return CustodianStates(a.Name) })
}

// A fault is one thing that is wrong, at a parameter.
func fault(at, format string, args ...any) outcome.Issue {
	return outcome.Issue{Code: outcome.CodeInvalid, Expression: at, Diagnostics: fmt.Sprintf(format, args...)}
}

// CheckDeclaration lists what is wrong with a case that is to be declared, for
// the form of its type. It does not ask whether the basis will suffice: part of
// it is the custodian's to state.
func CheckDeclaration(c *Case, form policy.BasisForm) []outcome.Issue {
	var out []outcome.Issue
	if c.Recipient == c.Custodian {
		out = append(out, fault("custodian", "an organisation needs no legal basis for its own records"))
	}
	comesForward := slices.ContainsFunc(form.Attributes, func(a policy.BasisAttribute) bool { return a.Name == "initiatedBy" })
	if comesForward && c.Declared.By.Organization != c.Custodian {
		out = append(out, fault("type", "%s is for the custodian itself to declare: it comes forward", c.Type))
	}
	switch {
	case !form.Covers && len(c.Covers) > 0:
		out = append(out, fault("covers", "%s reaches certain elements, not resources that somebody names", c.Type))
	case form.Covers && len(c.Covers) == 0 && strings.TrimSpace(c.Request) == "":
		out = append(out, fault("covers", "say what it names: covers, or request in words"))
	}
	out = append(out, checkCovers(c.Covers)...)
	out = append(out, c.Limits.check()...)
	if len(c.Request) > maxText {
		out = append(out, fault("request", "is longer than %d bytes", maxText))
	}
	out = append(out, checkAttributes(c.Attributes, form, c.Declared.By.Organization == c.Custodian)...)
	if !c.Until.IsZero() && !c.Until.After(c.Declared.At) {
		out = append(out, fault("until", "has passed already"))
	}
	return out
}

// CheckAcceptance lists what is wrong with what the custodian determines. longest
// is how long a basis of this type may stand.
func CheckAcceptance(c *Case, a *Acceptance, form policy.BasisForm, longest time.Duration) []outcome.Issue {
	var out []outcome.Issue
	switch {
	case !form.Covers && len(a.Covers) > 0:
		out = append(out, fault("covers", "%s reaches certain elements, not resources that somebody names", c.Type))
	case form.Covers && len(a.Covers)+len(a.Types) == 0:
		out = append(out, fault("covers", "name exactly the resources that may go"))
	}
	out = append(out, checkCovers(a.Covers)...)
	out = append(out, a.Limits.check()...)
	out = append(out, checkAttributes(a.Attributes, form, true)...)
	if text, _ := a.Attributes["attestedBy"].(string); text != "" && local(text) == c.Recipient {
		out = append(out, fault("attributes.attestedBy", "is the recipient itself; the determination is the custodian's"))
	}
	if text, ok := a.Attributes["initiatedBy"].(string); ok && local(text) != c.Custodian {
		out = append(out, fault("attributes.initiatedBy", "is not the custodian"))
	}
	switch {
	case !a.ValidUntil.After(a.At):
		out = append(out, fault("validUntil", "has passed already"))
	case a.ValidUntil.Sub(a.At) > longest:
		out = append(out, fault("validUntil", "is more than %s away, the longest that %s may stand here", longest, c.Type))
	case !c.Until.IsZero() && a.ValidUntil.After(c.Until):
		out = append(out, fault("validUntil", "is later than the declarer needs it"))
	}
	if len(a.Note) > maxText {
		out = append(out, fault("note", "is longer than %d bytes", maxText))
	}
	return out
}

func (l *Limits) check() []outcome.Issue {
	var out []outcome.Issue
	for _, r := range l.Roles {
		if !slices.Contains(terminology.ActorRoles(), r) {
			out = append(out, fault("role", "%.40q is no role; known are %s", r, strings.Join(terminology.ActorRoles(), ", ")))
		}
	}
	return out
}

func checkCovers(covers []string) []outcome.Issue {
	var out []outcome.Issue
	if len(covers) > maxCovers {
		return append(out, fault("covers", "names more than %d resources", maxCovers))
	}
	for i, ref := range covers {
		if _, _, _, ok := resource.SplitReference(ref); !ok {
			out = append(out, fault(fmt.Sprintf("covers[%d]", i), "is not Type/id"))
		}
	}
	return out
}

// CheckAttributes lists what is wrong with attributes as they stand once the
// custodian has accepted the basis.
func CheckAttributes(attributes map[string]any, form policy.BasisForm) []outcome.Issue {
	return checkAttributes(attributes, form, true)
}

// checkAttributes compares attributes with the form. That a statement is false
// is a statement too: whether it suffices is not asked here.
func checkAttributes(attributes map[string]any, form policy.BasisForm, custodian bool) []outcome.Issue {
	var out []outcome.Issue
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		at := "attributes." + name
		i := slices.IndexFunc(form.Attributes, func(a policy.BasisAttribute) bool { return a.Name == name })
		switch {
		case i < 0:
			out = append(out, fault(at, "%s has no such attribute; it has %s", form.Type, names(form)))
		case !custodian && CustodianStates(name):
			out = append(out, fault(at, "is the custodian's to state when it accepts"))
		default:
			if why := misfit(attributes[name], form.Attributes[i]); why != "" {
				out = append(out, fault(at, "%s", why))
			}
		}
	}
	return out
}

func names(form policy.BasisForm) string {
	var out []string
	for _, a := range form.Attributes {
		out = append(out, a.Name)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// misfit says why a value cannot be one of this attribute; "" if it can.
func misfit(v any, a policy.BasisAttribute) string {
	switch a.Kind {
	case policy.Flag:
		if _, ok := v.(bool); !ok {
			return "must be true or false"
		}
		return ""
	case policy.Choices:
		list, ok := v.([]any)
		if !ok || len(list) == 0 || len(list) > maxList {
			return fmt.Sprintf("must be 1 to %d codes", maxList)
		}
		for _, e := range list {
			if text, ok := e.(string); !ok || !slices.Contains(a.Values, text) {
				return "must be among " + strings.Join(a.Values, ", ")
			}
		}
		return ""
	}
	text, ok := v.(string)
	switch {
	case !ok:
		return "must be one text"
	case strings.TrimSpace(text) == "" || len(text) > maxText || !utf8.ValidString(text):
		return fmt.Sprintf("must be a text of 1 to %d bytes", maxText)
	case a.Kind == policy.Choice && !slices.Contains(a.Values, text):
		return "must be one of " + strings.Join(a.Values, ", ")
	case a.Kind == policy.ReferenceValue:
		if _, _, _, ok := resource.SplitReference(text); !ok {
			return "must be a reference, Type/id"
		}
	case a.Kind == policy.Instant:
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return "must be an instant with its zone"
		}
	}
	return ""
}

func local(ref string) string {
	if _, typ, id, ok := resource.SplitReference(ref); ok {
		return typ + "/" + id
	}
	return ref
}
