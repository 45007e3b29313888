package gateway

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/legalbasis"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// $explain-access: why would somebody get, or not get, what the caller's own
// organisation keeps of a person? A custodian's privacy officer asks. The answer
// names the organisation's own resources, their labels, decisions, reasons and
// what would change them, and holds nothing of what is in them. What others keep
// of the person is absent, as for somebody of whom nothing is known.

// An explaining is one use of the operation.
type explaining struct {
	given    parameters.Set
	asker    *auth.Principal // whose access is explained
	treating bool            // as stated, beside what links say
	at       time.Time
	basis    *policy.LegalBasis
	glass    *policy.BreakGlass
	patient  string
	types    []string
	named    map[string]bool // references asked for; nil: all of the types
	found    []*candidate
	answer   parameters.Writer
}

// maxExplained bounds what one answer explains: each resource is decided some
// dozens of times.
const maxExplained = 100

// A registrar is a verifier that knows the registrations.
type registrar interface {
	Registered(ctx context.Context, client string) (*auth.Principal, error)
}

// mayExplain lets in who signed in with more than one factor. That it is not law
// enforcement and holds the scope was asked before.
func mayExplain(x *exchange) error {
	p := x.principal
	switch {
	case p.User.ID == "":
		return outcome.Forbidden("$explain-access is for a person: the token must name the user for whom the client asks (UDAP hl7-b2b)")
	case !p.User.MFA:
		return oneFactor("$explain-access is for a user who signed in with more than one factor: the client must assert it (amr), and be registered to be believed")
	case p.Requester.Organization == "":
		return outcome.Forbidden("the token names no organisation whose records could be explained")
	}
	return nil
}

func explainSpec(law *policy.Engine) parameters.Spec {
	return parameters.Spec{
		{Name: "patient", Value: "valueReference", Required: true},
		{Name: "resource", Value: "valueReference", Many: true},
		{Name: "type", Value: "valueCode", Many: true},
		{Name: "client", Value: "valueString"},
		{Name: "organization", Value: "valueReference"},
		{Name: "practitioner", Value: "valueReference"},
		{Name: "role", Value: "valueCoding", Many: true},
		{Name: "purpose", Value: "valueCoding", Many: true},
		{Name: "scope", Value: "valueString"},
		{Name: "treatingProvider", Value: "valueBoolean"},
		{Name: "medicalPersonnel", Value: "valueBoolean"},
		{Name: "at", Value: "valueInstant"},
		{Name: "legalBasis", Value: "part", Parts: []parameters.Param{
			{Name: "type", Value: "valueCode", Required: true},
			{Name: "covers", Value: "valueReference", Many: true},
			{Name: "attributes", Value: "part", Parts: attributeParts(law)},
		}},
		{Name: "breakGlass", Value: "part", Parts: []parameters.Param{
			{Name: "reason", Value: "valueString", Required: true},
			{Name: "consentCannotBeObtained", Value: "valueBoolean"},
		}},
	}
}

// readExplain reads whose access to what is to be explained. It touches no data.
func readExplain(s *Server, x *exchange) error {
	if err := readNothing(s, x); err != nil {
		return err
	}
	set, err := s.parameters(x, explainSpec(s.o.Policy))
	if err != nil {
		return err
	}
	if !set.Has("patient") { // no body at all
		return outcome.BadRequest(outcome.CodeRequired, "the parameter %q is missing", "patient").At("Parameters.parameter")
	}
	e := &explaining{given: set, at: x.at}
	x.explain, x.event.Query = e, explainQuery(set)
	for _, read := range []func(*Server, parameters.Set) error{e.readWhat, e.readWho(x.req.HTTP.Context()), e.readWhen} {
		if err := read(s, set); err != nil {
			return err
		}
	}
	return nil
}

// explainQuery is what the audit trail keeps of the question: whose access, and
// to what, in one line.
func explainQuery(set parameters.Set) string {
	out := url.Values{}
	for _, name := range []string{"patient", "resource", "type", "client", "organization", "practitioner", "at"} {
		if set.Has(name) {
			out[name] = set.Texts(name)
		}
	}
	for _, name := range []string{"role", "purpose"} {
		for _, v := range set.All(name) {
			out.Add(name, codeOf(name, v).String())
		}
	}
	return out.Encode()
}

