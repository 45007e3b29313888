package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/emergency"
	"github.com/handoff-health/handoff/gateway/legalbasis"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Declaring a legal basis: Task/$declare-basis. The declaration opens nothing.
// Its answer is made of what was declared and never looks at what is known of
// the person.

// BasisLimits bound the acceptance of legal bases.
type BasisLimits struct {
	Longest     time.Duration            // how long an accepted basis may stand; 0: 30 days
	LongestOf   map[string]time.Duration // the same by type
	MaxDocument int                      // bytes of a document; 0: 256 KiB
}

// check fills in what is not said and refuses acceptances in advance that the
// law has no room for.
func (l *BasisLimits) check(s *Server) error {
	l.Longest = cmp.Or(l.Longest, 30*24*time.Hour)
	l.MaxDocument = cmp.Or(l.MaxDocument, 256<<10)
	for typ := range l.LongestOf {
		if _, ok := s.o.Policy.BasisForm(typ); !ok {
			return fmt.Errorf("gateway: legalBases.longestOf: the law has no legal basis %q; it has %s", typ, strings.Join(s.o.Policy.BasisTypes(), ", "))
		}
	}
	for _, a := range s.o.Directory.Accepts() {
		form, ok := s.o.Policy.BasisForm(a.Type)
		switch {
		case !ok:
			return fmt.Errorf("gateway: an agreement accepts %q: the law has no such legal basis; it has %s", a.Type, strings.Join(s.o.Policy.BasisTypes(), ", "))
		case legalbasis.Judged(form):
			return fmt.Errorf("gateway: an agreement accepts %q in advance, which rests on somebody's determination in the single case", a.Type)
		case form.Covers && len(a.Types) == 0:
			return fmt.Errorf("gateway: an agreement accepts %q without naming resource types", a.Type)
		}
	}
	return nil
}

func (l *BasisLimits) longest(typ string) time.Duration {
	if d, ok := l.LongestOf[typ]; ok {
		return d
	}
	return l.Longest
}

// attributeParts are the attributes that any type of basis has, as parts of the
// parameter "attributes".
func attributeParts(law *policy.Engine) []parameters.Param {
	var out []parameters.Param
	for _, typ := range law.BasisTypes() {
		form, _ := law.BasisForm(typ)
		for _, a := range form.Attributes {
			if !slices.ContainsFunc(out, func(p parameters.Param) bool { return p.Name == a.Name }) {
				out = append(out, parameters.Param{Name: a.Name, Value: "value[x]", Many: true})
			}
		}
	}
	return out
}

func declareSpec(law *policy.Engine) parameters.Spec {
	return parameters.Spec{
		{Name: "type", Value: "valueCode", Required: true},
		{Name: "custodian", Value: "valueReference", Required: true},
		{Name: "patient", Value: "valueReference", Required: true},
		{Name: "recipient", Value: "valueReference"},
		{Name: "covers", Value: "valueReference", Many: true},
		{Name: "request", Value: "valueString"},
		{Name: "attributes", Value: "part", Parts: attributeParts(law)},
		{Name: "document", Value: "valueAttachment"},
		{Name: "until", Value: "value[x]"},
		{Name: "role", Value: "valueCode", Many: true},
		{Name: "client", Value: "valueString"},
	}
}

func readDeclaration(s *Server, x *exchange) error { return s.readGiven(x, declareSpec(s.o.Policy)) }

// actDeclare files the declaration, for both sides and in one unit.
func actDeclare(ctx context.Context, s *Server, x *exchange) error {
	form, ok := s.o.Policy.BasisForm(x.given.Text("type"))
	if !ok {
		return outcome.Unprocessable("there is no such type of legal basis",
			outcome.Issue{Code: outcome.CodeCodeInvalid, Expression: x.given.One("type").At, Diagnostics: "known are " + strings.Join(s.o.Policy.BasisTypes(), ", ")})
	}
	c, err := s.declaration(x, form)
	if err != nil {
		return err
	}
	if issues := legalbasis.CheckDeclaration(c, form); len(issues) > 0 {
		return outcome.Unprocessable("the declaration cannot be taken", atParameters(issues)...)
	}
	kind := emergency.BasisDeclared
	if next, err := s.inAdvance(x, c, form); err != nil {
		return err
	} else if next != nil {
		c, kind = next, emergency.AcceptedInAdvance
	}
	f := &caseFile{Case: c, custodian: taskAt{id: s.newID()}}
	own := c.Custodian == x.principal.Requester.Organization
	var also []store.Write
	if !own {
		f.other.id = s.newID()
		n, err := s.notice(emergency.Notice{Kind: kind, Custodian: c.Custodian, About: []string{"Task/" + f.custodian.id}, At: x.at})
		if err != nil {
			return err
		}
		also = append(also, n)
	}
	x.note(c.Patient)
	return s.fileCase(ctx, x, f, also...)
}

