package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/emergency"
)

// Records that the gateway itself keeps for an organisation: declarations and
// acceptances, records of emergencies, reviews, notices. They are resources of
// the own store like any other, and policy lets nobody but the organisation see
// them (policy.Subject.Internal).

// internalPrefix marks the Origin.System of such a record. No system of the
// configuration has a key like it.
const internalPrefix = "gateway/"

// What keeps them.
const (
	basisRecords     = internalPrefix + "legal-basis"
	emergencyRecords = internalPrefix + "emergency"
)

func isInternal(o resource.Origin) bool { return strings.HasPrefix(o.System, internalPrefix) }

// keptHere says whether resources of the type are the gateway's own business:
// connected systems are not asked for them.
func keptHere(typ string) bool { return typ == "Task" || typ == "Communication" }

// Index entries by which the gateway finds its records again. They are no search
// parameters: no caller can ask by them.
const (
	indexCase    = "gateway-case"     // id of a case, of its Tasks
	indexInForce = "gateway-in-force" // a Patient, of an accepted case
	indexGlass   = "gateway-emergency"
	indexRecord  = "gateway-record" // declaration and custodian, of a record of disclosures
)

// A filing is one internal record to be written.
type filing struct {
	id, holder string // holder: "Organization/…" for which it is kept
	keeper     string // basisRecords …
	raw        []byte
	expect     int64
	index      []string // beside those of its search parameters: "param|value"
	claims     []string
}

// filed prepares the write of an internal record. What cannot be kept as valid
// FHIR is the caller's words: everything else is made here.
func (s *Server) filed(f filing) (store.Write, error) {
	r, err := resource.Parse(f.raw)
	if err != nil {
		return store.Write{}, fmt.Errorf("a record of the gateway: %w", err)
	}
	if issues := validate.Resource(r); validate.Failed(issues) {
		return store.Write{}, outcome.Unprocessable("what was given cannot be kept as FHIR", validate.Outcomes(issues)...)
	}
	origin := resource.Origin{
		System: f.keeper, Custodian: f.holder, Police: s.o.Directory.Police(f.holder), Part2: s.o.Directory.Part2(f.holder),
	}
	c := s.candidate(r, origin, nil)
	return store.Write{
		Record: store.Record{
			Key: store.Key{Type: r.Type(), ID: f.id}, Raw: f.raw, Origin: origin,
			Labels: c.subject.Labels.Texts(), LabelSet: c.subject.Labels.Version, Index: append(search.Index(r), f.index...),
		},
		Expect: f.expect, Claims: f.claims,
	}, nil
}

// found reads the internal records of a type that have an index entry.
func (s *Server) found(ctx context.Context, typ, param string, values ...string) ([]*store.Record, error) {
	where := store.Expr{Op: store.Or}
	for _, v := range values {
		where.Args = append(where.Args, store.Expr{Op: store.Equal, Param: param, Value: v})
	}
	plan := store.Plan{Type: typ, Where: where, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 100}
	var out []*store.Record
	for {
		page, err := s.o.Store.Search(ctx, plan)
		if err != nil {
			return nil, err
		}
		for _, rec := range page.Records {
			if isInternal(rec.Origin) {
				out = append(out, rec)
			}
		}
		if page.Next == "" {
			return out, nil
		}
		plan.After = page.Next
	}
}

// show makes the record that the caller has just written its answer.
func (s *Server) show(ctx context.Context, x *exchange, w store.Write, rec *store.Record) error {
	rec.Raw = w.Raw
	x.written, x.created, x.kept = rec, w.Expect == store.Absent, nil
	return s.showWritten(ctx, x, rec)
}

// notice tells the custodian's privacy contact, unless it has none that could be
// told: then the notice stands in its records all the same.
func (s *Server) notice(n emergency.Notice) (store.Write, error) {
	o, _ := s.o.Directory.Organization(n.Custodian)
	f := filing{id: s.newID(), holder: n.Custodian, keeper: emergencyRecords, expect: store.Absent}
	if p := o.PrivacyContact; p != nil {
		n.Contact, n.Waits = p.Name, p.Webhook != ""
	}
	if n.Waits {
		f.index = []string{emergency.OutboxParam + "|" + emergency.OutboxWaiting}
	}
	var err error
	if f.raw, err = n.Communication(f.id); err != nil {
		return store.Write{}, err
	}
	return s.filed(f)
}

// mayDetermine is for what a person of the custodian determines: by a token
// that names the person, and never by police.
func mayDetermine(x *exchange) error {
	switch {
	case x.principal.Police:
		return outcome.Forbidden("a law-enforcement agency does not decide on the disclosure of health records")
	case x.principal.User.ID == "" || x.principal.User.Name == "":
		return outcome.Forbidden("this is a person's decision: ask for a token that names the user")
	}
	return nil
}

// readReason reads the parameters of an operation that takes a reason.
func readReason(required bool) func(*Server, *exchange) error {
	return func(s *Server, x *exchange) error { return s.readGiven(x, reasonSpec(required)) }
}

// opened returns the caller's Task in the address, which policy has let it see,
// at the version that it names, if it names one.
func (s *Server) opened(x *exchange, keeper string) (*candidate, error) {
	if len(x.kept) != 1 {
		return nil, outcome.NotFound(fmt.Errorf("not permitted"))
	}
	c := x.kept[0]
	x.kept = nil
	if c.record == nil || !slices.Contains([]string{basisRecords, emergencyRecords}, c.origin.System) || keeper != "" && c.origin.System != keeper {
		return nil, outcome.Unprocessable("the Task is of another kind: this operation does not apply to it")
	}
	match, err := precondition(x, "If-Match")
	if err != nil {
		return nil, err
	}
	if match != "" {
		version, err := matchVersion(match)
		if err != nil {
			return nil, err
		}
		if version != c.record.Version {
			return nil, staleVersion(c.record.Version)
		}
	}
	return c, nil
}

// notYours refuses a step that the other side takes. The caller sees the Task, so
// it learns nothing.
func notYours(text string) error {
	return outcome.New(http.StatusForbidden, outcome.CodeSecurity, "%s", text)
}
