package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// actExplain decides for the other requester, resource by resource, and writes
// what came of it.
func actExplain(ctx context.Context, s *Server, x *exchange) error {
	e := x.explain
	e.answer.Text("at", "valueInstant", e.at.Format(time.RFC3339Nano))
	if x.incomplete {
		e.answer.Flag("incomplete", true)
	}
	st := x.people[x.person.References[0]]
	sessions := map[resource.Origin]*policy.Session{}
	names := consentNames{s: s, x: x, st: st, known: map[string]bool{}}
	for _, c := range e.found {
		var found policy.Explanation
		if st.deaf || slices.Contains(st.unheard, c.origin.System) {
			found.Decision = policy.Decision{Reasons: []policy.Reason{{Rule: "consent/unheard", Effect: "deny", Detail: "a system that keeps Consents did not answer"}}}
		} else {
			session := sessions[c.origin]
			if session == nil {
				session = s.o.Policy.Begin(e.question(s, x, st, c.origin))
				sessions[c.origin] = session
			}
			found = session.Explain(&c.subject)
		}
		part, err := e.resource(ctx, s, c, &found, &names)
		if err != nil {
			return err
		}
		e.answer.Part("resource", part)
	}
	return nil
}

// question is what the other requester's request would be decided on, put
// together as for a request of its own.
func (e *explaining) question(s *Server, x *exchange, st *standing, o resource.Origin) *policy.Request {
	as := s.begin(x.req)
	as.principal, as.at, as.people, as.levels = e.asker, e.at, x.people, workforce
	q := s.question(as, st, o)
	q.Scopes = slices.Clone(q.Scopes)
	for i := range q.Scopes { // a search is covered by s, and with it what it finds
		if q.Scopes[i].Permissions&smart.Search != 0 {
			q.Scopes[i].Permissions |= smart.Read
		}
	}
	q.Requester.TreatingProvider = q.Requester.TreatingProvider || e.treating
	if e.basis != nil {
		q.LegalBases = append(slices.Clip(slices.Clone(q.LegalBases)), e.basis)
	}
	if e.glass != nil {
		q.BreakGlass = e.glass
	}
	return q
}

// resource writes what is found about one resource.
func (e *explaining) resource(ctx context.Context, s *Server, c *candidate, found *policy.Explanation, names *consentNames) (*parameters.Writer, error) {
	w := &parameters.Writer{}
	d := &found.Decision
	reference(w, "reference", c.reference())
	w.Text("decision", "valueCode", d.Effect.String())
	for _, cause := range s.o.Labeller.Explain(c.resource, c.origin) {
		w.Part("label", labelled(cause))
	}
	for _, r := range d.Reasons {
		p, err := reason(ctx, r, names)
		if err != nil {
			return nil, err
		}
		w.Part("reason", p)
	}
	for _, o := range d.Obligations {
		w.Text("obligation", "valueString", string(o))
	}
	for _, n := range d.Remove {
		w.Text("redacted", "valueString", label.PathTo(c.resource, n))
	}
	for _, r := range found.Remedies {
		p, err := remedy(ctx, r, names)
		if err != nil {
			return nil, err
		}
		w.Part("remedy", p)
	}
	return w, nil
}

func reference(w *parameters.Writer, name, ref string) {
	w.Raw(name, "valueReference", []byte(`{"reference":`+string(resource.Quote(ref))+`}`))
}

// optional writes a text that is not empty.
func optional(w *parameters.Writer, name, value, text string) {
	if text != "" {
		w.Text(name, value, text)
	}
}

// labelled says what label stands there and how it follows; the code that it
// follows from, and what the value set is called, stay out.
func labelled(c label.Cause) *parameters.Writer {
	w := &parameters.Writer{}
	w.Text("code", "valueCode", c.Label)
	w.Text("basis", "valueCode", c.Basis)
	optional(w, "element", "valueString", c.Element)
	optional(w, "path", "valueString", c.Path)
	optional(w, "valueSet", "valueString", c.Set)
	optional(w, "valueSetVersion", "valueString", c.SetVersion)
	return w
}

