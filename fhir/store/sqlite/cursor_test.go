package sqlite

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
)

// A next link is written in canonical form, whatever order the first request
// had: following it from page to page gives everything once.
func TestPagesFollowTheCanonicalForm(t *testing.T) {
	ctx := context.Background()
	db, err := Open(ctx, t.TempDir()+"/handoff.db", Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for i := range 9 {
		for _, raw := range []string{
			fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","name":[{"family":%q,"given":["Quinn"]}],"birthDate":"199%d-01-02"}`, i, []string{"O'Brien", "Fam"}[i%2], i),
			fmt.Sprintf(`{"resourceType":"Encounter","id":"e%d","status":"finished","class":{"code":%q}}`, i, []string{"IMP", "AMB"}[i%2]),
		} {
			r, err := resource.Parse([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Write(ctx, store.Write{Record: store.Record{Key: store.Key{Type: r.Type(), ID: r.ID()}, Raw: []byte(raw), Index: search.Index(r)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct{ typ, query string }{
		{"Patient", "name=Q&birthdate=ge1990&_count=2"},
		{"Patient", "family=O'BRIEN,FAM&_count=1"},
		{"Patient", "_count=2&_sort=-birthdate&family=fam,O'BRIEN,FAM&birthdate=lt2000,ge1990"},
		{"Patient", "name=q&name=q&birthdate=ap1995&_count=4"},
		{"Patient", "_id=p3,p1,p2,p1&_count=1&name=q"},
		{"Patient", "name=q&_sort=family,-birthdate&_count=2"},
		{"Encounter", "_sort=-date,status,class&_count=4"},
		{"Encounter", "class=IMP,AMB&_count=2"},
		{"Encounter", "status=finished&class=IMP,AMB&_sort=class&_count=2"},
	} {
		var got []string
		query, after := c.query, ""
		for range 20 {
			params, err := search.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			q, err := search.Parse(c.typ, params, search.Options{})
			if err != nil {
				t.Fatal(err)
			}
			plan := q.Plan()
			plan.After = after
			page, err := db.Search(ctx, plan)
			if err != nil {
				t.Fatalf("%s?%s, then %s: %v", c.typ, c.query, query, err)
			}
			for _, rec := range page.Records {
				got = append(got, rec.ID)
			}
			if query, after = q.Self(), page.Next; after == "" {
				break
			}
		}
		want := 9
		if c.query[:3] == "_id" {
			want = 3
		}
		slices.Sort(got)
		if len(got) != want || len(slices.Compact(got)) != want {
			t.Errorf("%s?%s: got %v", c.typ, c.query, got)
		}
	}
}
