package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/client"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/upstream"
	"github.com/handoff-health/handoff/gateway/upstream/upstreamtest"
)

func newFHIR(t testing.TB, base string, set func(*client.Options, *upstream.FHIROptions)) *upstream.FHIR {
	t.Helper()
	co := client.Options{System: "ehr", Base: base, Retries: 1, WaitMin: time.Millisecond, WaitMax: 2 * time.Millisecond, MaxPages: 10}
	fo := upstream.FHIROptions{Origin: resource.Origin{System: "ehr", Custodian: "Organization/ehr"}}
	if set != nil {
		set(&co, &fo)
	}
	c, err := client.New(co)
	if err != nil {
		t.Fatal(err)
	}
	fo.Client = c
	u, err := upstream.NewFHIR(fo)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestFHIRPassesTheSuite(t *testing.T) {
	upstreamtest.Run(t, func(t *testing.T, seed [][]byte) upstream.Upstream {
		s := upstreamtest.NewServer(t, seed...)
		s.PageSize = 40
		return newFHIR(t, s.Base(), nil)
	})
}

// records is an own store in memory.
type records map[store.Key]*store.Record

func (m records) Read(ctx context.Context, k store.Key) (*store.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r, ok := m[k]; ok {
		return r, nil
	}
	return nil, store.ErrNotFound
}

func (m records) Find(ctx context.Context, typ string, params url.Values, yield func(*store.Record) bool) error {
	for _, rec := range m {
		if err := ctx.Err(); err != nil {
			return err
		}
		if rec.Type == typ && (rec.Deleted || strings.Contains(string(rec.Raw), `"Patient/`+params.Get("patient")+`"`)) && !yield(rec) {
			return nil
		}
	}
	return ctx.Err()
}

func TestLocalPassesTheSuite(t *testing.T) {
	upstreamtest.Run(t, func(t *testing.T, seed [][]byte) upstream.Upstream {
		m := records{{Type: "Encounter", ID: "gone"}: {Key: store.Key{Type: "Encounter", ID: "gone"}, Deleted: true}}
		for _, raw := range seed {
			r := upstreamtest.Parse(t, raw)
			k := store.Key{Type: r.Type(), ID: r.ID()}
			m[k] = &store.Record{Key: k, Raw: raw, Origin: resource.Origin{System: "rms"}}
		}
		return upstream.NewLocal("own", m, m)
	})
}

func TestADamagedRecordIsNotHandedOn(t *testing.T) {
	k := store.Key{Type: "Observation", ID: "a"}
	for _, raw := range []string{`{`, `{"resourceType":"Patient","id":"a"}`, `{"resourceType":"Observation","id":"b"}`} {
		m := records{k: {Key: k, Raw: []byte(raw)}}
		u := upstream.NewLocal("own", m, m)
		if _, err := u.Read(context.Background(), "Observation", "a"); !errors.Is(err, upstream.ErrFailed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestBrokenServersGiveErrorsThatSayNothingOfThePatient(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		upstreamtest.JSON(w, 200, upstreamtest.Searchset())
	}))
	defer other.Close()
	for _, broken := range upstreamtest.BrokenServers(other.URL) {
		t.Run(broken.Name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewUnstartedServer(broken.Handler)
			s.Config.ErrorLog = nil
			s.Start()
			defer s.Close()
			u := newFHIR(t, s.URL+"/fhir", func(o *client.Options, _ *upstream.FHIROptions) {
				o.Tokens = fixedToken("secret-token")
				o.MaxPageBytes = 1 << 20
			})
			patience := 30 * time.Second // on a busy machine an answer takes its time
			if broken.Slow {
				patience = 200 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			start := time.Now()
			n := 0
			err := u.Search(ctx, "Observation", url.Values{"patient": {"p1"}}, func(it upstream.Item) bool {
				if upstream.About(it.Resource, u.Bases(), "p1") == upstream.Own {
					n++
				}
				return true
			})
			if took := time.Since(start); took > 20*time.Second { // what it does at once, or its deadline
				t.Errorf("took %v", took)
			}
			switch {
			case broken.Unclear:
				if err != nil || n != 0 {
					t.Errorf("%d entries, %v", n, err)
				}
			case broken.Empty:
				if err != nil || n != 0 {
					t.Errorf("%d entries, %v", n, err)
				}
			case broken.Suppressed:
				if !errors.Is(err, upstream.ErrSuppressed) {
					t.Errorf("got %v", err)
				}
			case err == nil:
				t.Error("the search ended as complete")
			case n > 0 && !broken.Partial:
				t.Errorf("%d entries came", n)
			}
			checkErrorText(t, err)
			_, err = u.Read(ctx, "Observation", "o1")
			if err == nil {
				t.Error("a read succeeded")
			}
			checkErrorText(t, err)
		})
	}
	t.Cleanup(func() {
		if n := elsewhere.Load(); n > 0 {
			t.Errorf("%d requests went to another origin", n)
		}
	})
}

type fixedToken string

func (f fixedToken) Token(context.Context) (string, error) { return string(f), nil }

func checkErrorText(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{"p1", "o1", "secret", "stack trace", "Please log in"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error gives %q away: %v", secret, err)
		}
	}
	if !strings.Contains(err.Error(), "ehr") {
		t.Errorf("the error does not name the system: %v", err)
	}
}

