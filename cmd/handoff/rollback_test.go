package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/audit"
)

// serveOnce runs the gateway of a configuration until do has returned.
func serveOnce(t *testing.T, file string, do func(address string)) (string, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	address, path := freeAddress(t), filepath.Join(filepath.Dir(file), "served.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "127.0.0.1:0", address, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	log := &safeLog{}
	g, err := assemble(t.Context(), c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return log.String(), err
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(g.serve(ctx), g.Close()) }()
	for code := 0; code != http.StatusOK; code = statusOf(address, "/readyz") {
		select {
		case err := <-ended:
			t.Fatalf("it does not serve: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	do(address)
	stop()
	return log.String(), <-ended
}

// statusOf asks; 0 if nobody answers.
func statusOf(address, path string) int {
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// marksOf reads the fact by which a store's age is known, and gives what puts it back.
func marksOf(t *testing.T, address string) (restore func()) {
	t.Helper()
	const key = "gateways/marks"
	var then store.Fact
	withStore(t, address, func(db backend.Backend) {
		var err error
		if then, err = db.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	})
	return func() {
		withStore(t, address, func(db backend.Backend) {
			now, err := db.Get(t.Context(), key)
			for err == nil {
				if _, err = db.CompareAndSet(t.Context(), key, now.Version, then.Value, time.Time{}); err == nil {
					return
				}
				now, err = db.Get(t.Context(), key) // the gateway was faster
			}
			t.Error(err)
		})
	}
}

// A gateway does not start on a store that is older than what it has seen of it, until
// somebody answers for that; what they say is in its trail.
func TestAGatewayDoesNotStartOnAnOlderStore(t *testing.T) {
	w := newKeyedStore(t)
	restore := marksOf(t, w.address)
	quiet := func(string) {}
	if _, err := serveOnce(t, w.good, quiet); err != nil {
		t.Fatal(err)
	}
	restore()
	_, err := serveOnce(t, w.good, quiet)
	for _, want := range []string{backend.Name(w.address, ""), "revoked, ended and expunged", "docs/store.md", "handoff gateways accept-store"} {
		if !errors.Is(err, store.ErrOlder) || !strings.Contains(err.Error(), want) {
			t.Fatalf("without %q: %v", want, err)
		}
	}
	for _, args := range [][]string{{"--by", "ann"}, {"--reason", "x"}} {
		if _, text, code := openedBy(t, append([]string{"gateways", "accept-store", "--config", w.good}, args...)...); code != exitUsage {
			t.Errorf("%v: exit %d: %s", args, code, text)
		}
	}
	_, text, code := openedBy(t, "gateways", "accept-store", "--config", w.good, "--by", "ann", "--reason", "disk lost")
	if code != 0 || !strings.Contains(text, "counts as it is: marks up to ") {
		t.Fatalf("exit %d: %s", code, text)
	}
	if log, err := serveOnce(t, w.good, quiet); err != nil || strings.Contains(log, "older") {
		t.Errorf("after it was accepted: %v\n%s", err, log)
	}
	said := 0
	err = audit.Follow(t.Context(), filepath.Join(w.dir, "audit"), 1, 0, func(r audit.Record) error {
		if e := r.Event; e.Interaction == audit.StoreAccept && e.User == "ann" && strings.Contains(e.Query, "reason=disk+lost") {
			said++
		}
		return nil
	})
	if err != nil || said != 1 {
		t.Errorf("in the trail %d times, %v", said, err)
	}
}

// The file of an embedded store is replaced by yesterday's.
func TestAGatewayDoesNotStartOnYesterdaysFile(t *testing.T) {
	w := newKeyedStore(t)
	if backend.IsMongo(w.address) {
		t.Skip("a file is of an embedded store")
	}
	backup, err := os.ReadFile(w.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serveOnce(t, w.good, func(string) {}); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(w.address + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.address, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := serveOnce(t, w.good, func(string) {}); !errors.Is(err, store.ErrOlder) {
		t.Errorf("%v", err)
	}
}

// A gateway under which the store is put back answers nothing more, and ends.
func TestAGatewayEndsWhenItsStoreIsPutBack(t *testing.T) {
	ageEvery = 5 * time.Millisecond
	t.Cleanup(func() { ageEvery = 0 })
	w := newKeyedStore(t)
	restore := marksOf(t, w.address)
	log, err := serveOnce(t, w.good, func(address string) {
		restore()
		for end := time.Now().Add(30 * time.Second); statusOf(address, "/readyz") == http.StatusOK; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it goes on")
			}
		}
	})
	if !errors.Is(err, store.ErrOlder) || !strings.Contains(log, "no request is answered any more") {
		t.Errorf("%v\n%s", err, log)
	}
}

func TestNothingIsAnsweredFromAnOlderStore(t *testing.T) {
	g := &running{}
	h := g.whileCurrent(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	ask := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	if ask("/fhir/Patient/1") != http.StatusOK {
		t.Error("a store that counts")
	}
	err := store.ErrOlder
	g.outdated.Store(&err)
	for path, want := range map[string]int{"/fhir/Patient/1": 503, "/readyz": 503, "/oauth/token": 503, "/healthz": 200} {
		if got := ask(path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
}