func reason(ctx context.Context, r policy.Reason, names *consentNames) (*parameters.Writer, error) {
	w := &parameters.Writer{}
	w.Text("rule", "valueString", r.Rule)
	w.Text("effect", "valueCode", r.Effect)
	optional(w, "pack", "valueString", r.Pack)
	optional(w, "citation", "valueString", r.Citation)
	shown, err := names.consent(ctx, w, r.Consent)
	if err != nil {
		return nil, err
	}
	if shown {
		optional(w, "path", "valueString", r.Path)
	}
	optional(w, "legalBasis", "valueString", r.Basis)
	optional(w, "detail", "valueString", r.Detail)
	return w, nil
}

func remedy(ctx context.Context, r policy.Remedy, names *consentNames) (*parameters.Writer, error) {
	w := &parameters.Writer{}
	w.Flag("opens", r.Opens)
	w.Text("effect", "valueCode", r.Effect)
	for _, c := range r.Changes {
		p := &parameters.Writer{}
		p.Text("code", "valueCode", string(c.Code))
		shown, err := names.consent(ctx, p, c.Consent)
		if err != nil {
			return nil, err
		}
		detail := c.Detail
		if c.Consent != "" && !shown {
			detail = strings.ReplaceAll(detail, c.Consent, "a Consent on file elsewhere")
		}
		p.Text("detail", "valueString", detail)
		optional(p, "scope", "valueString", c.Scope)
		optional(p, "purpose", "valueString", c.Purpose)
		optional(p, "legalBasis", "valueString", c.Basis)
		for _, n := range c.Needs {
			p.Text("needs", "valueString", n)
		}
		if c.At != nil {
			p.Text("at", "valueInstant", c.At.Format(time.RFC3339Nano))
		}
		if c.Draft != nil {
			p.Resource("draft", c.Draft)
		}
		w.Part("change", p)
	}
	return w, nil
}

// consentNames says which Consents the answer may name: those that the caller
// could read, scopes apart. Another is spoken of without a name, because who
// keeps a Consent of the person is news.
type consentNames struct {
	s     *Server
	x     *exchange
	st    *standing
	known map[string]bool
}

// consent writes the name of a Consent; shown says whether it could.
func (n *consentNames) consent(ctx context.Context, w *parameters.Writer, name string) (shown bool, err error) {
	if name == "" {
		return true, nil
	}
	may, ok := n.known[name]
	if !ok {
		if may, err = n.mayRead(ctx, name); err != nil {
			return false, err
		}
		n.known[name] = may
	}
	if may {
		reference(w, "consent", name)
	} else {
		w.Flag("consentElsewhere", true)
	}
	return may, nil
}

func (n *consentNames) mayRead(ctx context.Context, name string) (bool, error) {
	_, typ, id, ok := resource.SplitReference(name)
	if !ok || typ != "Consent" {
		return false, nil
	}
	if key, _, opaque, err := n.s.resolved(ctx, id); err != nil || opaque {
		return err == nil && n.s.keeps(n.x, key), err
	}
	rec, err := n.s.o.Store.ReadVersion(ctx, store.Key{Type: "Consent", ID: id}, versionIn(name))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c, err := n.s.own(rec)
	if err != nil {
		return false, err
	}
	if c.origin.Custodian == n.x.principal.Requester.Organization {
		return true, nil
	}
	q := n.s.question(n.x, n.st, c.origin)
	q.Scopes = smart.ParseGranted("system/Consent.rs")
	return n.s.o.Policy.Begin(q).Decide(&c.subject).Effect == policy.Permit, nil
}

// resolved finds the system of an opaque id.
func (s *Server) resolved(ctx context.Context, id string) (system, remote string, opaque bool, err error) {
	if !s.o.IDs.IsOpaque(id) {
		return "", "", false, nil
	}
	system, remote, _, err = s.o.IDs.Resolve(ctx, "Consent", id)
	return system, remote, true, err
}

// versionIn is the version that a reference names, 0 if none.
func versionIn(ref string) int64 {
	_, v, _ := strings.Cut(ref, "/_history/")
	n, _ := strconv.ParseInt(v, 10, 64) // no number: no version has it
	return n
}

// renderExplain hands the answer out.
func renderExplain(_ *Server, x *exchange) (*rest.Response, error) {
	return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: x.explain.answer.Bytes()}, nil
}
