package soak

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// plan is how long to go on and how often to kill.
func plan(t *testing.T) (long, every time.Duration) {
	t.Helper()
	text := os.Getenv("HANDOFF_SOAK")
	if text == "" {
		t.Skip("HANDOFF_SOAK is not set: the soak was not run (make soak, and CI, run it for 2m)")
	}
	long, err := time.ParseDuration(text)
	if err != nil || long < 10*time.Second {
		t.Fatalf("HANDOFF_SOAK=%s is no time of at least 10s", text)
	}
	return long, min(20*time.Second, long/4)
}

func TestEveryAcknowledgedRecordIsThereOnce(t *testing.T) {
	long, every := plan(t)
	g := newGateway(t)
	g.start(t)
	began := time.Now()
	ctx, stop := context.WithTimeout(context.Background(), 4*long)
	defer stop()
	l := &ledger{acked: map[string]bool{}}
	// A busy machine goes on until enough has happened to prove something.
	enough := func() bool { return l.count() >= 1000 && g.kills >= 3 }
	killed := make(chan struct{})
	var senders sync.WaitGroup
	for n := range 8 {
		senders.Go(func() { g.sendHL7(ctx, n, l) })
	}
	for n := range 4 {
		senders.Go(func() { g.sendEvents(ctx, n, l) })
	}
	senders.Go(func() { g.dropFiles(ctx, t, l) })
	senders.Go(func() { g.ingestFiles(ctx, t, l, killed) })
	next := func() time.Duration {
		if left := long - time.Since(began); left > 0 {
			return min(every, left)
		}
		return every
	}
	for wait(ctx, next()) && (time.Since(began) < long || !enough()) {
		g.stop(syscall.SIGKILL)
		select {
		case killed <- struct{}{}:
		default: // it was between two files
		}
		g.start(t)
	}
	stop()
	senders.Wait()
	g.drain(t)
	g.stop(syscall.SIGTERM)
	t.Logf("%d acknowledgements, %d kills", l.count(), g.kills)
	if !enough() {
		t.Errorf("%d acknowledgements and %d kills prove nothing: 1000 and 3 are wanted\n%s", l.count(), g.kills, g.log.String())
	}
	g.compare(t, l)
}

// drain waits until no feed has anything left.
func (g *gateway) drain(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		waiting, err := g.waiting()
		if err == nil && waiting == 0 {
			return
		}
		if time.Now().After(deadline) {
			out, _ := exec.Command(g.binary, "feeds", "report", "--config", g.config()).CombinedOutput()
			g.stop(syscall.SIGQUIT) // it says where it stands
			t.Fatalf("%d messages still wait: %v\n%s\n%s", waiting, err, out, g.log.String())
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// waiting sums what the reports of all feeds say that waits, as of now.
func (g *gateway) waiting() (int64, error) {
	began := time.Now()
	for {
		out, err := exec.Command(g.binary, "feeds", "report", "--config", g.config(), "--json").Output()
		if err != nil {
			return 0, err
		}
		var n int64
		fresh := true
		for _, line := range splitLines(out) {
			var r struct {
				Messages struct{ Waiting, Deferred int64 }
				Running  *struct{ At time.Time }
			}
			if err := json.Unmarshal(line, &r); err != nil {
				return 0, err
			}
			n += r.Messages.Waiting + r.Messages.Deferred
			fresh = fresh && (r.Running == nil || r.Running.At.After(began))
		}
		if fresh || time.Since(began) > 15*time.Second {
			return n, nil
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func splitLines(b []byte) (out [][]byte) {
	start := 0
	for i, c := range b {
		if c == '\n' {
			out, start = append(out, b[start:i]), i+1
		}
	}
	return out
}

// found is what is stored of one person.
type found struct {
	resources int
	version   int64
}

// compare looks for every acknowledged person: one Patient, in one version, and
// what the record told of the person, an Encounter or a Consent, in one version.
func (g *gateway) compare(t *testing.T, l *ledger) {
	t.Helper()
	db, err := backend.Open(context.Background(), filepath.Join(g.dir, "handoff.db"), backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file, ok := db.(interface{ Check(context.Context) error })
	if !ok {
		t.Fatalf("%T cannot check itself", db)
	}
	defer func() {
		if err := errors.Join(file.Check(context.Background()), db.Close()); err != nil {
			t.Error(err)
		}
	}()
	patients, records := identified(t, db, "Patient"), recordsOf(t, db)
	missing, twice := 0, 0
	for id := range l.acked {
		p := patients[id]
		e := records[p.ref]
		switch {
		case p.resources == 0 || e.resources == 0:
			if missing++; missing <= 5 {
				t.Errorf("%s was acknowledged and is not there (patients %d, records %d)", id, p.resources, e.resources)
			}
		case p.resources > 1 || e.resources > 1 || p.version != 1 || e.version != 1:
			if twice++; twice <= 5 {
				t.Errorf("%s: %d patients at version %d, %d records at version %d", id, p.resources, p.version, e.resources, e.version)
			}
		}
	}
	if missing+twice > 0 {
		t.Errorf("of %d acknowledged %d are missing and %d are there more than once", len(l.acked), missing, twice)
	}
}

type person struct {
	found
	ref string
}

// each reads all resources of a type.
func each(t *testing.T, db backend.Backend, typ string, do func(*store.Record)) {
	t.Helper()
	p := store.Plan{Type: typ, Where: store.Expr{Op: store.All}, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 500}
	for {
		page, err := db.Search(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			do(r)
		}
		if p.After = page.Next; p.After == "" {
			return
		}
	}
}

// identified finds Patients by the values of their identifiers.
func identified(t *testing.T, db backend.Backend, typ string) map[string]person {
	t.Helper()
	out := map[string]person{}
	each(t, db, typ, func(r *store.Record) {
		var x struct{ Identifier []struct{ Value string } }
		if err := json.Unmarshal(r.Raw, &x); err != nil {
			t.Fatal(err)
		}
		for _, id := range x.Identifier {
			p := out[id.Value]
			p.resources++
			p.version, p.ref = max(p.version, r.Version), r.Key.String()
			out[id.Value] = p
		}
	})
	return out
}

// recordsOf counts Encounters and Consents by the Patient whom they are about.
func recordsOf(t *testing.T, db backend.Backend) map[string]found {
	t.Helper()
	out := map[string]found{}
	for _, typ := range []string{"Encounter", "Consent"} {
		each(t, db, typ, func(r *store.Record) {
			var x struct{ Subject, Patient struct{ Reference string } }
			if err := json.Unmarshal(r.Raw, &x); err != nil {
				t.Fatal(err)
			}
			of := x.Subject.Reference + x.Patient.Reference // one of them is empty
			e := out[of]
			e.resources++
			e.version = max(e.version, r.Version)
			out[of] = e
		})
	}
	return out
}