// readWhat reads the resources in question.
func (e *explaining) readWhat(s *Server, set parameters.Set) error {
	v := set.One("patient")
	typ, id, ok := s.local(v.Text())
	if !ok || typ != "Patient" {
		return outcome.BadRequest(outcome.CodeValue, "patient must be a reference to a Patient of this server").At(v.At)
	}
	e.patient = "Patient/" + id
	if set.Has("resource") && set.Has("type") {
		return outcome.BadRequest(outcome.CodeInvalid, "give resource or type, not both").At(set.One("type").At)
	}
	add := func(typ string) {
		if !slices.Contains(e.types, typ) {
			e.types = append(e.types, typ)
		}
	}
	for _, v := range set.All("resource") {
		typ, id, ok := s.local(v.Text())
		if !ok || !aboutPersons(s, typ) {
			return outcome.BadRequest(outcome.CodeValue, "resource must be a reference to a person's resource on this server").At(v.At)
		}
		if e.named == nil {
			e.named = map[string]bool{}
		}
		e.named[typ+"/"+id] = true
		add(typ)
	}
	for _, v := range set.All("type") {
		if !aboutPersons(s, v.Text()) {
			return outcome.BadRequest(outcome.CodeValue, "%q is no type of resources about a person that is served here", clip(v.Text())).At(v.At)
		}
		add(v.Text())
	}
	if len(e.types) == 0 {
		for _, typ := range Served() {
			if aboutPersons(s, typ) {
				add(typ)
			}
		}
	}
	return nil
}

// local takes a reference on this server apart.
func (s *Server) local(ref string) (typ, id string, ok bool) {
	base, typ, id, ok := resource.SplitReference(ref)
	return typ, id, ok && (base == "" || base == s.o.Base) && resource.ValidID(id)
}

// aboutPersons says whether resources of a served type can be searched by patient.
func aboutPersons(s *Server, typ string) bool {
	if typ == "Patient" {
		return true
	}
	_, err := search.Parse(typ, []search.Param{{Name: "patient", Value: "Patient/x"}}, s.search)
	return err == nil && slices.Contains(Served(), typ)
}

// readWho reads the requester: a registered client, or facts.
func (e *explaining) readWho(ctx context.Context) func(*Server, parameters.Set) error {
	return func(s *Server, set parameters.Set) error { return e.requester(ctx, s, set) }
}

func (e *explaining) requester(ctx context.Context, s *Server, set parameters.Set) error {
	roles, purposes := codesOf(set, "role"), codesOf(set, "purpose")
	if !set.Has("client") {
		return e.readFacts(s, set, roles, purposes)
	}
	for _, name := range []string{"organization", "practitioner", "scope", "treatingProvider", "medicalPersonnel"} {
		if set.Has(name) {
			return outcome.BadRequest(outcome.CodeInvalid, "%s is a matter of the client's registration; give it without client", name).At(set.One(name).At)
		}
	}
	known, ok := s.o.Verifier.(registrar)
	if !ok {
		return outcome.NotSupported("registrations cannot be looked up here: give facts instead of client").At(set.One("client").At)
	}
	p, err := known.Registered(ctx, set.Text("client"))
	if err != nil {
		return outcome.Unprocessable("the client gets nothing: it is not registered, or disabled", outcome.Issue{Code: outcome.CodeNotFound, Expression: set.One("client").At}).Because(err)
	}
	own := *p
	e.asker = &own
	for _, v := range set.All("role") {
		if !slices.Contains(own.Requester.Roles, codeOf("role", v)) {
			return outcome.Unprocessable("the client is not registered for this role", outcome.Issue{Code: outcome.CodeCodeInvalid, Expression: v.At})
		}
	}
	for _, v := range set.All("purpose") {
		if !slices.Contains(own.Purposes, codeOf("purpose", v).String()) {
			return outcome.Unprocessable("the client is not registered for this purpose", outcome.Issue{Code: outcome.CodeCodeInvalid, Expression: v.At})
		}
	}
	if len(roles) > 0 {
		e.asker.Requester.Roles = roles
	}
	if len(purposes) > 0 {
		e.asker.Purposes = asTexts(purposes)
	}
	return nil
}

