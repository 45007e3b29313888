package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/handoff-health/handoff/conformance/attack"
)

// Feeds of two gateways on one store.

// acked waits until the feed tells of as many messages as were acknowledged, and of
// none that waits.
func (f *fleet) acked(t *testing.T, least int64) {
	t.Helper()
	var r feedNumbers
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		r = f.feed(t)
		if r.Messages.Waiting == 0 && r.Messages.Received >= least && r.Messages.Received == r.Messages.Stored+r.Messages.Rejected+r.Messages.Deferred {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events were acknowledged, and the feed tells of %+v", least, r)
		}
	}
}

type feedNumbers struct {
	Holder   string
	Messages struct{ Received, Stored, Rejected, Deferred, Waiting int64 }
	Gateways []struct {
		Gateway string
		Holds   bool
	}
}

func (f *fleet) feed(t *testing.T) (r feedNumbers) {
	t.Helper()
	out, err := f.run("feeds", "report", "--config", f.b.config, "--system", "pd-hook", "--json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// feedsAddUp sends events to both gateways; one of them processes, until it is
// stopped, and then the other.
func (f *fleet) feedsAddUp(t *testing.T) {
	t.Helper()
	before := f.feed(t)
	send := func(n int) (taken int64) {
		for range n {
			if ok, err := f.target.Event(); err != nil || !ok {
				t.Errorf("an event was not taken: %v", err)
			} else {
				taken++
			}
		}
		return taken
	}
	total := before.Messages.Received + send(20)
	f.acked(t, total)
	r := f.feed(t)
	if len(r.Gateways) != 2 || r.Holder == "" {
		t.Fatalf("%+v", r)
	}
	holder, other := f.a, f.b
	if strings.HasSuffix(r.Holder, f.b.listen) {
		holder, other = f.b, f.a
	}
	// It stands still for longer than others wait, and wakes while they process.
	if err := holder.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.roads.send(map[*gatewayProcess]int{f.a: attack.AtA, f.b: attack.AtB}[other])
	total += send(10)
	f.acked(t, total) // the other has taken over
	if r := f.feed(t); !strings.HasSuffix(r.Holder, other.listen) {
		t.Errorf("the feed is processed by %s, not %s", r.Holder, other.listen)
	}
	if err := holder.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	f.roads.send(attack.InTurn)
	total += send(20)
	f.acked(t, total)
	if r := f.feed(t); r.Messages.Received != total || !strings.HasSuffix(r.Holder, other.listen) {
		t.Errorf("%d were acknowledged, and the feed tells of %+v", total, r)
	}
	out, err := f.run("feeds", "list", "--config", f.a.config)
	if err != nil || !strings.Contains(out, other.listen) {
		t.Errorf("%v\n%s", err, out)
	}
}
