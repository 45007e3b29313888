package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/client"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/identity/identitytest"
	"github.com/handoff-health/handoff/gateway/upstream"
	"github.com/handoff-health/handoff/gateway/upstream/upstreamtest"
)

var slugs = map[string]string{"alpha": "qx", "beta": "kelp", "gamma": "m"}

func fhirSystem(t testing.TB, name, base string) upstream.Upstream {
	t.Helper()
	c, err := client.New(client.Options{System: name, Base: base, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	u, err := upstream.NewFHIR(upstream.FHIROptions{Client: c, Origin: resource.Origin{System: name, Custodian: "Organization/" + name}})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func handler(t testing.TB, name string, h http.HandlerFunc) upstream.Upstream {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return fhirSystem(t, name, s.URL+"/fhir")
}

func newBroker(t testing.TB, set func(*Options), systems ...upstream.Upstream) *Broker {
	t.Helper()
	o := Options{Timeout: time.Minute, Overall: time.Minute} // on a busy machine an answer takes its time
	o.IDs = testIDs(t, slugs)
	for _, u := range systems {
		o.Systems = append(o.Systems, System{Upstream: u})
	}
	if set != nil {
		set(&o)
	}
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func collect(t testing.TB, b *Broker, q Query) ([]Entry, Answer) {
	t.Helper()
	var out []Entry
	a, err := b.Search(context.Background(), q, func(e Entry) bool { out = append(out, e); return true })
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Remote, b.Remote) })
	return out, a
}

func TestSearchAsksAllSystemsAndRenamesWhatComes(t *testing.T) {
	one := upstreamtest.NewServer(t, observation("o1", "p1"), observation("o2", "p1"), observation("o3", "p2"))
	two := upstreamtest.NewServer(t, observation("o9", "77"))
	b := newBroker(t, nil, fhirSystem(t, "alpha", one.Base()), fhirSystem(t, "beta", two.Base()))
	got, a := collect(t, b, Query{Type: "Observation", Targets: []Target{{System: "alpha", ID: "p1"}, {System: "beta", ID: "77"}}})
	if a.Incomplete || len(a.Failed) > 0 || len(got) != 3 {
		t.Fatalf("%d entries, %+v", len(got), a)
	}
	for i, want := range []struct{ system, remote, slug string }{{"alpha", "Observation/o1", "qx-"}, {"alpha", "Observation/o2", "qx-"}, {"beta", "Observation/o9", "kelp-"}} {
		e := got[i]
		if e.System != want.system || e.Remote != want.remote || !strings.HasPrefix(e.Resource.ID(), want.slug) || e.Origin.System != want.system {
			t.Errorf("entry %d: %s %s %s %+v", i, e.System, e.Remote, e.Resource.ID(), e.Origin)
		}
		system, id, ok, err := b.o.IDs.Resolve(context.Background(), "Observation", e.Resource.ID())
		if system != want.system || "Observation/"+id != want.remote || !ok || err != nil {
			t.Errorf("entry %d does not lead back: %q %q %v %v", i, system, id, ok, err)
		}
	}
	subject, ok := b.o.IDs.Opaque("alpha", "Patient", "p1")
	if !ok || !got[0].Resource.Root().Path("subject", "reference").Is("Patient/"+subject) {
		t.Errorf("subject is %s", got[0].Resource.Root().Path("subject", "reference").Text())
	}
}

func TestNothingOfTheCallerGoesOut(t *testing.T) {
	s := upstreamtest.NewServer(t, patient("p1"))
	b := newBroker(t, nil, fhirSystem(t, "alpha", s.Base()))
	b.o.Timeout = time.Second
	params := url.Values{
		"patient": {"Patient/own-77"}, "subject": {"Patient/own-77"}, "subject:Patient.name": {"Lee"}, "patient.birthdate": {"1984-06-12"},
		"identifier": {"urn:mni|77"}, "name": {"Ann"}, "birthdate": {"1984-06-12"}, "_count": {"7"}, "_sort": {"-date"}, "_has:Encounter:subject:_id": {"own"},
		"category": {"laboratory", "Ann Lee"}, "code": {"http://loinc.org|2951-2,8867-4"}, "code:text": {"suicide"}, "status": {"final", "a@b.c"},
		"date": {"ge2026-03-01", "lt2026-04", "eq2026-03-05", "2026-03-05", "ge2026-03-01T00:00:00-07:00", "gexx"}, "encounter": {"Encounter/own"},
		"value-string": {"x"}, "_lastUpdated": {"gt2025"},
	}
	for _, typ := range []string{"Observation", "Patient"} {
		if _, err := b.Search(context.Background(), Query{Type: typ, Params: params, Targets: []Target{{System: "alpha", ID: "p1"}}}, func(Entry) bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	if _, a := collect(t, b, Query{Type: "Practitioner", Targets: []Target{{System: "alpha", ID: "p1"}}}); a.Incomplete {
		t.Errorf("a type that is about no patient: %+v", a)
	}
	got := s.Queries()
	if len(got) != 2 {
		t.Fatal(got)
	}
	u, err := url.Parse(got[0])
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"patient": {"p1"}, "_count": {"100"}, "category": {"laboratory"}, "code": {"http://loinc.org|2951-2,8867-4"}, "status": {"final"},
		"date": {"ge2026-02-28", "le2026-05-01", "ge2026-02-28"}, "_lastUpdated": {"ge2024-12-31"},
	}
	if u.Path != "/fhir/Observation" || u.Query().Encode() != want.Encode() {
		t.Errorf("got  %s\nwant %s", u.Query().Encode(), want.Encode())
	}
	if got[1] != "/fhir/Patient/p1" {
		t.Errorf("the Patient was asked for by %s", got[1])
	}
}

func TestIDsOfTheGatewayBecomeTheSystemsOwn(t *testing.T) {
	one, two := upstreamtest.NewServer(t, observation("o1", "p1"), observation("o2", "p1")), upstreamtest.NewServer(t, observation("o1", "p1"))
	b := newBroker(t, nil, fhirSystem(t, "alpha", one.Base()), fhirSystem(t, "beta", two.Base()))
	id, err := b.o.IDs.Forward(context.Background(), "alpha", "Observation", "o2")
	if err != nil {
		t.Fatal(err)
	}
	targets := []Target{{System: "alpha", ID: "p1"}, {System: "beta", ID: "p1"}}
	got, a := collect(t, b, Query{Type: "Observation", Params: url.Values{"_id": {id + ",own-1,kelp-forged"}}, Targets: targets})
	if len(got) != 1 || got[0].Remote != "Observation/o2" || a.Incomplete {
		t.Errorf("%+v %+v", got, a)
	}
	if len(two.Queries()) > 0 {
		t.Errorf("a system that cannot match was asked: %v", two.Queries())
	}
	if got, _ := collect(t, b, Query{Type: "Patient", Params: url.Values{"_id": {id}}, Targets: targets}); len(got) > 0 || len(two.Queries()) > 0 {
		t.Errorf("%+v", got)
	}
}

// soon is far beyond the deadline of a system that hangs, however busy the machine is,
// and far before what a request has in all.
const soon = 30 * time.Second

func TestAHungSystemDelaysNothingBeyondItsDeadline(t *testing.T) {
	good := upstreamtest.NewServer(t, observation("o1", "p1"))
	hung := handler(t, "beta", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	b := newBroker(t, func(o *Options) { o.Systems[1].Timeout = 100 * time.Millisecond }, fhirSystem(t, "alpha", good.Base()), hung)
	start := time.Now()
	got, a := collect(t, b, Query{Type: "Observation", Targets: []Target{{System: "beta", ID: "1"}, {System: "alpha", ID: "p1"}}})
	if took := time.Since(start); took > soon {
		t.Errorf("took %v", took)
	}
	if len(got) != 1 || !a.Incomplete || !slices.Equal(a.Failed, []string{"beta"}) || a.Reports[0].Outcome != Failed || a.Reports[1].Outcome != Complete {
		t.Errorf("%+v", a)
	}
	start = time.Now()
	if _, err := b.Read(context.Background(), "beta", "Observation", "x", ""); !errors.Is(err, upstream.ErrFailed) || time.Since(start) > soon {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// deaf is an upstream that hears neither deadline nor cancellation.
type deaf struct{ release chan struct{} }

func (d deaf) Name() string    { return "beta" }
func (d deaf) Bases() []string { return []string{"https://deaf.example"} }
func (d deaf) Read(context.Context, string, string) (upstream.Item, error) {
	<-d.release
	return upstream.Item{}, upstream.ErrFailed
}

func (d deaf) Search(context.Context, string, url.Values, func(upstream.Item) bool) error {
	<-d.release
	return nil
}

func TestEvenADeafSystemIsNotWaitedFor(t *testing.T) {
	d := deaf{make(chan struct{})}
	defer close(d.release)
	b := newBroker(t, func(o *Options) { o.Timeout = 100 * time.Millisecond }, d)
	start := time.Now()
	_, a := collect(t, b, Query{Type: "Observation", Targets: []Target{{System: "beta", ID: "1"}}})
	if took := time.Since(start); took > soon || !a.Incomplete {
		t.Errorf("%v, %+v", took, a)
	}
}

func TestBrokenSystemsAreReportedAndTheOthersAnswer(t *testing.T) {
	good := upstreamtest.NewServer(t, observation("o1", "p1"))
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for _, broken := range upstreamtest.BrokenServers(other.URL) {
		t.Run(broken.Name, func(t *testing.T) {
			b := newBroker(t, func(o *Options) {
				if broken.Slow {
					o.Systems[1].Timeout = 200 * time.Millisecond
				}
			}, fhirSystem(t, "alpha", good.Base()), handler(t, "beta", broken.Handler))
			got, a := collect(t, b, Query{Type: "Observation", Targets: []Target{{System: "alpha", ID: "p1"}, {System: "beta", ID: "p1"}}})
			fromGood := 0
			for _, e := range got {
				if e.System == "alpha" {
					fromGood++
				}
				if !strings.HasPrefix(e.Resource.ID(), slugs[e.System]+"-") {
					t.Errorf("id %s", e.Resource.ID())
				}
			}
			if fromGood != 1 {
				t.Errorf("%d entries of the good system", fromGood)
			}
			rep := a.Reports[1]
			switch {
			case broken.Empty:
				if a.Incomplete || len(got) != 1 || rep.Outcome != Complete {
					t.Errorf("%d entries, %+v", len(got), a)
				}
			case broken.Unclear:
				if !a.Incomplete || len(got) != 1 || rep.Outcome != Partial || rep.Foreign != 1 {
					t.Errorf("%d entries, %+v", len(got), a)
				}
			case broken.Suppressed:
				if a.Incomplete || len(a.Failed) > 0 || rep.Outcome != Suppressed {
					t.Errorf("%+v", a)
				}
			default:
				if !a.Incomplete || !slices.Equal(a.Failed, []string{"beta"}) || rep.Err == nil {
					t.Errorf("%+v", a)
				}
			}
			if !broken.Partial && len(got) != 1 {
				t.Errorf("%d entries", len(got))
			}
		})
	}
}

func TestAConsentThatIsWithheldOrUnclearIsMissing(t *testing.T) {
	for name, body := range map[string]string{
		"withheld": `{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"suppressed"}]}}`,
		"unclear":  `{"resource":{"resourceType":"Consent","id":"c","patient":{"identifier":{"value":"1"}}}}`,
	} {
		b := newBroker(t, nil, handler(t, "alpha", func(w http.ResponseWriter, _ *http.Request) {
			upstreamtest.JSON(w, 200, []byte(`{"resourceType":"Bundle","type":"searchset","entry":[`+body+`]}`))
		}))
		if _, a := collect(t, b, Query{Type: "Consent", Targets: []Target{{System: "alpha", ID: "p1"}}}); !a.Incomplete {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestReadTellsOnlyKnownErrors(t *testing.T) {
	s := upstreamtest.NewServer(t, observation("o1", "p1"))
	b := newBroker(t, nil, fhirSystem(t, "alpha", s.Base()))
	ctx := context.Background()
	e, err := b.Read(ctx, "alpha", "Observation", "o1", "")
	if err != nil || e.Remote != "Observation/o1" || !strings.HasPrefix(e.Resource.ID(), "qx-") {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := b.Read(ctx, "alpha", "Observation", "nobody", ""); !errors.Is(err, upstream.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	if _, err := b.Read(ctx, "alpha", "Observation", "../x", ""); !errors.Is(err, upstream.ErrNotFound) {
		t.Errorf("no id: %v", err)
	}
	if _, err := b.Read(ctx, "nobody", "Observation", "x", ""); !errors.Is(err, ErrUnknownSystem) {
		t.Errorf("no system: %v", err)
	}
	if _, err := b.Search(ctx, Query{Type: "Observation", Targets: []Target{{System: "nobody", ID: "x"}}}, nil); !errors.Is(err, ErrUnknownSystem) {
		t.Errorf("no system: %v", err)
	}
}

func TestAStoreThatFailsKeepsEntriesBackAndBlamesNoSystem(t *testing.T) {
	f := &identitytest.Facts{}
	ids, err := identity.NewIDMap(f, testKey, slugs)
	if err != nil {
		t.Fatal(err)
	}
	boom := errors.New("disk full")
	f.Fail.Store(&boom)
	s := upstreamtest.NewServer(t, observation("o1", "p1"))
	b := newBroker(t, func(o *Options) { o.IDs = ids }, fhirSystem(t, "alpha", s.Base()))
	for range 10 {
		got, a := collect(t, b, Query{Type: "Observation", Targets: []Target{{System: "alpha", ID: "p1"}}})
		if len(got) > 0 || !a.Incomplete {
			t.Fatalf("%d entries, %+v", len(got), a)
		}
	}
	if _, err := b.Read(context.Background(), "alpha", "Observation", "o1", ""); err == nil {
		t.Error("a read gave an id that leads nowhere")
	}
	f.Fail.Store(nil)
	if got, a := collect(t, b, Query{Type: "Observation", Targets: []Target{{System: "alpha", ID: "p1"}}}); len(got) != 1 || a.Incomplete {
		t.Errorf("afterwards: %d entries, %+v", len(got), a)
	}
}

func TestTheBreakerOpensProbesAndCloses(t *testing.T) {
	var asked atomic.Int64
	var healthy atomic.Bool
	good := upstreamtest.NewServer(t, observation("o1", "p1"))
	u := handler(t, "alpha", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if healthy.Load() {
			good.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	var mu sync.Mutex
	now := time.Now()
	b := newBroker(t, func(o *Options) {
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	}, u)
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	read := func() error { _, err := b.Read(context.Background(), "alpha", "Observation", "o1", ""); return err }
	for range 4 {
		_ = read()
	}
	pass(11 * time.Second) // those are too old to count
	for range 20 {
		_ = read()
	}
	if n := asked.Load(); n != 9 {
		t.Fatalf("asked %d times, want 4 and 5", n)
	}
	pass(10 * time.Second)
	_ = read()
	_ = read()
	if n := asked.Load(); n != 10 {
		t.Errorf("half open: asked %d times, want one probe", n-9)
	}
	healthy.Store(true)
	if read() == nil {
		t.Error("a failed probe closed the breaker")
	}
	pass(10 * time.Second)
	for range 3 {
		if err := read(); err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyASystemsOwnFailureOpensTheBreaker(t *testing.T) {
	b := newBreaker(BreakerOptions{Failures: 2}, time.Now)
	for range 10 {
		for _, r := range []result{abandoned, success} {
			done, ok := b.allow()
			if !ok {
				t.Fatal("open")
			}
			done(r)
		}
	}
	hung := handler(t, "alpha", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	br := newBroker(t, func(o *Options) { o.Timeout, o.Overall = 5*time.Second, 5*time.Second }, hung)
	for range 10 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		_, _ = br.Read(ctx, "alpha", "Observation", "x", "")
		cancel()
	}
	time.Sleep(50 * time.Millisecond)
	if _, ok := br.systems["alpha"].breaker.allow(); !ok {
		t.Error("callers who went away early opened the breaker")
	}
	quick := newBroker(t, func(o *Options) { o.Timeout = 20 * time.Millisecond }, hung)
	for range 6 {
		_, _ = quick.Read(context.Background(), "alpha", "Observation", "x", "")
	}
	eventually(t, "a system that hangs opens the breaker", func() bool {
		_, ok := quick.systems["alpha"].breaker.allow()
		return !ok
	})
}

func TestNotMoreThanTheSlotsAreAskedAtOnce(t *testing.T) {
	var now, most atomic.Int64
	u := handler(t, "alpha", func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		upstreamtest.JSON(w, 200, observation("o1", "p1"))
	})
	b := newBroker(t, func(o *Options) { o.Concurrency = 3 }, u)
	var wg sync.WaitGroup
	for range 30 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := b.Read(context.Background(), "alpha", "Observation", "o1", ""); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if most.Load() > 3 {
		t.Errorf("%d at once", most.Load())
	}
}

// waiting counts those who wait for answers that can be shared.
func waiting(b *Broker) (n int) {
	b.flights.mu.Lock()
	defer b.flights.mu.Unlock()
	for _, f := range b.flights.open {
		f.mu.Lock()
		n += len(f.readers)
		f.mu.Unlock()
	}
	return n
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func TestOnlyEqualKeysShareAnAnswer(t *testing.T) {
	var asked atomic.Int64
	gate := make(chan struct{})
	u := handler(t, "alpha", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-gate
		if strings.HasSuffix(r.URL.Path, "/o1") {
			upstreamtest.JSON(w, 200, observation("o1", "p1"))
			return
		}
		upstreamtest.JSON(w, 200, upstreamtest.Searchset(observation("o1", "p1"), observation("o2", "p1")))
	})
	b := newBroker(t, nil, u)
	var wg sync.WaitGroup
	var entries atomic.Int64
	for _, key := range []string{"token1|TREAT", "token1|TREAT", "token1|TREAT", "token1|CRISIS", "token2|TREAT", "", ""} {
		for range 2 {
			wg.Add(2)
			go func() {
				defer wg.Done()
				if _, err := b.Read(context.Background(), "alpha", "Observation", "o1", key); err != nil {
					t.Error(err)
				}
			}()
			go func() {
				defer wg.Done()
				got, a := collect(t, b, Query{Type: "Observation", Share: key, Targets: []Target{{System: "alpha", ID: "p1"}}})
				entries.Add(int64(len(got)))
				if a.Incomplete {
					t.Errorf("%+v", a)
				}
			}()
		}
	}
	// Three keys, and four without one: each a read and a search.
	eventually(t, "all who share an answer wait for it", func() bool { return asked.Load() == 14 && waiting(b) == 20 })
	close(gate)
	wg.Wait()
	if n := asked.Load(); n != 14 {
		t.Errorf("asked %d times, want 14", n)
	}
	if n := entries.Load(); n != 28 {
		t.Errorf("%d entries, want 28", n)
	}
}

func TestOneCallerWhoLeavesDoesNotSpoilItForTheOthers(t *testing.T) {
	gate := make(chan struct{})
	u := handler(t, "alpha", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			upstreamtest.JSON(w, 200, observation("o1", "p1"))
		case <-r.Context().Done():
		}
	})
	b := newBroker(t, nil, u)
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() { _, err := b.Read(ctx, "alpha", "Observation", "o1", "k"); first <- err }()
	eventually(t, "the first waits", func() bool { return waiting(b) == 1 })
	second := make(chan error, 1)
	go func() { _, err := b.Read(context.Background(), "alpha", "Observation", "o1", "k"); second <- err }()
	eventually(t, "the second joins it", func() bool { return waiting(b) == 2 })
	cancel()
	if err := <-first; err == nil {
		t.Error("the first got an answer")
	}
	close(gate)
	if err := <-second; err != nil {
		t.Errorf("the second: %v", err)
	}
}

func TestALargeSearchStreamsAndIsBounded(t *testing.T) {
	var seed [][]byte
	for i := range 3000 {
		seed = append(seed, observation(fmt.Sprint("o", i), "p1"))
	}
	s := upstreamtest.NewServer(t, seed...)
	q := Query{Type: "Observation", Share: "k", Targets: []Target{{System: "alpha", ID: "p1"}}}
	b := newBroker(t, nil, fhirSystem(t, "alpha", s.Base()))
	if got, a := collect(t, b, q); len(got) != 3000 || a.Incomplete {
		t.Errorf("%d entries, %+v", len(got), a)
	}
	b = newBroker(t, func(o *Options) { o.MaxEntries = 100 }, fhirSystem(t, "alpha", s.Base()))
	if got, a := collect(t, b, q); len(got) != 100 || !a.Incomplete || a.Reports[0].Outcome != Partial {
		t.Errorf("%d entries, %+v", len(got), a)
	}
	b = newBroker(t, func(o *Options) { o.MaxBytes = 20_000 }, fhirSystem(t, "alpha", s.Base()))
	if got, a := collect(t, b, q); len(got) == 0 || len(got) > 20 || !a.Incomplete {
		t.Errorf("%d entries, %+v", len(got), a)
	}
	b = newBroker(t, nil, fhirSystem(t, "alpha", s.Base()))
	n := 0
	a, err := b.Search(context.Background(), q, func(Entry) bool { n++; return n < 5 })
	if err != nil || n != 5 || a.Incomplete || !a.Stopped {
		t.Errorf("%d entries, %+v, %v", n, a, err)
	}
}

func TestASlowReaderHoldsLittle(t *testing.T) {
	f := &flight{owner: &flights{}, change: make(chan struct{}), readers: map[*int]bool{}, cancel: func(error) {}}
	r := f.reader()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	item := Entry{Item: upstream.Item{Resource: upstreamtest.Parse(t, observation("o1", "p1"))}}
	size := len(item.Resource.Raw())
	go func() {
		for range 5000 {
			f.put(ctx, item)
		}
		f.end(nil)
	}()
	n := 0
	if _, err := r.each(ctx, func(Entry) bool {
		f.mu.Lock()
		held := f.bytes
		f.mu.Unlock()
		if held > shareBytes+size {
			t.Errorf("%d bytes held", held)
		}
		n++
		return true
	}); err != nil || n != 5000 {
		t.Errorf("%d, %v", n, err)
	}
	if f.reader() != nil {
		t.Error("a flight that has ended can be joined")
	}
}

func TestNoGoroutineIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	func() {
		good := upstreamtest.NewServer(t, observation("o1", "p1"), observation("o2", "p1"))
		hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		defer hung.Close()
		tr := client.NewTransport()
		system := func(name, base string) upstream.Upstream {
			c, err := client.New(client.Options{System: name, Base: base, Transport: tr, Retries: -1})
			if err != nil {
				t.Fatal(err)
			}
			u, err := upstream.NewFHIR(upstream.FHIROptions{Client: c, Origin: resource.Origin{System: name}})
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		b := newBroker(t, func(o *Options) { o.Timeout, o.Overall = 50*time.Millisecond, 60*time.Millisecond }, system("alpha", good.Base()), system("beta", hung.URL))
		for i := range 20 {
			ctx, cancel := context.WithCancel(context.Background())
			_, _ = b.Search(ctx, Query{Type: "Observation", Share: fmt.Sprint(i % 2), Targets: []Target{{System: "alpha", ID: "p1"}, {System: "beta", ID: "1"}}}, func(Entry) bool {
				if i%3 == 0 {
					cancel()
				}
				return i%2 == 0
			})
			cancel()
		}
		tr.CloseIdleConnections()
		hung.CloseClientConnections()
		good.CloseClientConnections()
	}()
	for range 1000 {
		if runtime.NumGoroutine() <= before+4 { // the server that ends with the test
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}