// readFacts makes a requester of what is stated. Its organisation decides
// whether it is police; one that is not known here counts as police.
func (e *explaining) readFacts(s *Server, set parameters.Set, roles, purposes []label.Code) error {
	if !set.Has("organization") {
		return outcome.BadRequest(outcome.CodeRequired, "whose access? give client, or organization with role, purpose and so on").At("Parameters.parameter")
	}
	typ, id, ok := s.local(set.Text("organization"))
	if !ok || typ != "Organization" {
		return outcome.BadRequest(outcome.CodeValue, "organization must be a reference to an Organization of this server").At(set.One("organization").At)
	}
	org := attribute.Reference(id)
	p := &auth.Principal{Police: s.o.Directory.Police(org), Purposes: asTexts(purposes), Scopes: smart.ParseGranted("system/*.rs")}
	p.Requester = policy.Requester{Organization: org, Roles: roles, Police: p.Police, MedicalPersonnel: set.Flag("medicalPersonnel")}
	if v := set.One("practitioner"); set.Has("practitioner") {
		typ, id, ok := s.local(v.Text())
		if !ok || typ != "Practitioner" {
			return outcome.BadRequest(outcome.CodeValue, "practitioner must be a reference to a Practitioner of this server").At(v.At)
		}
		p.Requester.Reference = "Practitioner/" + id
	}
	if set.Has("scope") {
		scopes, err := smart.ParseRequested(set.Text("scope"))
		if err != nil {
			return outcome.BadRequest(outcome.CodeValue, "scope is no list of SMART scopes").At(set.One("scope").At).Because(err)
		}
		p.Scopes = scopes.In(smart.ContextSystem, smart.ContextUser)
	}
	e.asker, e.treating = p, set.Flag("treatingProvider")
	return nil
}

// readWhen reads instant, legal basis and emergency.
func (e *explaining) readWhen(s *Server, set parameters.Set) error {
	if set.Has("at") {
		t, err := time.Parse(time.RFC3339, set.Text("at"))
		if err != nil {
			return outcome.BadRequest(outcome.CodeValue, "at must be an instant with its zone").At(set.One("at").At)
		}
		e.at = t
	}
	if v := set.One("legalBasis"); set.Has("legalBasis") {
		e.basis = &policy.LegalBasis{ID: "(stated)", Type: v.Parts.Text("type")}
		form, ok := s.o.Policy.BasisForm(e.basis.Type)
		if !ok {
			return outcome.BadRequest(outcome.CodeCodeInvalid, "there is no legal basis of this type; known are %s", strings.Join(s.o.Policy.BasisTypes(), ", ")).At(v.At)
		}
		for _, ref := range v.Parts.Texts("covers") {
			typ, id, ok := s.local(ref)
			if !ok {
				return outcome.BadRequest(outcome.CodeValue, "covers must be references to resources of this server").At(v.Parts.One("covers").At)
			}
			e.basis.Covers = append(e.basis.Covers, typ+"/"+id)
		}
		var err error
		if e.basis.Attributes, err = attributesOf(v.Parts, form); err != nil {
			return err
		}
		if issues := legalbasis.CheckAttributes(e.basis.Attributes, form); len(issues) > 0 {
			return outcome.Unprocessable("the legal basis cannot be stated so", atParameters(issues)...)
		}
	}
	if v := set.One("breakGlass"); set.Has("breakGlass") {
		e.glass = &policy.BreakGlass{Declared: true, Reason: v.Parts.Text("reason"), ConsentCannotBeObtained: v.Parts.Flag("consentCannotBeObtained")}
	}
	return nil
}

// codeOf reads a role or a purpose; a code without a system is read as in the
// configuration.
func codeOf(name string, v parameters.Value) label.Code {
	text := v.Node.Get("code").Text()
	if system := v.Node.Get("system").Text(); system != "" {
		text = system + "|" + text
	}
	if name == "role" {
		return attribute.Role(text)
	}
	return attribute.Purpose(text)
}

func codesOf(set parameters.Set, name string) []label.Code {
	var out []label.Code
	for _, v := range set.All(name) {
		out = append(out, codeOf(name, v))
	}
	return out
}

func asTexts(codes []label.Code) []string {
	var out []string
	for _, c := range codes {
		out = append(out, c.String())
	}
	return out
}
