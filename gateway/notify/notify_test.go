package notify

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/emergency"
)

const secret = "0123456789abcdef0123456789abcdef"

// A hook is a contact's system.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []Body
	signed []bool
}

func newHook(t *testing.T) *hook {
	h := &hook{status: http.StatusNoContent}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		var b Body
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, b)
		seconds, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Handoff-Signature"), "t="), ",")
		at, _ := time.ParseDuration(seconds + "s")
		h.signed = append(h.signed, r.Header.Get("Handoff-Signature") == Sign(secret, time.Unix(int64(at.Seconds()), 0), raw))
		if h.status == http.StatusFound {
			w.Header().Set("Location", h.URL)
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) set(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}

// put writes a notice that waits.
func put(t *testing.T, db store.Store, id, organization, kept string) {
	t.Helper()
	n := emergency.Notice{Kind: emergency.GlassBroken, Custodian: organization, Contact: "Pat", About: []string{"Task/t1", "Communication/r1"}, At: time.Unix(1e9, 0), Due: time.Unix(2e9, 0), Waits: true}
	raw, err := n.Communication(id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := resource.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Write(t.Context(), store.Write{Record: store.Record{
		Key: store.Key{Type: "Communication", ID: id}, Raw: raw, Origin: resource.Origin{System: "gateway/emergency", Custodian: kept},
		Index: append(search.Index(r), emergency.OutboxParam+"|"+emergency.OutboxWaiting),
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func newOutbox(t *testing.T, h *hook) (*Outbox, backend.Backend, *time.Time) {
	t.Helper()
	db := backendtest.Open(t, backend.Options{})
	now := time.Unix(1_900_000_000, 0)
	b, err := New(Options{Store: db, Base: "https://gw.example/fhir", Now: func() time.Time { return now }, Contact: func(org string) (Contact, bool) {
		return Contact{URL: h.URL, Secret: secret}, org == "Organization/harbor"
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b, db, &now
}

func status(t *testing.T, db store.Store, id string) string {
	t.Helper()
	rec, err := db.Read(t.Context(), store.Key{Type: "Communication", ID: id})
	if err != nil {
		t.Fatal(err)
	}
	r, err := resource.Parse(rec.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return r.Root().Get("status").Text()
}

func TestANoticeIsDeliveredOnceAndSigned(t *testing.T) {
	h := newHook(t)
	b, db, _ := newOutbox(t, h)
	put(t, db, "n1", "Organization/harbor", "Organization/harbor")
	for want := 1; want >= 0; want-- {
		if n, err := b.Deliver(t.Context()); err != nil || n != want {
			t.Errorf("%d delivered, %v; want %d", n, err, want)
		}
	}
	if len(h.got) != 1 || !h.signed[0] {
		t.Fatalf("got %+v, signed %v", h.got, h.signed)
	}
	if g := h.got[0]; g.ID != "Communication/n1" || g.Kind != "emergency-disclosure" || strings.Join(g.About, " ") != "Task/t1 Communication/r1" ||
		g.Due != "2033-05-18T03:33:20.000Z" || g.Base != "https://gw.example/fhir" || g.Organization != "Organization/harbor" {
		t.Errorf("body: %+v", g)
	}
	if s := status(t, db, "n1"); s != "completed" {
		t.Errorf("status %s", s)
	}
}

func TestWhatIsNotTakenIsTriedAgainLater(t *testing.T) {
	for _, bad := range []int{http.StatusInternalServerError, http.StatusFound, http.StatusNotFound} {
		h := newHook(t)
		b, db, now := newOutbox(t, h)
		put(t, db, "n1", "Organization/harbor", "Organization/harbor")
		h.set(bad)
		for _, step := range []struct {
			pass time.Duration
			want int // tries so far
		}{{0, 1}, {4 * time.Second, 1}, {time.Second, 2}, {9 * time.Second, 2}, {time.Second, 3}} {
			*now = now.Add(step.pass)
			if n, err := b.Deliver(t.Context()); n != 0 || err != nil {
				t.Errorf("%d: %d, %v", bad, n, err)
			}
			if got := h.count(); got != step.want {
				t.Errorf("%d: %d tries, want %d", bad, got, step.want)
			}
		}
		if s := status(t, db, "n1"); s != "in-progress" {
			t.Errorf("%d: status %s", bad, s)
		}
		// Another process knows nothing of the failures and delivers.
		h.set(http.StatusOK)
		again, err := New(b.o)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := again.Deliver(t.Context()); n != 1 || err != nil {
			t.Errorf("%d: after a restart: %d, %v", bad, n, err)
		}
	}
}

func TestOneBadNoticeHoldsNobodyUp(t *testing.T) {
	h := newHook(t)
	b, db, _ := newOutbox(t, h)
	put(t, db, "a-nowhere", "Organization/other", "Organization/other")
	put(t, db, "b-forged", "Organization/harbor", "Organization/other")
	put(t, db, "c-good", "Organization/harbor", "Organization/harbor")
	if n, err := b.Deliver(t.Context()); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if h.count() != 1 || h.got[0].ID != "Communication/c-good" {
		t.Errorf("got %+v", h.got)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	h := newHook(t)
	b, db, _ := newOutbox(t, h)
	put(t, db, "n1", "Organization/harbor", "Organization/harbor")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	for start := time.Now(); h.count() == 0 && time.Since(start) < time.Minute; time.Sleep(5 * time.Millisecond) {
	}
	stop()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("still running")
	}
	if h.count() != 1 {
		t.Errorf("%d delivered", h.count())
	}
}

func TestAPartThatIsMissingIsRefused(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("an outbox of nothing")
	}
}
