package search

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// stretchesOf counts the stretches of a plan in all, however they are nested.
func stretchesOf(e store.Expr) (n int) {
	for _, a := range e.Args {
		n += stretchesOf(a)
	}
	if len(e.Args) == 0 && e.Op != store.Equal && e.Op != store.All {
		n = 1
	}
	return n
}

// A query of very many values costs a store no more than one of many, and its plan
// still finds whatever the query matches.
func TestAPlanOfManyValuesHasFewStretches(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // test data
	day := func() string {
		return time.Date(1940, 1, 1+rng.IntN(25_000), 0, 0, 0, 0, time.UTC).Format([]string{time.DateOnly, "2006-01", "2006"}[rng.IntN(3)])
	}
	word := func() string {
		return strings.ToLower(fmt.Sprintf("%c%c%c", 'a'+rng.IntN(26), 'a'+rng.IntN(26), 'a'+rng.IntN(26)))[:1+rng.IntN(3)]
	}
	values := map[string]func() string{
		"birthdate": func() string { return []string{"", "", "", "gt", "le", "sa", "eb"}[rng.IntN(7)] + day() },
		"family":    word, "given": word, "_lastUpdated": day,
		"identifier": func() string { return []string{"", "urn:mrn|"}[rng.IntN(2)] + word() },
		"telecom":    word,
	}
	matched, loose := 0, 0
	for range 60 {
		var parts []string
		for name, value := range values {
			if rng.IntN(3) > 0 {
				continue
			}
			var of []string
			for range 1 + rng.IntN(MaxValues/2) {
				of = append(of, value())
			}
			parts = append(parts, name+"="+strings.Join(of, ","))
		}
		if len(parts) == 0 {
			continue
		}
		q := parse(t, "Patient", strings.Join(parts, "&"))
		p := q.Plan()
		// Start, end and what stands alone of each parameter have as many as it has.
		if n := stretchesOf(p.Where); n > 4*maxStretches {
			t.Errorf("%d stretches of %d parameters", n, len(parts))
		}
		for range 50 {
			r := read(t, fmt.Sprintf(`{"resourceType":"Patient","id":"p","meta":{"lastUpdated":"%sT10:00:00Z"},"birthDate":%q,"name":[{"family":%q,"given":[%q]}],"identifier":[{"system":"urn:mrn","value":%q}],"telecom":[{"value":%q}]}`,
				time.Date(1940, 1, 1+rng.IntN(25_000), 0, 0, 0, 0, time.UTC).Format(time.DateOnly), day(), word(), word(), word(), word()))
			is, finds := q.Match(r), found(p.Where, r, Index(r))
			switch {
			case is && !finds:
				t.Fatalf("%s is not found by %+v of %s", r.Root().Raw(), p.Where, q.Self())
			case is:
				matched++
			case finds:
				loose++
			}
		}
	}
	if matched < 100 {
		t.Errorf("%d were matched: too few to show anything", matched)
	}
	t.Logf("%d matched, %d more found", matched, loose)
}

// The dearest queries that are read, and those that people ask.
func TestStretchesOfPlans(t *testing.T) {
	list := func(n int, value func(int) string) string {
		var of []string
		for i := range n {
			of = append(of, value(i))
		}
		return strings.Join(of, ",")
	}
	year := func(i int) string { return fmt.Sprint(1500 + 2*i) }
	code := func(i int) string { return fmt.Sprintf("%d-%d", 1000+7*i, i%10) }
	four := func(name string, value func(int) string) string {
		var parts []string
		for k := range 4 {
			parts = append(parts, name+"="+list(MaxValues, func(i int) string { return value(i*5 + k) }))
		}
		return strings.Join(parts, "&")
	}
	for name, x := range map[string]struct {
		query string
		most  int
	}{
		"few stay as they are": {"birthdate=1970,1980,1990&family=a,b,c", 9},
		"64 words stay":        {"family=" + list(64, code), 64},
		"words":                {"family=" + list(MaxValues, code), 64},
		"four times words":     {four("family", code), 64},
		"dates":                {"birthdate=" + list(MaxValues, year), 128},
		"four times dates":     {four("birthdate", year), 128},
		"dates of months":      {"birthdate=" + list(MaxValues, func(i int) string { return fmt.Sprintf("2001-%02d-%02d", 1+i/28%12, 1+i%28) }), 20},
		"tokens of a system":   {"identifier=" + list(MaxValues, func(i int) string { return "u|" + fmt.Sprint(i) }), 0},
	} {
		p := parse(t, "Patient", x.query).Plan()
		if n := stretchesOf(p.Where); n > x.most {
			t.Errorf("%s: %d stretches, at most %d are expected", name, n, x.most)
		}
	}
}
