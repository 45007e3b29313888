package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handoff-health/handoff/conformance/attack"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// cross tries all that must hold between the two gateways.
func (f *fleet) cross(t *testing.T, rounds int) {
	t.Helper()
	for _, c := range attack.Crossings(f.roads.send, rounds) {
		began := time.Now()
		err := c.Do(f.target)
		t.Logf("%s (%v)", c.Name, time.Since(began).Round(time.Millisecond))
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	f.roads.send(attack.InTurn)
}

// What begins at one gateway holds at the other; also after one was killed in the
// middle of writes and started again. Trails verify, each with its own anchor, counts
// of feeds add up, and an expunge reaches both.
func TestTwoGatewaysOfOneStore(t *testing.T) {
	if testing.Short() {
		t.Skip("the gateways are other processes")
	}
	stores(t, func(t *testing.T, address string) {
		f := newFleet(t, address, "", 0)
		rounds := 300
		if backend.IsMongo(address) { // where each takes many times as long
			rounds = 100
		}
		f.cross(t, rounds)
		f.linkHolds(t)
		f.emergency(t)
		f.personEnds(t)
		f.killInTheMiddle(t)
		f.cross(t, 40)
		f.trailsVerify(t)
		f.feedsAddUp(t)
		f.expunges(t, address)
	})
}

// Every attack is stopped, and every control succeeds, when each connection goes to
// the other gateway than the one before.
func TestAttacksOnTwoGatewaysInTurn(t *testing.T) {
	if testing.Short() {
		t.Skip("the gateways are other processes")
	}
	stores(t, func(t *testing.T, address string) {
		f := newFleet(t, address, "", 0)
		for _, r := range attack.Run(f.target, attack.All()) {
			if r.Verdict == attack.Succeeded || r.Verdict == attack.Failed {
				t.Errorf("%s %s/%s: %s: %s", r.Verdict, r.Area, r.Attack.Name, r.Attack.Statement, r.Detail)
			}
		}
	})
}

// The machines' clocks are two minutes behind the store's, or ahead of it: whatever
// went by a machine's clock would be judged wrongly. Clients go by the right one.
func TestGatewaysWhoseMachinesAreTwoMinutesOff(t *testing.T) {
	if testing.Short() {
		t.Skip("the gateways are other processes")
	}
	for name, off := range map[string]time.Duration{"behind": 2 * time.Minute, "ahead": -2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, filepath.Join(t.TempDir(), "handoff.db"), "", off)
			f.cross(t, 10)
			eventually(t, "it warns of its clock", func() bool { return f.a.log.has("this machine's clock is not the store's") })
		})
	}
}

