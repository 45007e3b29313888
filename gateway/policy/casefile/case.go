package casefile

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A Case is one decision case.
type Case struct {
	ID          string
	Description string
	Semantics   string
	Consents    []*consent.Consent
	Resources   []*resource.Resource
	Request     policy.Request
	Interaction Interaction
	Facts       Facts
	Expected    *Expected // nil if the case says nothing
}

// An Interaction is how the resources are asked for.
type Interaction struct {
	Type  string // "read" or "search"
	Query string // "Condition?patient=p1"; "" asks for all
}

// A PlaceError says where a case cannot be read.
type PlaceError struct {
	Case         string // its id, "" if it has none
	Line, Column int    // in the file, from 1
	Place        string // "request.purpose[0]"
	Err          error
}

func (e *PlaceError) Error() string {
	at := fmt.Sprintf("%d:%d: ", e.Line, e.Column)
	if e.Case != "" {
		at += "case " + e.Case + ": "
	}
	if e.Place != "" {
		at += e.Place + ": "
	}
	return at + e.Err.Error()
}

func (e *PlaceError) Unwrap() error { return e.Err }

// Read reads a file of one case or an array of cases. A case that cannot be
// read gives an error and leaves the others; an error about the whole file
// comes alone.
func Read(raw []byte) ([]*Case, []error) {
	raw = trimBOM(raw)
	doc, err := resource.ParseDocument(raw)
	if err != nil {
		return nil, []error{err}
	}
	root := doc.Root()
	if root.Kind() != resource.Object && root.Kind() != resource.Array {
		return nil, []error{&PlaceError{Line: 1, Column: 1, Err: fmt.Errorf("a case file holds a case or an array of cases")}}
	}
	var cases []*Case
	var errs []error
	i := 0
	for n := range root.Elements() {
		r := reader{raw: raw, id: n.Get("id").Text()}
		if c := r.read(n); r.err == nil {
			cases = append(cases, c)
		} else {
			errs = append(errs, r.err)
		}
		i++
	}
	if i == 0 {
		errs = append(errs, &PlaceError{Line: 1, Column: 1, Err: fmt.Errorf("the file holds no case")})
	}
	return cases, errs
}

func trimBOM(raw []byte) []byte {
	if len(raw) >= 3 && raw[0] == 0xEF && raw[1] == 0xBB && raw[2] == 0xBF {
		return raw[3:]
	}
	return raw
}

// A reader reads one case and keeps the first error.
type reader struct {
	raw []byte
	id  string
	err error
}

func (r *reader) fail(n resource.Node, place, format string, args ...any) {
	if r.err != nil {
		return
	}
	start, _ := n.Span()
	before := string(r.raw[:start])
	r.err = &PlaceError{
		Case: r.id, Line: 1 + strings.Count(before, "\n"), Column: start - strings.LastIndexByte(before, '\n'),
		Place: place, Err: fmt.Errorf(format, args...),
	}
}

// expect reports a value that is there and of another kind. null is absent.
func (r *reader) expect(n resource.Node, place string, kinds ...resource.Kind) resource.Node {
	if !n.Exists() || n.Kind() == resource.Null {
		return resource.Node{}
	}
	for _, k := range kinds {
		if n.Kind() == k {
			return n
		}
	}
	r.fail(n, place, "the value has the wrong kind")
	return n
}

func (r *reader) object(n resource.Node, place string) resource.Node {
	return r.expect(n, place, resource.Object)
}
func (r *reader) list(n resource.Node, place string) resource.Node {
	return r.expect(n, place, resource.Array)
}
func (r *reader) text(n resource.Node, place string) string {
	return r.expect(n, place, resource.String).Text()
}
func (r *reader) flag(n resource.Node, place string) bool {
	v, _ := r.expect(n, place, resource.True, resource.False).Bool()
	return v
}

func (r *reader) texts(n resource.Node, place string) []string {
	var out []string
	for e := range r.list(n, place).Elements() {
		if e.Kind() != resource.String {
			r.fail(e, place, "an entry is not a text")
		}
		out = append(out, e.Text())
	}
	return out
}

