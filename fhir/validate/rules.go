package validate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

// reference checks the shape of a Reference and the type it points to.
func (c *checker) reference(v resource.Node, t *typeRef, at string) {
	ref := v.Get("reference")
	s := ref.Text()
	if s == "" {
		if v.Get("_reference").Exists() || v.Get("identifier").Exists() || v.Get("display").Exists() || v.Get("extension").Exists() {
			return
		}
		c.report(v, at, outcome.CodeInvariant, "a Reference needs a reference, identifier or display")
		return
	}
	if s[0] == '#' {
		if !c.local[s] {
			c.report(ref, at+".reference", outcome.CodeInvariant, "there is no such contained resource (ref-1)")
		}
		return
	}
	typ, form := literalType(s)
	if !form {
		c.report(ref, at+".reference", outcome.CodeValue, "must be Type/id, an absolute URL, a URN or a fragment")
		return
	}
	if typ == "" {
		return
	}
	if !Covers(typ) {
		c.report(ref, at+".reference", outcome.CodeValue, "does not point to a resource type of R4")
		return
	}
	if len(t.targets) > 0 && !slices.Contains(t.targets, typ) {
		c.add(ref, at+".reference", outcome.Warning, outcome.CodeValue, "R4 does not let it point to "+typ)
	}
}

// literalType returns the type a reference names, "" for one that names none
// (a URN, a URL of another form), and whether its form is right. A conditional
// reference (Type?criteria) is what a transaction may hold.
func literalType(s string) (typ string, ok bool) {
	if strings.ContainsAny(s, " \t\r\n") {
		return "", false
	}
	if base, typ, _, ok := resource.SplitReference(s); ok {
		if base != "" { // another server's; its URL may mean something else
			return "", true
		}
		return typ, true
	}
	if typ, criteria, ok := strings.Cut(s, "?"); ok && criteria != "" && resource.ValidType(typ) {
		return typ, true
	}
	scheme, rest, ok := strings.Cut(s, ":")
	return "", ok && rest != "" && scheme != "" && !strings.ContainsAny(scheme, "/?#")
}

// invariants checks R4's rules between elements, by the name of the structure.
func (c *checker) invariants(n resource.Node, s *structure, at string) {
	has := func(names ...string) bool { return hasAny(n, names) }
	fail := func(rule, words string) { c.report(n, at, outcome.CodeInvariant, "%s (%s)", words, rule) }
	switch s.name {
	case "Extension":
		value := false
		for m := range n.Members() {
			value = value || strings.HasPrefix(m.Name(), "value") || strings.HasPrefix(m.Name(), "_value")
		}
		if value == has("extension") {
			fail("ext-1", "an extension has either a value or extensions")
		}
	case "Period":
		if start, end := n.Get("start").Text(), n.Get("end").Text(); startsAfter(start, end) {
			fail("per-1", "the start is after the end")
		}
	case "ContactPoint":
		if has("value") && !has("system") {
			fail("cpt-2", "a value needs a system")
		}
	case "Quantity", "Age", "Duration", "Count", "Distance":
		if has("code") && !has("system") {
			fail("qty-3", "a unit's code needs a system")
		}
	case "Attachment":
		if has("data") && !has("contentType") {
			fail("att-1", "data need a contentType")
		}
	default:
		c.resourceInvariants(n, s, at)
	}
}

// resourceInvariants checks those of resources and their parts.
func (c *checker) resourceInvariants(n resource.Node, s *structure, at string) {
	has := func(names ...string) bool { return hasAny(n, names) }
	fail := func(rule, words string) { c.report(n, at, outcome.CodeInvariant, "%s (%s)", words, rule) }
	switch s.name {
	case "Patient.contact":
		if !has("name", "telecom", "address", "organization") {
			fail("pat-1", "a contact needs a name, telecom, address or organization")
		}
	case "Organization":
		if !has("identifier", "name") {
			fail("org-1", "an organization needs an identifier or a name")
		}
	case "Consent":
		if !has("policy", "policyRule") {
			fail("ppc-1", "a consent needs a policy or a policyRule")
		}
	case "Observation":
		c.observation(n, at)
	case "Observation.referenceRange":
		if !has("low", "high", "text") {
			fail("obs-3", "a reference range needs a low, high or text")
		}
	case "Bundle":
		c.bundle(n, at)
	}
}

// hasAny says whether one of the members is there, be it by its extension.
func hasAny(n resource.Node, names []string) bool {
	for _, name := range names {
		if n.Get(name).Exists() || n.Get("_"+name).Exists() {
			return true
		}
	}
	return false
}

// startsAfter compares two points in time; of dates that are written to
// different precisions, what they have in common. Where a zone decides and one
// has none, it lets pass.
func startsAfter(start, end string) bool {
	if start == "" || end == "" {
		return false
	}
	if len(start) > 10 && len(end) > 10 {
		a, errA := time.Parse(time.RFC3339, start)
		b, errB := time.Parse(time.RFC3339, end)
		return errA == nil && errB == nil && a.After(b)
	}
	if n := min(len(start), len(end)); n < 10 || len(start) == len(end) {
		return start[:n] > end[:n]
	}
	return false
}

func (c *checker) observation(n resource.Node, at string) {
	value := false
	for m := range n.Members() {
		value = value || strings.HasPrefix(m.Name(), "value")
	}
	if value && n.Get("dataAbsentReason").Exists() {
		c.report(n, at, outcome.CodeInvariant, "dataAbsentReason must not stand beside a value (obs-6)")
	}
}

func (c *checker) bundle(n resource.Node, at string) {
	typ := n.Get("type").Text()
	request := typ == "batch" || typ == "transaction" || typ == "history"
	response := typ == "batch-response" || typ == "transaction-response" || typ == "history"
	if n.Get("total").Exists() && typ != "searchset" && typ != "history" {
		c.report(n.Get("total"), at+".total", outcome.CodeInvariant, "total is only for a searchset or history (bdl-1)")
	}
	i := 0
	for e := range n.All("entry") {
		here := at + ".entry[" + strconv.Itoa(i) + "]"
		i++
		if e.Get("search").Exists() && typ != "searchset" {
			c.report(e, here, outcome.CodeInvariant, "search is only for a searchset (bdl-2)")
		}
		if e.Get("request").Exists() != request {
			c.report(e, here, outcome.CodeInvariant, "request is mandatory for batch, transaction and history, prohibited otherwise (bdl-3)")
		}
		if e.Get("response").Exists() != response {
			c.report(e, here, outcome.CodeInvariant, "response is mandatory for batch-response, transaction-response and history, prohibited otherwise (bdl-4)")
		}
		if !e.Get("resource").Exists() && !e.Get("request").Exists() && !e.Get("response").Exists() {
			c.report(e, here, outcome.CodeInvariant, "an entry needs a resource, request or response (bdl-5)")
		}
	}
}