// One gateway's clock is three seconds ahead: what it gave a client is over all the same
// when the other ends the client, by the other's clock before it was given.
func TestEndsHoldWhereOneGatewaysClockIsAhead(t *testing.T) {
	if testing.Short() {
		t.Skip("the gateways are other processes")
	}
	f := newFleet(t, filepath.Join(t.TempDir(), "handoff.db"), "", 0)
	f.a.end(syscall.SIGTERM)
	f.a.env = []string{envClock + "=3s"}
	f.again(t, f.a)
	tried := 0
	for _, c := range attack.Crossings(f.roads.send, 6) {
		if c.Name == attack.EndsCross {
			tried++
			if err := c.Do(f.target); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	if tried != 1 {
		t.Errorf("%d crossings were tried", tried)
	}
}

// personEnds signs a person out by the command line, which is a third process.
func (f *fleet) personEnds(t *testing.T) {
	t.Helper()
	err := attack.PersonEnds(f.target, f.roads.send, func() error {
		_, err := f.run("users", "sign-out", "--config", f.a.config, "--by", "mlopez", "clinic-idp", "ortiz")
		return err
	})
	if err != nil {
		t.Error(err)
	}
	f.roads.send(attack.InTurn)
}

// linkHolds undoes and confirms a link by the command line and looks at both. A page
// that was begun before shows nothing afterwards that is hidden by then.
func (f *fleet) linkHolds(t *testing.T) {
	t.Helper()
	ada := f.target.Records["ada"]
	for i, verb := range []string{"undo", "confirm", "undo", "confirm"} {
		next := ""
		if verb == "undo" {
			f.roads.send(i % 2)
			var err error
			if next, err = f.target.Next("clinician", "Condition?_count=1&patient="+ada); err != nil || next == "" {
				t.Fatalf("no second page: %v", err)
			}
		}
		if _, err := f.run("link", verb, "--config", []string{f.a.config, f.b.config}[i%2], "--reviewer", "lee", ada, "ehr", "a1"); err != nil {
			t.Fatal(err)
		}
		for place := range 2 {
			f.roads.send(place)
			n, err := f.target.Count("clinician", "Condition?patient="+ada)
			if err != nil || (n > 0) != (verb == "confirm") {
				t.Errorf("after %s, gateway %d: %d Conditions, %v", verb, place, n, err)
			}
			if next == "" {
				continue
			}
			if n, err := f.target.Count("clinician", next); err != nil || n > 0 {
				t.Errorf("after %s, gateway %d: %d Conditions on a page that was begun before, %v", verb, place, n, err)
			}
		}
	}
	f.roads.send(attack.InTurn)
}

// emergency links ada to a program under 42 CFR Part 2 while an emergency is tried.
func (f *fleet) emergency(t *testing.T) {
	t.Helper()
	for _, verb := range []string{"confirm", "undo"} {
		if _, err := f.run("link", verb, "--config", f.a.config, "--reviewer", "lee", f.target.Records["ada"], "program-ehr", "a1"); err != nil {
			t.Fatal(err)
		}
		if c := attack.EmergencyCrossing(f.roads.send); verb == "confirm" {
			if err := c.Do(f.target); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	f.roads.send(attack.InTurn)
}

// killInTheMiddle kills each gateway while requests and events come, and starts it
// again.
func (f *fleet) killInTheMiddle(t *testing.T) {
	t.Helper()
	var acked atomic.Int64
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if ok, err := f.target.Event(); err == nil && ok {
					acked.Add(1)
				}
				_, _ = f.target.Count("clinician", "Observation?patient="+f.target.Records["ada"])
			}
		})
	}
	for _, g := range []*gatewayProcess{f.a, f.b, f.a} {
		time.Sleep(500 * time.Millisecond)
		some := acked.Load() + 8
		for until := time.Now().Add(time.Minute); acked.Load() < some && time.Now().Before(until); {
			time.Sleep(20 * time.Millisecond) // a busy machine
		}
		g.end(syscall.SIGKILL)
		time.Sleep(300 * time.Millisecond)
		f.again(t, g)
	}
	close(stop)
	senders.Wait()
	t.Logf("%d events were acknowledged while gateways were killed", acked.Load())
	if acked.Load() < 20 {
		t.Errorf("%d acknowledged events prove nothing", acked.Load())
	}
	f.acked(t, acked.Load())
}