func TestALargeAnswerIsRefusedBeforeItIsHeld(t *testing.T) {
	var before, after runtime.MemStats
	for _, broken := range upstreamtest.BrokenServers("http://127.0.0.1:1") {
		if !strings.Contains(broken.Name, "MB") {
			continue
		}
		s := httptest.NewServer(broken.Handler)
		u := newFHIR(t, s.URL+"/fhir", nil)
		runtime.ReadMemStats(&before)
		err := u.Search(context.Background(), "Observation", url.Values{"patient": {"p1"}}, func(upstream.Item) bool { return true })
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "larger than") {
			t.Errorf("%s: %v", broken.Name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 100<<20 {
			t.Errorf("%s: %d MiB were allocated", broken.Name, got>>20)
		}
		s.CloseClientConnections()
		s.Close()
	}
}

func TestParametersFollowTheCapabilityStatement(t *testing.T) {
	s := upstreamtest.NewServer(t)
	caps := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fhir/metadata" {
			upstreamtest.JSON(w, 200, []byte(`{"resourceType":"CapabilityStatement","rest":[{"mode":"server","resource":[
				{"type":"Observation","searchParam":[{"name":"subject"},{"name":"category"}]},{"type":"Condition"},{"type":"Flag","searchParam":[{"name":"status"}]}]}]}`))
			return
		}
		s.ServeHTTP(w, r)
	})
	front := httptest.NewServer(caps)
	defer front.Close()
	u := newFHIR(t, front.URL+"/fhir", func(_ *client.Options, o *upstream.FHIROptions) {
		o.Fixed = map[string]url.Values{"*": {"tenant": {"7"}}, "Condition": {"category": {"problem-list-item"}, "code": {"x"}}}
	})
	ctx := context.Background()
	if err := u.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	params := url.Values{"patient": {"p1"}, "category": {"laboratory"}, "code": {"1"}}
	for _, typ := range []string{"Observation", "Condition", "Encounter"} {
		if err := u.Search(ctx, typ, params, func(upstream.Item) bool { return true }); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
	want := []string{
		"/fhir/Observation?category=laboratory&subject=Patient%2Fp1&tenant=7",
		"/fhir/Condition?category=laboratory&code=1&patient=p1&tenant=7",
	}
	if got := s.Queries(); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q", got)
	}
	if err := u.Search(ctx, "Flag", params, func(upstream.Item) bool { return true }); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("a type that cannot be asked by patient: %v", err)
	}
	if _, err := u.Read(ctx, "Encounter", "e1"); !errors.Is(err, upstream.ErrNotFound) {
		t.Errorf("a type that the server does not have: %v", err)
	}
}

