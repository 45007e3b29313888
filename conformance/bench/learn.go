package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// learn asks for every person's Observations once: it reads the answers in full
// and keeps the ids that the gateway gave.
func (w *world) learn(ctx context.Context) error {
	for _, g := range []group{ehr, laboratory} {
		for n := range people {
			token, err := w.bearer(ctx)
			if err != nil {
				return err
			}
			at := "http://" + w.listen + "/fhir/Observation?patient=Patient/" + g.own(n)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+token)
			doc, err := w.fetch(req)
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			if w.known[g.own(n)], err = readSearchset(doc, g, n); err != nil {
				return fmt.Errorf("WRONG ANSWER to %s: %w: %s (the gateway's log: %s)", at, err, clip(doc.Raw()), w.gateway.log.String())
			}
		}
	}
	return nil
}

// readSearchset checks a person's search result element by element. It returns
// the ids by number of the Observation.
func readSearchset(doc *resource.Document, g group, n int) ([]string, error) {
	ids := make([]string, entries)
	found := 0
	for e := range doc.Root().All("entry") {
		found++
		r := e.Get("resource")
		var k int
		value := first(r.Get("identifier")).Get("value").Text()
		if _, err := fmt.Sscanf(strings.TrimPrefix(value, g.remote(n)+"-"), "%d", &k); err != nil || k < 0 || k >= entries {
			return nil, fmt.Errorf("an entry has the identifier %q", value)
		}
		if !r.Get("resourceType").Is("Observation") || ids[k] != "" {
			return nil, fmt.Errorf("entry %d comes twice or is no Observation", k)
		}
		if got := `"valueQuantity":` + string(r.Get("valueQuantity").Raw()); got != weight(k) {
			return nil, fmt.Errorf("entry %d has %s instead of %s", k, got, weight(k))
		}
		ids[k] = r.Get("id").Text()
	}
	if found != entries {
		return nil, fmt.Errorf("%d entries instead of %d", found, entries)
	}
	return ids, nil
}

func first(list resource.Node) resource.Node {
	for n := range list.Elements() {
		return n
	}
	return resource.Node{}
}
