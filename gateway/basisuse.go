package gateway

import (
	"context"
	"slices"

	"github.com/handoff-health/handoff/gateway/legalbasis"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Accepted legal bases as facts of a decision.

// A filedCase is an accepted case as it is found for a request.
type filedCase struct {
	*legalbasis.Case
	name string // "Task/…/_history/2": the acceptance
}

// basesAbout reads the accepted bases about a person, whomever they favour. They
// are found by index entries that only an accepted case has, and count by what
// its Task says; nothing of the request opens any.
func (s *Server) basesAbout(ctx context.Context, person []string) ([]*filedCase, error) {
	if len(person) == 0 {
		return nil, nil
	}
	recs, err := s.found(ctx, "Task", indexInForce, person...)
	if err != nil {
		return nil, err
	}
	var out []*filedCase
	for _, rec := range recs {
		t, err := s.own(rec)
		if err != nil {
			return nil, err
		}
		if rec.Origin.System != basisRecords {
			continue
		}
		c, err := legalbasis.Read(t.resource)
		if err != nil {
			return nil, err
		}
		if c.Custodian == rec.Origin.Custodian && c.State == legalbasis.Accepted {
			out = append(out, &filedCase{c, versioned(rec)})
		}
	}
	return out, nil
}

// basesOn are those that count for a question about data of one custodian: in
// force at its instant, and in favour of who asks. One that an agreement of the
// configuration has accepted in advance counts while the agreement is in force.
func basesOn(cases []*filedCase, custodian string, q *policy.Request) []*policy.LegalBasis {
	var out []*policy.LegalBasis
	for _, c := range cases {
		if custodian == "" || c.Custodian != custodian || !c.InForce(q.At) || !c.Serves(&q.Requester) ||
			c.Accepted.Agreement != "" && !slices.Contains(q.Agreements, c.Accepted.Agreement) {
			continue
		}
		out = append(out, c.Basis(c.name))
	}
	return out
}
