package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/emergency"
	"github.com/handoff-health/handoff/gateway/policy"
)

// The record of what goes out under a broken glass: 42 CFR 2.51(c). It is
// durable before the answer leaves. If the gateway ends between the two, the
// record stands for a disclosure that did not happen: the safe side of the two.

// A disclosing is what one custodian discloses in one answer under one
// declaration.
type disclosing struct {
	by        *declared
	custodian string
	patient   string
	part2     bool
	refs      []string
}

// document writes the records that this answer owes. An error means no answer.
func (s *Server) document(ctx context.Context, x *exchange) error {
	owed, err := x.disclosings()
	if err != nil {
		return err
	}
	for _, d := range owed {
		if err := s.recordDisclosing(ctx, x, d); err != nil {
			return fmt.Errorf("the record of 42 CFR 2.51(c) could not be written: %w", err)
		}
	}
	return nil
}

// disclosings sorts what leaves by declaration and custodian.
func (x *exchange) disclosings() ([]*disclosing, error) {
	var out []*disclosing
	for _, c := range x.kept {
		part2 := slices.Contains(c.decision.Obligations, policy.Part2Emergency)
		if !part2 && !slices.Contains(c.decision.Obligations, policy.NoReuse) {
			continue
		}
		st := x.people[c.subject.Patient]
		if st == nil || st.glass == nil {
			return nil, fmt.Errorf("%s goes out under a broken glass that nobody declared", c.reference())
		}
		i := slices.IndexFunc(out, func(d *disclosing) bool { return d.by.id == st.glass.id && d.custodian == c.origin.Custodian })
		if i < 0 {
			i = len(out)
			out = append(out, &disclosing{by: st.glass, custodian: c.origin.Custodian, patient: c.subject.Patient})
		}
		out[i].part2 = out[i].part2 || part2
		out[i].refs = append(out[i].refs, c.reference())
	}
	return out, nil
}

// recordTries is how often a record is read again because another answer has
// added to it.
const recordTries = 8

// recordDisclosing adds to the record of this declaration and custodian, or makes it,
// together with the review and the notice that it brings about.
func (s *Server) recordDisclosing(ctx context.Context, x *exchange, d *disclosing) error {
	var err error
	for range recordTries {
		var done bool
		if done, err = s.tryRecord(ctx, x, d); err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists) {
			return err
		}
		if done && err == nil {
			return nil
		}
	}
	return err
}

func recordKey(d *disclosing) string { return d.by.id + " " + d.custodian }

// recordClaim has at most one record of a key be made.
func recordClaim(key string) string { return "emergency record " + key }

func (s *Server) tryRecord(ctx context.Context, x *exchange, d *disclosing) (done bool, err error) {
	org, _ := s.o.Directory.Organization(d.custodian)
	r := &emergency.Record{
		Declaration: "Task/" + d.by.id, Custodian: d.custodian, CustodianName: org.Name, Patient: d.patient,
		To: d.by.By, Reason: d.by.Reason, Purpose: emergencyPurpose(x.principal.Purposes), Part2: d.part2,
	}
	f := filing{
		id: s.newID(), holder: d.custodian, keeper: emergencyRecords, expect: store.Absent,
		index: []string{indexRecord + "|" + recordKey(d)}, claims: []string{recordClaim(recordKey(d))},
	}
	recs, err := s.found(ctx, "Communication", indexRecord, recordKey(d))
	if err != nil {
		return false, err
	}
	first := len(recs) == 0
	raised := false
	if !first {
		c, err := s.own(recs[0])
		if err != nil {
			return false, err
		}
		if r.Items, err = emergency.ReadItems(c.resource); err != nil {
			return false, err
		}
		raised = d.part2 && !emergency.Part2Record(c.resource)
		r.Part2 = d.part2 || emergency.Part2Record(c.resource)
		r.Patient = c.subject.Patient
		f.id, f.expect = recs[0].ID, recs[0].Version
	}
	if !r.Add(x.at, d.refs...) && !raised {
		return true, nil // all of it is on record
	}
	if f.raw, err = r.Communication(f.id); err != nil {
		return false, err
	}
	w, err := s.filed(f)
	if err != nil {
		return false, err
	}
	ws := []store.Write{w}
	if first {
		more, err := s.reviewOf(x, d, f.id)
		if err != nil {
			return false, err
		}
		ws = append(ws, more...)
	}
	_, err = s.o.Store.Apply(ctx, ws)
	return err == nil, err
}

// reviewOf prepares the review of a record and the notice of it.
func (s *Server) reviewOf(x *exchange, d *disclosing, record string) ([]store.Write, error) {
	org, _ := s.o.Directory.Organization(d.custodian)
	v := &emergency.Review{
		Custodian: d.custodian, Patient: d.patient, Record: "Communication/" + record, Of: d.by.By,
		At: x.at, Due: x.at.Add(s.o.Emergency.ReviewWithin),
	}
	if org.PrivacyContact != nil {
		v.Contact = org.PrivacyContact.Name
	}
	f := filing{id: s.newID(), holder: d.custodian, keeper: emergencyRecords, expect: store.Absent}
	var err error
	if f.raw, err = v.Task(f.id); err != nil {
		return nil, err
	}
	review, err := s.filed(f)
	if err != nil {
		return nil, err
	}
	notice, err := s.notice(emergency.Notice{
		Kind: emergency.GlassBroken, Custodian: d.custodian, About: []string{"Task/" + f.id, v.Record}, At: x.at, Due: v.Due,
	})
	return []store.Write{review, notice}, err
}