func (r *reader) read(n resource.Node) *Case {
	if n.Kind() != resource.Object {
		r.fail(n, "", "a case is an object")
		return nil
	}
	c := &Case{ID: r.id, Description: n.Get("description").Text(), Semantics: n.Get("semantics").Text()}
	if c.ID == "" {
		r.fail(n, "id", "is missing")
	}
	r.consents(c, n)
	r.resources(c, n)
	r.request(c, r.object(n.Get("request"), "request"))
	r.facts(c, n)
	if !n.Get("request").Exists() {
		r.fail(n, "request", "is missing")
	}
	if e := n.Get("expected"); e.Exists() {
		c.Expected = r.expected(e)
	}
	return c
}

func (r *reader) consents(c *Case, n resource.Node) {
	i := 0
	for e := range r.list(n.Get("consents"), "consents").Elements() {
		place := fmt.Sprintf("consents[%d]", i)
		res, err := resource.Parse(e.Raw())
		switch {
		case err != nil:
			r.fail(e, place, "%w", err)
		case res.Type() != "Consent":
			r.fail(e, place, "a %s is no Consent", res.Type())
		default:
			c.Consents = append(c.Consents, consent.Parse(res, consent.Source{Entitled: true}))
		}
		i++
	}
}

func (r *reader) resources(c *Case, n resource.Node) {
	seen := map[string]bool{}
	i := 0
	for e := range r.list(n.Get("resources"), "resources").Elements() {
		place := fmt.Sprintf("resources[%d]", i)
		i++
		res, err := resource.Parse(e.Raw())
		switch {
		case err != nil:
			r.fail(e, place, "%w", err)
			continue
		case res.ID() == "":
			r.fail(e, place, "the resource has no id")
		case seen[res.Reference()]:
			r.fail(e, place, "%s stands there twice", res.Reference())
		}
		seen[res.Reference()] = true
		c.Resources = append(c.Resources, res)
	}
}

func (r *reader) request(c *Case, n resource.Node) {
	q := &c.Request
	at := r.text(n.Get("at"), "request.at")
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		r.fail(n, "request.at", "%q is no instant with an offset", at)
	}
	q.At = t
	q.Action = r.text(n.Get("action"), "request.action")
	r.actor(&q.Requester, r.object(n.Get("actor"), "request.actor"))
	q.Requester.Roles = r.codings(n.Get("role"), "request.role")
	q.Purposes = r.codings(n.Get("purpose"), "request.purpose")
	q.Scopes = smart.ParseGranted(strings.Join(r.texts(n.Get("scopes"), "request.scopes"), " "))
	r.agreements(c, n.Get("agreements"))
	q.OwnRecords = r.flag(n.Get("ownRecords"), "request.ownRecords")
	switch d := r.text(n.Get("direction"), "request.direction"); d {
	case "", "bh-to-police":
	case "police-to-bh":
		q.Direction = policy.PoliceToHealth
	default:
		r.fail(n.Get("direction"), "request.direction", "%q is no direction", d)
	}
	q.BreakGlass = r.breakGlass(r.object(n.Get("breakGlass"), "request.breakGlass"))
	q.Jurisdiction = r.text(n.Get("jurisdiction"), "request.jurisdiction")
	if q.Jurisdiction != "" && !policy.ValidJurisdiction(q.Jurisdiction) {
		r.fail(n.Get("jurisdiction"), "request.jurisdiction", "%q is no jurisdiction such as US or US-TX", q.Jurisdiction)
	}
	r.legalBases(q, n)
	r.interaction(c, r.object(n.Get("interaction"), "request.interaction"))
	r.cache(r.object(n.Get("cache"), "request.cache"))
}

func (r *reader) actor(a *policy.Requester, n resource.Node) {
	a.Reference = r.text(n.Get("reference"), "request.actor.reference")
	a.Organization = r.text(n.Get("organization"), "request.actor.organization")
	a.CareTeams = r.texts(n.Get("careTeams"), "request.actor.careTeams")
	a.Groups = r.texts(n.Get("groups"), "request.actor.groups")
	a.Networks = r.texts(n.Get("networks"), "request.actor.networks")
	a.TreatingProvider = r.flag(n.Get("treatingProvider"), "request.actor.treatingProvider")
	a.MedicalPersonnel = r.flag(n.Get("medicalPersonnel"), "request.actor.medicalPersonnel")
	for e := range r.list(n.Get("identifier"), "request.actor.identifier").Elements() {
		a.Identifiers = append(a.Identifiers, policy.Identifier{System: e.Get("system").Text(), Value: e.Get("value").Text()})
	}
}

