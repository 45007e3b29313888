package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/legalbasis"
)

// A taskAt says where a Task of a case stands; id "" if there is none yet.
type taskAt struct {
	id      string
	version int64
}

// A caseFile is a case with its two Tasks.
type caseFile struct {
	*legalbasis.Case
	custodian, other taskAt // other: the declarer's, or the recipient's of what the custodian declared
}

// otherSide is the organisation that keeps the other Task.
func (f *caseFile) otherSide() string {
	if f.Declared.By.Organization != f.Custodian {
		return f.Declared.By.Organization
	}
	return f.Recipient
}

// fileCase writes both Tasks in one unit and makes the caller's the answer. Of two
// steps at once the slower is refused: the versions have moved.
func (s *Server) fileCase(ctx context.Context, x *exchange, f *caseFile, also ...store.Write) error {
	index := []string{indexCase + "|" + f.ID}
	if f.State == legalbasis.Accepted && f.other.id == "" {
		f.other.id = s.newID() // the recipient learns of it now
	}
	mine := f.Custodian
	custodian := filing{id: f.custodian.id, holder: f.Custodian, keeper: basisRecords, expect: f.custodian.version, index: index}
	if f.State == legalbasis.Accepted {
		for _, ref := range f.Persons() {
			custodian.index = append(custodian.index, indexInForce+"|"+ref)
		}
	}
	var err error
	if custodian.raw, err = f.CustodianTask(custodian.id); err != nil {
		return err
	}
	filings := []filing{custodian}
	if f.other.id != "" {
		other := filing{id: f.other.id, holder: f.otherSide(), keeper: basisRecords, expect: f.other.version, index: index}
		if other.raw, err = f.DeclarerTask(other.id); err != nil {
			return err
		}
		filings = append(filings, other)
		mine = x.principal.Requester.Organization
	}
	var ws []store.Write
	for _, fl := range filings {
		w, err := s.filed(fl)
		if err != nil {
			return err
		}
		ws = append(ws, w)
	}
	recs, err := s.o.Store.Apply(ctx, append(slices.Clone(ws), also...))
	if errors.Is(err, store.ErrConflict) {
		return outcome.Conflict("somebody else has just taken a step; read the Task again").Because(err)
	}
	if err != nil {
		return err
	}
	i := slices.IndexFunc(filings, func(fl filing) bool { return fl.holder == mine })
	if i < 0 {
		return errors.New("a step was taken by neither side")
	}
	return s.show(ctx, x, ws[i], recs[i])
}