// trailsVerify verifies both trails while the gateways write, and asks for what they
// disclosed.
func (f *fleet) trailsVerify(t *testing.T) {
	t.Helper()
	out, err := f.run("audit", "verify", "--config", f.a.config)
	if err != nil || strings.Count(out, "OK") != 2 || strings.Contains(out, "NOT READ") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "crashes") && !strings.Contains(out, "records") {
		t.Errorf("%s", out)
	}
	ada := f.target.Records["ada"]
	both, err := f.run("audit", "disclosures", "--config", f.b.config, "--patient", ada, "--each")
	if err != nil || strings.Contains(both, "NOT READ") {
		t.Errorf("%v\n%s", err, both)
	}
	// One whose configuration does not name the other's trail says so.
	raw, err := os.ReadFile(f.a.config)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(raw), ", others: ")
	lone := filepath.Join(f.dir, "lone.yaml")
	if err := os.WriteFile(lone, []byte(text+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one, err := f.run("audit", "disclosures", "--config", lone, "--patient", ada, "--each")
	if err != nil || !strings.Contains(one, "NOT READ: the audit trail of gateway") || !strings.Contains(one, f.b.listen) || !strings.Contains(one, "NOT COMPLETE") {
		t.Errorf("%v\n%s", err, one)
	}
	if strings.Count(one, "request") >= strings.Count(both, "request") {
		t.Error("the other trail has added nothing")
	}
	out, err = f.run("gateways", "list", "--config", f.a.config)
	if err != nil || !strings.Contains(out, f.a.listen) || !strings.Contains(out, f.b.listen) {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := f.run("serve", "--config", lone); err == nil || !strings.Contains(err.Error(), "another process writes to the audit trail") {
		t.Errorf("two processes on one trail: %v", err)
	}
}

// A limit holds for what both gateways admit.
func TestLimitsHoldOverTwoGateways(t *testing.T) {
	if testing.Short() {
		t.Skip("the gateways are other processes")
	}
	stores(t, func(t *testing.T, address string) {
		f := newFleet(t, address, "", 0)
		for _, g := range []*gatewayProcess{f.a, f.b} {
			raw, err := os.ReadFile(g.config)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(raw), "limits: {requests: -1,", "limits: {requests: 60,", 1)
			if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			g.end(syscall.SIGTERM)
			f.again(t, g)
		}
		if _, err := f.target.Status("twin", "Patient/none"); err != nil { // gets the token
			t.Fatal(err)
		}
		// A request a second comes back meanwhile; a chunk is one request.
		began, admitted, refused := time.Now(), 1, 0
		most := func() int { return 60 + int(time.Since(began).Seconds()) + 1 }
		for n := 0; refused < 20 && admitted <= most() && n < 1000; n++ { // a busy machine sends few a second
			status, err := f.target.Status("twin", "Patient/none")
			if err != nil {
				t.Fatal(err)
			}
			if status == http.StatusTooManyRequests {
				refused++
			} else {
				admitted++
			}
		}
		if admitted < 60 || admitted > most() || refused < 20 {
			t.Errorf("%d were admitted, at least 60 and at most %d should be; %d were refused", admitted, most(), refused)
		}
	})
}

// A gateway whose keys are not those of the store does not start, and says why.
func TestAGatewayWithOtherKeysDoesNotStart(t *testing.T) {
	if testing.Short() {
		t.Skip("the gateways are other processes")
	}
	f := newFleet(t, filepath.Join(t.TempDir(), "handoff.db"), "", 0)
	raw, err := os.ReadFile(f.b.config)
	if err != nil {
		t.Fatal(err)
	}
	f.b.end(syscall.SIGTERM)
	start := func(change func(string) string) error {
		path := filepath.Join(f.dir, "odd.yaml")
		if err := os.WriteFile(path, []byte(change(string(raw))), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := f.run("serve", "--config", path)
		return err
	}
	err = start(func(s string) string {
		return strings.Replace(s, "key: ${file:site.key}", "key: another-key-of-at-least-32-bytes!!!", 1)
	})
	if err == nil || !strings.Contains(err.Error(), "site.key is not the one with which this store was begun") {
		t.Errorf("another site key: %v", err)
	}
	err = start(func(s string) string { return strings.Replace(s, "keys/issuer.jwk", "keys/new.jwk", 1) })
	if err == nil || !strings.Contains(err.Error(), "issuer.keyFile is not the key of") || !strings.Contains(err.Error(), f.a.listen) {
		t.Errorf("another issuer key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "keys", "new.jwk")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a key was made that no gateway of the store knows")
	}
	f.county.Share(false)
	defer f.county.Share(true)
	// Nor does one whose address is taken, or whose certificate cannot be read. It has
	// served nothing, so that nobody is to ask for its trail.
	for what, change := range map[string]func(string) string{
		"server.listen": func(s string) string { return strings.Replace(s, f.b.listen, f.a.listen, 1) },
		"server.tlsCert": func(s string) string {
			return strings.Replace(s, "\n  base: ", "\n  tlsCert: none.pem\n  tlsKey: none.key\n  base: ", 1)
		},
	} {
		err := start(func(s string) string {
			return strings.NewReplacer("dir: audit-b", "dir: audit-c", "anchor: b.anchor", "anchor: c.anchor", "keyFile: b.pem", "keyFile: c.pem").Replace(change(s))
		})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	out, err := f.run("gateways", "list", "--config", f.a.config)
	if err != nil || strings.Count(out, "audit-") != 2 {
		t.Errorf("%v: the gateways are\n%s", err, out)
	}
	if out, err := f.run("audit", "verify", "--config", f.a.config); err != nil || strings.Contains(out, "NOT READ") {
		t.Errorf("%v\n%s", err, out)
	}
	f.again(t, f.b) // with its own keys it does
}