func (r *reader) codings(n resource.Node, place string) []label.Code {
	var out []label.Code
	for e := range r.list(n, place).Elements() {
		c := label.Code{System: e.Get("system").Text(), Code: e.Get("code").Text()}
		if c.Code == "" {
			r.fail(e, place, "a Coding without a code")
		}
		out = append(out, c)
	}
	return out
}

func (r *reader) breakGlass(n resource.Node) *policy.BreakGlass {
	if n.Kind() != resource.Object {
		return nil
	}
	return &policy.BreakGlass{
		Declared:                r.flag(n.Get("declared"), "request.breakGlass.declared"),
		Reason:                  r.expect(n.Get("reason"), "request.breakGlass.reason", resource.String).Text(),
		ConsentCannotBeObtained: r.flag(n.Get("consentCannotBeObtained"), "request.breakGlass.consentCannotBeObtained"),
	}
}

// legalBases reads "legalBasis", which is one, and "legalBases", which are any
// number.
func (r *reader) legalBases(q *policy.Request, n resource.Node) {
	if b := r.legalBasis(r.object(n.Get("legalBasis"), "request.legalBasis"), "request.legalBasis"); b != nil {
		q.LegalBases = append(q.LegalBases, b)
	}
	i := 0
	for e := range r.list(n.Get("legalBases"), "request.legalBases").Elements() {
		place := fmt.Sprintf("request.legalBases[%d]", i)
		if e.Kind() != resource.Object {
			r.fail(e, place, "a legal basis is an object")
		}
		if b := r.legalBasis(e, place); b != nil {
			q.LegalBases = append(q.LegalBases, b)
		}
		i++
	}
}

// legalBasis takes the basis as it is: what is missing or wrong in it makes it
// void, which is policy's to say.
func (r *reader) legalBasis(n resource.Node, place string) *policy.LegalBasis {
	if n.Kind() != resource.Object {
		return nil
	}
	b := &policy.LegalBasis{ID: n.Get("id").Text(), Type: n.Get("type").Text(), AcceptedBy: r.text(n.Get("acceptedBy"), place+".acceptedBy"), Attributes: map[string]any{}}
	for m := range n.Members() {
		name := m.Name()
		switch name {
		case "id", "type", "covers", "acceptedBy":
			continue
		}
		var v any
		if err := json.Unmarshal(m.Raw(), &v); err != nil {
			r.fail(m, place+"."+name, "%w", err)
		}
		if ref, ok := v.(map[string]any); ok { // a Reference stands for its text
			v = ref["reference"]
		}
		b.Attributes[name] = v
	}
	for e := range n.All("covers") {
		if e.Kind() == resource.Object {
			e = e.Get("reference")
		}
		b.Covers = append(b.Covers, e.Text())
	}
	return b
}

func (r *reader) interaction(c *Case, n resource.Node) {
	c.Interaction = Interaction{Type: "search", Query: strings.TrimPrefix(r.text(n.Get("query"), "request.interaction.query"), "/")}
	switch t := r.text(n.Get("type"), "request.interaction.type"); t {
	case "":
	case "read", "search":
		c.Interaction.Type = t
	case "vread":
		c.Interaction.Type = "read"
	case "search-type", "search-system":
		c.Interaction.Type = "search"
	default:
		r.fail(n.Get("type"), "request.interaction.type", "%q is neither read nor search", t)
	}
	// GET and POST mean the same; another method is none of a read or search.
	switch m := r.text(n.Get("method"), "request.interaction.method"); m {
	case "", "GET", "POST":
	default:
		r.fail(n.Get("method"), "request.interaction.method", "%q is neither GET nor POST", m)
	}
}

// cache reads what a cache would hold. A decision in it is never taken over:
// one older than the newest Consent may not be, and of one that is not, the
// same is found by deciding.
func (r *reader) cache(n resource.Node) {
	for _, name := range [...]string{"previousDecisionAt", "consentLastUpdated"} {
		v := n.Get(name)
		if v.Kind() == resource.Null || !v.Exists() {
			continue
		}
		if _, err := time.Parse(time.RFC3339, v.Text()); err != nil {
			r.fail(v, "request.cache."+name, "is no instant")
		}
	}
}
