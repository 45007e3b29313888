package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/parameters"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Consent/{id}/$revoke: the Consent becomes inactive, with the Provenance of who
// and when. It is in force for every request that starts after the answer.

var revokeSpec = parameters.Spec{
	{Name: "reason", Value: "valueString"},
	{Name: "how", Value: "valueCode"},
	{Name: "askedAt", Value: "valueDateTime"},
}

// revocationChannels are the ways in which a person asks for it.
var revocationChannels = []string{"in-person", "written", "phone", "text-message", "portal", "other"}

// RevocationChannels returns them.
func RevocationChannels() []string { return slices.Clone(revocationChannels) }

// readRevoke reads how and when the person asked. All of it may be left out: a
// revocation must not fail for want of a form.
func readRevoke(s *Server, x *exchange) error {
	if err := readNothing(s, x); err != nil {
		return err
	}
	set, err := s.parameters(x, revokeSpec)
	if err != nil {
		return err
	}
	x.ending = ending{activity: "ABORT", at: x.at, how: set.Text("how"), reason: set.Text("reason")}
	if how := x.ending.how; how != "" && !slices.Contains(revocationChannels, how) {
		return outcome.BadRequest(outcome.CodeCodeInvalid, "how is none of in-person, written, phone, text-message, portal, other").At(set.One("how").At)
	}
	if len(x.ending.reason) > 2000 {
		return outcome.BadRequest(outcome.CodeTooLong, "reason is longer than 2000 bytes").At(set.One("reason").At)
	}
	if set.Has("askedAt") {
		at, err := time.Parse(time.RFC3339, set.Text("askedAt"))
		if err != nil || at.After(x.at.Add(clockSkew)) {
			return outcome.BadRequest(outcome.CodeValue, "askedAt must be an instant with its zone, and not in the future").At(set.One("askedAt").At)
		}
		x.ending.at = at
	}
	match, err := precondition(x, "If-Match")
	if match != "" {
		x.version, err = matchVersion(match)
	}
	return err
}

// locateRevoked loads the newest version of the Consent.
func locateRevoked(ctx context.Context, s *Server, x *exchange) error {
	expected := x.version
	x.version = 0 // of a vread
	if err := locateStanding(ctx, s, x); err != nil {
		return err
	}
	x.version = expected
	return nil
}

// actRevoke ends the Consent, if the caller may. Who may not and does not see it
// learns nothing. Revoking what is revoked changes nothing and is no error.
func actRevoke(ctx context.Context, s *Server, x *exchange) error {
	c := x.candidates[0]
	seen := len(x.kept) == 1
	x.kept = nil
	for try := 1; ; try++ {
		if err := s.revocable(x, c); err != nil {
			if seen {
				return err
			}
			return outcome.NotFound(err)
		}
		done, err := s.revoke(ctx, x, c.record)
		if err == nil {
			x.written = done
			return s.showConsent(ctx, x, done)
		}
		if !errors.Is(err, store.ErrConflict) || try == maxTries {
			return err
		}
		if ctx, err = s.pin(ctx); err != nil { // somebody was faster: look, and judge, again
			return err
		}
		rec, err := s.o.Store.Read(ctx, c.record.Key)
		if err == nil && rec.Deleted {
			err = store.ErrNotFound
		}
		if errors.Is(err, store.ErrNotFound) {
			return outcome.NotFound(err)
		}
		if err != nil {
			return err
		}
		if c, err = s.own(rec); err != nil {
			return err
		}
	}
}

// revocable says whether the caller may end this version.
func (s *Server) revocable(x *exchange, c *candidate) error {
	if err := s.mayRevoke(x, c); err != nil {
		return err
	}
	if !x.covers(smart.Update, c.resource) {
		return beyondScope("the scopes of the token do not cover this Consent")
	}
	return nil
}

// revoke ends one version; it returns the version that is in force then.
func (s *Server) revoke(ctx context.Context, x *exchange, rec *store.Record) (*store.Record, error) {
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		return nil, err
	}
	switch r.Root().Get("status").Text() {
	case "inactive":
		return rec, nil
	case "rejected", "entered-in-error":
		return nil, outcome.Conflict("the Consent is not in force: its status is %s", r.Root().Get("status").Text())
	}
	if x.version > 0 && x.version != rec.Version {
		return nil, staleVersion(rec.Version)
	}
	ws, err := s.end(x, rec, r, x.ending)
	if err != nil {
		return nil, err
	}
	ended, err := resource.Parse(ws[0].Raw)
	if err != nil {
		return nil, err
	}
	if !x.covers(smart.Update, r, ended) {
		return nil, beyondScope("the scopes of the token do not cover this Consent")
	}
	recs, err := s.o.Store.Apply(ctx, ws)
	if err != nil {
		return nil, err
	}
	recs[0].Raw = ws[0].Raw
	return recs[0], nil
}

// mayRevoke says whether the caller may end the Consent: the organisation that
// recorded it may; a custodian whose data it opens may, and a client that passes
// on what patients revoke, unless it withholds something. To end a deny is to
// open what it withheld, so that is for its recorder alone.
func (s *Server) mayRevoke(x *exchange, c *candidate) error {
	org := x.principal.Requester.Organization
	if c.origin.Custodian == org {
		return nil
	}
	if !s.opensFor(c, org) && !s.o.Directory.PassesOnRevocations(x.principal.Client) {
		return outcome.Forbidden("a Consent is revoked by the organisation that recorded it, by the custodian whose data it opens, or for the person by a client that passes this on")
	}
	if withholds(c.resource) {
		return outcome.Forbidden("the Consent withholds something: only the organisation that recorded it can end it")
	}
	return nil
}

// opensFor says whether the organisation is a custodian whose data the Consent
// opens: it is named as one, or none is named and its recorder records for it.
func (s *Server) opensFor(c *candidate, organization string) bool {
	named := false
	for _, ref := range custodians(c.resource) {
		named = true
		if ref == organization {
			return true
		}
	}
	return !named && slices.Contains(s.o.Directory.MayGrantFor(c.origin), organization)
}

// custodians lists the literal references of provision.actor with the role CST.
func custodians(r *resource.Resource) []string {
	var out []string
	r.Root().Get("provision").Descend(func(n resource.Node) bool {
		if n.Name() != "actor" {
			return true
		}
		for a := range n.Elements() {
			for cd := range a.Get("role").All("coding") {
				if cd.Get("code").Is("CST") && terminology.SystemOf(cd.Get("system").Text()) == terminology.ParticipationType {
					out = append(out, a.Path("reference", "reference").Text())
				}
			}
		}
		return false
	})
	return out
}

// withholds says whether any rule of the Consent is not plainly a permit.
func withholds(r *resource.Resource) bool {
	root := r.Root().Get("provision")
	found := !root.Get("type").Is("permit")
	root.Descend(func(n resource.Node) bool {
		if n.Name() != "provision" || n == root {
			return true
		}
		for p := range n.Elements() {
			found = found || !p.Get("type").Is("permit")
		}
		return true
	})
	return found
}

// renderRevoked answers with the Consent as it stands, if the caller may see it.
func renderRevoked(s *Server, x *exchange) (*rest.Response, error) {
	answer, err := renderWritten(s, x)
	if err == nil && len(answer.Body) == 0 {
		answer.Status = http.StatusNoContent
	}
	return answer, err
}