// declaration puts the case together from what was given and who gave it.
func (s *Server) declaration(x *exchange, form policy.BasisForm) (*legalbasis.Case, error) {
	g := x.given
	p := x.principal
	c := &legalbasis.Case{
		ID: s.newID(), Type: form.Type, State: legalbasis.Requested, Recipient: p.Requester.Organization,
		Declared: legalbasis.Step{By: actor(x), At: x.at}, Roles: p.Requester.Roles, Request: strings.TrimSpace(g.Text("request")),
		Limits: limits(g),
	}
	var err error
	if c.Custodian, err = s.named(g, "custodian", "Organization"); err != nil {
		return nil, err
	}
	if c.Patient, err = s.named(g, "patient", "Patient"); err != nil {
		return nil, err
	}
	if c.Covers, err = s.allNamed(g, "covers"); err != nil {
		return nil, err
	}
	if c.Until, err = s.moment(g, "until"); err != nil {
		return nil, err
	}
	if c.Attributes, err = attributesOf(g, form); err != nil {
		return nil, err
	}
	if c.Document, err = s.documentOf(g); err != nil {
		return nil, err
	}
	return c, s.parties(x, c)
}

// parties checks who is to give what to whom: a custodian that declares a basis
// itself names the recipient, anybody else is the recipient.
func (s *Server) parties(x *exchange, c *legalbasis.Case) error {
	if o, ok := s.o.Directory.Organization(c.Custodian); !ok || o.Kind == "police" {
		return outcome.Unprocessable("custodian is no organisation that keeps health records here",
			outcome.Issue{Code: outcome.CodeNotFound, Expression: x.given.One("custodian").At, Diagnostics: "not a custodian"})
	}
	to, err := s.named(x.given, "recipient", "Organization")
	if err != nil {
		return err
	}
	wrong := func(why string) error {
		return outcome.Unprocessable("recipient does not fit", outcome.Issue{Code: outcome.CodeInvalid, Expression: x.given.One("recipient").At, Diagnostics: why})
	}
	if c.Custodian != x.principal.Requester.Organization {
		if to != "" && to != c.Recipient {
			return wrong("who declares a basis on another's records declares it for itself")
		}
		return nil
	}
	if _, ok := s.o.Directory.Organization(to); !ok {
		return wrong("a custodian that declares a basis names an organisation that gets its records")
	}
	c.Recipient, c.Roles = to, nil
	return nil
}

func limits(g parameters.Set) legalbasis.Limits {
	return legalbasis.Limits{Roles: g.Texts("role"), Client: g.Text("client")}
}

// actor is who takes a step, from the token.
func actor(x *exchange) legalbasis.Person {
	p := x.principal
	return legalbasis.Person{Organization: p.Requester.Organization, Client: p.Client, User: p.User.ID, Name: p.User.Name}
}

// attributesOf reads the attributes as policy takes them.
func attributesOf(g parameters.Set, form policy.BasisForm) (map[string]any, error) {
	parts := g.One("attributes").Parts
	out := map[string]any{}
	for _, a := range form.Attributes {
		values := parts.All(a.Name)
		if len(values) == 0 {
			continue
		}
		if a.Kind != policy.Choices && len(values) > 1 {
			return nil, outcome.BadRequest(outcome.CodeMultiple, "the attribute %q stands more than once", a.Name).At(values[1].At)
		}
		var list []any
		for _, v := range values {
			if b, ok := v.Node.Bool(); ok {
				list = append(list, b)
			} else if text := v.Text(); text != "" {
				list = append(list, text)
			} else {
				return nil, outcome.BadRequest(outcome.CodeValue, "the attribute %q must be a boolean, a text or a reference", a.Name).At(v.At)
			}
		}
		out[a.Name] = list[0]
		if a.Kind == policy.Choices {
			out[a.Name] = list
		}
	}
	if g.Has("attributes") {
		return out, unknownAttributes(parts, form)
	}
	return nil, nil
}

// unknownAttributes refuses attributes that other types have and this one has not.
func unknownAttributes(parts parameters.Set, form policy.BasisForm) error {
	var names []string
	for _, a := range form.Attributes {
		names = append(names, a.Name)
	}
	for _, name := range parts.Names() {
		if !slices.Contains(names, name) {
			return outcome.Unprocessable(form.Type+" has no attribute "+name, outcome.Issue{
				Code: outcome.CodeInvalid, Expression: parts.One(name).At, Diagnostics: "it has: " + cmp.Or(strings.Join(names, ", "), "none"),
			})
		}
	}
	return nil
}

// documentOf reads the order that was handed in.
func (s *Server) documentOf(g parameters.Set) (*legalbasis.Document, error) {
	if !g.Has("document") {
		return nil, nil
	}
	v := g.One("document")
	for m := range v.Node.Members() {
		if !slices.Contains([]string{"contentType", "data", "title", "size", "language", "creation"}, m.Name()) {
			return nil, outcome.BadRequest(outcome.CodeNotSupported, "a document is handed in whole, as data with contentType and title").At(v.At + "." + m.Name())
		}
	}
	d := &legalbasis.Document{Title: v.Node.Get("title").Text(), ContentType: v.Node.Get("contentType").Text(), Data: v.Node.Get("data").Text()}
	raw, err := base64.StdEncoding.DecodeString(d.Data)
	switch {
	case err != nil || len(raw) == 0:
		return nil, outcome.BadRequest(outcome.CodeValue, "data must be the document in base64").At(v.At + ".data")
	case len(raw) > s.o.Bases.MaxDocument:
		return nil, outcome.TooLarge("the document is larger than %d bytes", s.o.Bases.MaxDocument)
	case d.ContentType == "":
		return nil, outcome.BadRequest(outcome.CodeRequired, "a document needs its contentType").At(v.At + ".contentType")
	}
	sum := sha256.Sum256(raw)
	d.Size, d.SHA256 = len(raw), hex.EncodeToString(sum[:])
	return d, nil
}
