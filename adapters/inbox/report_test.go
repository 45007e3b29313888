package inbox_test

import (
	"context"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// The process that runs a feed tells every few seconds how many wait; what is
// stored meanwhile must not be counted twice.
func TestAMessageIsCountedInOneState(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	b := openBox(t, db, db, nil)
	for n := range 4 {
		receive(t, b, admit(n))
	}
	told := inbox.Running{Received: b.Counts().Received, Waiting: b.Counts().Waiting}
	if err := inbox.SaveRunning(context.Background(), db, system, told); err != nil {
		t.Fatal(err)
	}
	report := func() inbox.Messages {
		r, err := inbox.ReadReport(context.Background(), db, system, "ehr/hl7v2")
		if err != nil {
			t.Fatal(err)
		}
		return r.Messages
	}
	if m := report(); m.Received != 4 || m.Waiting != 4 || m.Stored != 0 {
		t.Errorf("before: %+v", m)
	}
	run(t, newFeed(t, b, db, db, db), func() bool { return b.Counts().Seq == 4 })
	if m := report(); m.Received != 4 || m.Waiting != 0 || m.Stored != 4 {
		t.Errorf("after: %+v", m)
	}
}

// A message is read by its own header, not by that of the one before it.
func TestAHeaderIsOfItsMessageAlone(t *testing.T) {
	db := openDB(t, backendtest.Address(t))
	b := openBox(t, db, db, nil)
	bad := func(n int) string { return strings.Replace(string(admit(n).Body), "PID|1||P", "PID|1|||", 1) }
	receive(t, b, inbox.Arrival{Source: "mllp", Key: "b", Body: []byte("BHS|^~\\&|OTHER\r" + bad(1) + "BTS|1\r")})
	receive(t, b, inbox.Arrival{Source: "mllp", Key: "m", Body: []byte(bad(2))})
	f := newFeed(t, b, db, db, db)
	heads := map[bool]int{}
	f.Tally = func(m *flow.Mapped, o flow.Outcome) {
		if o == flow.Rejected {
			heads[len(m.Head) > 0]++
		}
	}
	run(t, f, func() bool { return b.Counts().Seq == 2 })
	if heads[true] != 1 || heads[false] != 1 {
		t.Errorf("rejects with a header and without: %v", heads)
	}
	kept, err := ingest.Read(context.Background(), db, db, system, ingest.RejectStream(system), 1, 10)
	if err != nil || len(kept) != 2 {
		t.Fatalf("%d rejects, %v", len(kept), err)
	}
	for _, k := range kept {
		if batch := strings.HasPrefix(k.Source, "mllp message 1"); batch != (len(k.Head) > 0) {
			t.Errorf("%s has the header %q", k.Source, k.Head)
		}
	}
}
