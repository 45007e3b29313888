package upstreamtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// Seed is what a system under test holds: two patients, 130 observations of the
// first and one of the second, an encounter and an organisation.
func Seed() [][]byte {
	seed := [][]byte{
		[]byte(`{"resourceType":"Patient","id":"p1","name":[{"family":"One"}]}`),
		[]byte(`{"resourceType":"Patient","id":"p2","name":[{"family":"Two"}]}`),
		[]byte(`{"resourceType":"Organization","id":"org","name":"Org"}`),
		[]byte(`{"resourceType":"Encounter","id":"e1","status":"finished","subject":{"reference":"Patient/p1"}}`),
		observation("other", "p2"),
	}
	for i := range 130 {
		seed = append(seed, observation(fmt.Sprintf("o%03d", i), "p1"))
	}
	return seed
}

func observation(id, patient string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2951-2"}]},"subject":{"reference":"Patient/%s"},"valueDecimal":1.00}`, id, patient)
}

// Run tries an upstream that open makes over the seed.
func Run(t *testing.T, open func(t *testing.T, seed [][]byte) upstream.Upstream) {
	u := open(t, Seed())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	search := func(typ string, params url.Values) (ids []string, err error) {
		err = u.Search(ctx, typ, params, func(it upstream.Item) bool {
			if it.Resource.Type() != typ {
				t.Errorf("a search for %s gave %s", typ, it.Resource.Type())
			}
			ids = append(ids, it.Resource.ID())
			return true
		})
		return ids, err
	}
	t.Run("has a name and clean bases", func(t *testing.T) {
		if u.Name() == "" {
			t.Error("no name")
		}
		for _, b := range u.Bases() {
			if strings.HasSuffix(b, "/") || !strings.Contains(b, "://") {
				t.Errorf("base %q", b)
			}
		}
	})
	t.Run("reads a resource byte for byte", func(t *testing.T) {
		it, err := u.Read(ctx, "Observation", "o001")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(it.Resource.Raw()), string(observation("o001", "p1")); got != want {
			t.Errorf("got %s", got)
		}
		if it.Origin.System == "" {
			t.Error("no origin")
		}
	})
	t.Run("tells what is not there", func(t *testing.T) {
		for _, k := range [][2]string{{"Observation", "nobody"}, {"Patient", "o001"}, {"Encounter", "p1"}} {
			if _, err := u.Read(ctx, k[0], k[1]); !errors.Is(err, upstream.ErrNotFound) {
				t.Errorf("%v: %v", k, err)
			} else if strings.Contains(err.Error(), k[1]) {
				t.Errorf("the error names an id: %v", err)
			}
		}
	})
	t.Run("finds all of a patient over its pages", func(t *testing.T) {
		ids, err := search("Observation", url.Values{"patient": {"p1"}})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) < 130 || !slices.Contains(ids, "o129") {
			t.Errorf("%d found", len(ids))
		}
	})
	t.Run("finds nothing where nothing is", func(t *testing.T) {
		if ids, err := search("Encounter", url.Values{"patient": {"p2"}}); err != nil || len(ids) > 0 {
			t.Errorf("%v, %v", ids, err)
		}
	})
	t.Run("stops when it is told to", func(t *testing.T) {
		n := 0
		err := u.Search(ctx, "Observation", url.Values{"patient": {"p1"}}, func(upstream.Item) bool { n++; return n < 3 })
		if err != nil || n != 3 {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := u.Search(gone, "Observation", url.Values{"patient": {"p1"}}, func(upstream.Item) bool { return true }); err == nil {
			t.Error("a search went on")
		}
		if _, err := u.Read(gone, "Observation", "o001"); err == nil || errors.Is(err, upstream.ErrNotFound) {
			t.Errorf("a read went on: %v", err)
		}
	})
}

// Parse is resource.Parse for seeds.
func Parse(tb testing.TB, raw []byte) *resource.Resource {
	tb.Helper()
	r, err := resource.Parse(raw)
	if err != nil {
		tb.Fatalf("%v in %s", err, raw)
	}
	return r
}
