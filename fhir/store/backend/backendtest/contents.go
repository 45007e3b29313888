package backendtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// A Content is one thing that a store holds: where it stands, and all of its text.
type Content struct{ Where, Text string }

// Contents reads everything that a store holds: every version of every resource with
// its origin, labels, search entries and claims, every fact, every entry of every
// stream. For tests about what must not be there any more.
func Contents(t testing.TB, db backend.Backend) []Content {
	t.Helper()
	out, err := contents(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const contentsPage = 200

func contents(ctx context.Context, db backend.Backend) (out []Content, err error) {
	for after := (store.Key{}); ; {
		keys, err := db.Keys(ctx, after, contentsPage)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			break
		}
		wants := make([]store.Since, len(keys))
		for i, k := range keys {
			wants[i].Key = k
		}
		err = db.Archive(ctx, wants, func(a *store.Archived) error {
			for _, v := range a.Versions {
				out = append(out, Content{fmt.Sprintf("%s/_history/%d", a.Key, v.Version), fmt.Sprintf("%s %s %+v %q %q", a.Key, v.Raw, v.Origin, v.Labels, v.Index)})
			}
			if len(a.Claims) > 0 {
				out = append(out, Content{a.Key.String() + " claims", fmt.Sprintf("%q", a.Claims)})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		after = keys[len(keys)-1]
	}
	for after := ""; ; {
		fs, err := db.Scan(ctx, "", after, contentsPage)
		if err != nil {
			return nil, err
		}
		for _, f := range fs {
			out = append(out, Content{"fact " + f.Key, f.Key + " " + string(f.Value)})
			after = f.Key
		}
		if len(fs) < contentsPage {
			break
		}
	}
	return entries(ctx, db, out)
}

func entries(ctx context.Context, db backend.Backend, out []Content) ([]Content, error) {
	for after := ""; ; {
		streams, err := db.Streams(ctx, after, contentsPage)
		if err != nil || len(streams) == 0 {
			return out, err
		}
		for _, s := range streams {
			after = s.Name
			for from := uint64(1); ; {
				es, err := db.ReadFrom(ctx, s.Name, from, contentsPage)
				if err != nil {
					return nil, err
				}
				for _, e := range es {
					out = append(out, Content{fmt.Sprintf("stream %s %d", s.Name, e.Seq), s.Name + " " + string(e.Data)})
					from = e.Seq + 1
				}
				if len(es) < contentsPage {
					break
				}
			}
		}
	}
}

// Holding lists where a store's contents have one of the texts, whatever the case.
func Holding(list []Content, texts ...string) (found []string) {
	for _, c := range list {
		for _, text := range texts {
			if strings.Contains(strings.ToUpper(c.Text), strings.ToUpper(text)) {
				found = append(found, fmt.Sprintf("%q in %s: %.200s", text, c.Where, c.Text))
			}
		}
	}
	return found
}