func TestAboutBelievesOnlyALiteralReferenceToThePatient(t *testing.T) {
	bases := []string{"https://ehr.example/fhir"}
	tests := []struct {
		raw  string
		want upstream.Relation
	}{
		{`{"resourceType":"Patient","id":"p1"}`, upstream.Own},
		{`{"resourceType":"Patient","id":"p2","link":[{"other":{"reference":"Patient/p1"}}]}`, upstream.Foreign},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p1"}}`, upstream.Own},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p1/_history/2"}}`, upstream.Own},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"https://EHR.example:443/fhir/Patient/p1"}}`, upstream.Own},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"https://else.example/fhir/Patient/p1"}}`, upstream.Foreign},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"Group/p1"}}`, upstream.Foreign},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"#p1"}}`, upstream.Unclear},
		{`{"resourceType":"Observation","id":"o","subject":{"identifier":{"value":"p1"}}}`, upstream.Unclear},
		{`{"resourceType":"Consent","id":"c","patient":{"display":"One"}}`, upstream.Unclear},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p2"},"performer":[{"reference":"Patient/p1"}]}`, upstream.Foreign},
		{`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p1"},"patient":{"reference":"Patient/p2"}}`, upstream.Foreign},
		{`{"resourceType":"Observation","id":"o","subject":[{"reference":"Patient/p1"},{"reference":"Patient/p2"}]}`, upstream.Foreign},
		{`{"resourceType":"Consent","id":"c","patient":{"reference":"Patient/p1"}}`, upstream.Own},
		{`{"resourceType":"AllergyIntolerance","id":"a","patient":{"reference":"Patient/p1"}}`, upstream.Own},
		{`{"resourceType":"Coverage","id":"c","beneficiary":{"reference":"Patient/p1"}}`, upstream.Own},
		{`{"resourceType":"Coverage","id":"c","subject":{"reference":"Patient/p1"},"beneficiary":{"reference":"Patient/p2"}}`, upstream.Foreign},
		{`{"resourceType":"Task","id":"t","for":{"reference":"Patient/p1"}}`, upstream.Own},
		{`{"resourceType":"Appointment","id":"a","participant":[{"actor":{"reference":"Practitioner/1"}},{"actor":{"reference":"Patient/p1"}}]}`, upstream.Own},
		{`{"resourceType":"Appointment","id":"a","participant":[{"actor":{"reference":"Patient/p2"}}]}`, upstream.Foreign},
		{`{"resourceType":"Practitioner","id":"d"}`, upstream.Administrative},
		{`{"resourceType":"Binary","id":"b","contentType":"text/plain"}`, upstream.Unclear},
		{`{"resourceType":"Basic","id":"b"}`, upstream.Unclear},
	}
	for _, tt := range tests {
		if got := upstream.About(upstreamtest.Parse(t, []byte(tt.raw)), bases, "p1"); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.raw, got, tt.want)
		}
	}
	if got := upstream.About(upstreamtest.Parse(t, []byte(tests[2].raw)), bases, ""); got != upstream.Foreign {
		t.Errorf("without a patient: %d", got)
	}
}

func TestLocalOverARealStorePassesTheSuite(t *testing.T) {
	upstreamtest.Run(t, func(t *testing.T, seed [][]byte) upstream.Upstream {
		db := backendtest.Open(t, backend.Options{})
		for _, raw := range seed {
			r := upstreamtest.Parse(t, raw)
			_, err := db.Write(context.Background(), store.Write{Record: store.Record{
				Key: store.Key{Type: r.Type(), ID: r.ID()}, Raw: raw, Index: search.Index(r), Origin: resource.Origin{System: "rms"},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		return upstream.NewLocal("own", db, upstream.StoreFinder{Store: db})
	})
}
