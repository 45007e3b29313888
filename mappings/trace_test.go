package mappings_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

// leaves lists the elements of JSON that hold a value.
func leaves(at string, v any, into []string) []string {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			into = leaves(strings.TrimPrefix(at+"."+k, "."), e, into)
		}
	case []any:
		for i, e := range v {
			into = leaves(fmt.Sprintf("%s[%d]", at, i), e, into)
		}
	default:
		into = append(into, at)
	}
	return into
}

func TestEveryElementIsTraced(t *testing.T) {
	m := load(t, riverton)
	res := apply(t, m, contact(t, m, full), mappings.Options{Trace: true})
	for _, x := range res.Resources {
		var doc map[string]any
		if err := json.Unmarshal(x.Raw, &doc); err != nil {
			t.Fatal(err)
		}
		for _, leaf := range leaves("", doc, nil) {
			told := func(tr mappings.Trace) bool {
				return tr.Resource == x.Type+"/"+x.ID && (tr.Element == leaf || strings.HasPrefix(leaf, tr.Element+".") || strings.HasPrefix(leaf, tr.Element+"["))
			}
			if leaf != "resourceType" && !strings.HasPrefix(leaf, "contained") && !strings.Contains(leaf, "_") && !slices.ContainsFunc(res.Trace, told) {
				t.Errorf("%s.%s: nobody tells where it comes from", x.Type, leaf)
			}
		}
	}
	for _, tr := range res.Trace {
		if tr.Element != "id" && tr.Row == "" {
			t.Errorf("%+v has no row", tr)
		}
	}
}
