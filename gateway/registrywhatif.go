package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/consentform"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/whatif"
)

// Consent/$what-if, and the same analysis of a Consent that is written, by
// Prefer: return=OperationOutcome. It works on the Consent that was sent, the
// configuration and made-up samples; nothing of a person is read.

// prefers says whether the caller asks for this in Prefer (RFC 7240).
func prefers(x *exchange, what string) bool {
	for _, header := range x.req.HTTP.Header.Values("Prefer") {
		for p := range strings.FieldsFuncSeq(header, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
			if strings.EqualFold(p, what) {
				return true
			}
		}
	}
	return false
}

// whatIfSpec is the one parameter of the operation. FHIR lets a resource that is
// the only parameter be the body itself; that is how it is taken.
var whatIfSpec = parameters.Spec{{Name: "resource", Value: "resource", Required: true}}

// readWhatIf reads the Consent. What is wrong with it is the answer, so it is
// not refused for that.
func readWhatIf(s *Server, x *exchange) error {
	if err := readNothing(s, x); err != nil {
		return err
	}
	var err error
	if x.body, err = s.sent(x); err != nil {
		return err
	}
	if x.body.Type() != "Consent" {
		return outcome.BadRequest(outcome.CodeInvalid, "the body is a %s and must be a Consent", x.body.Type()).At("resourceType")
	}
	if len(x.body.Raw()) > whatif.MaxBytes {
		return outcome.TooLarge("a Consent of more than %d bytes is not tried", whatif.MaxBytes)
	}
	return nil
}

// renderWhatIf answers with what is wrong and what would open.
func renderWhatIf(s *Server, x *exchange) (*rest.Response, error) {
	origin, ok := s.o.Directory.ClientOrigin(x.principal.Client)
	if !ok {
		return nil, errors.New("the client is not in the directory")
	}
	ms, err := s.foresee(x.body, x, origin)
	if err != nil {
		return nil, err
	}
	var w parameters.Writer
	w.Resource("outcome", outcome.Bytes(s.issues(x, ms)...))
	for _, e := range consentform.Elements(x.body) {
		var part parameters.Writer
		part.Text("name", "valueCode", e.Name)
		part.Text("state", "valueCode", string(e.State))
		part.Text("citation", "valueString", e.Citation)
		part.Text("means", "valueString", e.Means)
		w.Part("element", &part)
	}
	for _, m := range ms {
		for _, r := range m.Rows {
			part, err := rowPart(m.Custodian, r)
			if err != nil {
				return nil, err
			}
			w.Part("requester", part)
		}
	}
	return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: w.Bytes()}, nil
}

func rowPart(custodian string, r whatif.Row) (*parameters.Writer, error) {
	var part parameters.Writer
	part.Text("kind", "valueCode", r.Requester)
	part.Text("title", "valueString", r.Title)
	if r.As != "" {
		part.Text("as", "valueString", r.As)
	}
	part.Text("custodian", "valueString", custodian)
	for _, c := range r.Cells {
		var cell parameters.Writer
		cell.Text("class", "valueCode", c.Class)
		cell.Text("without", "valueCode", c.Without)
		cell.Text("with", "valueCode", c.With)
		cell.Flag("changed", c.Changed)
		reason, err := json.Marshal(c.Reason)
		if err != nil {
			return nil, err
		}
		cell.Text("reason", "valueString", string(bytes.TrimSpace(reason)))
		part.Part("data", &cell)
	}
	return &part, nil
}

// foresee tries the Consent as it counts when this client records it.
func (s *Server) foresee(r *resource.Resource, x *exchange, origin resource.Origin) ([]whatif.Matrix, error) {
	custodians := s.o.Directory.MayGrantFor(origin)
	return whatif.Foresee(r, whatif.Options{
		At: x.at, Engine: s.o.Policy, Labeller: s.o.Labeller, Directory: s.o.Directory, Custodians: custodians,
		Source: func(custodian, requester string) consent.Source {
			return consent.Source{
				Base: s.o.Base, Recorder: origin.Custodian, Ceiling: attribute.Ceiling(origin),
				Entitled: slices.Contains(custodians, custodian) && attribute.MayFavour(origin, custodian, requester),
			}
		},
	})
}

// issues are the findings about the Consent that was sent, and in words what it
// changes.
func (s *Server) issues(x *exchange, ms []whatif.Matrix) []outcome.Issue {
	out := validate.Outcomes(validate.Resource(x.body))
	for _, f := range consentform.Lint(x.body, consentform.Options{At: x.at.In(s.zone())}) {
		out = append(out, f.Issue())
	}
	for _, line := range whatif.Say(ms) {
		out = append(out, outcome.Issue{Severity: outcome.Information, Code: outcome.CodeInformation, Details: "what-if", Diagnostics: line, Expression: "Consent"})
	}
	return out
}

// analysed is the OperationOutcome about a Consent that was written.
func (s *Server) analysed(x *exchange, origin resource.Origin) ([]byte, error) {
	ms, err := s.foresee(x.body, x, origin)
	switch {
	case errors.Is(err, whatif.ErrTooLarge):
		ms = nil
	case err != nil:
		return nil, err
	}
	return outcome.Bytes(s.issues(x, ms)...), nil
}
