package ig

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/capture"
)

// answered are the linkIds that Consent/$capture reads.
func answered() map[string]bool {
	m := map[string]bool{}
	for _, p := range capture.Spec {
		m[p.Name] = true
	}
	return m
}

func TestQuestionnairesAreAnsweredByCapture(t *testing.T) {
	forms := ofType(t, "Questionnaire")
	if len(forms) != 4 {
		t.Fatalf("%d Questionnaires", len(forms))
	}
	known := answered()
	for _, r := range forms {
		links := map[string]bool{}
		rights := 0
		r.Root().Descend(func(n resource.Node) bool {
			link := n.Get("linkId").Text()
			if link == "" {
				return true
			}
			if links[link] {
				t.Errorf("%s: linkId %s stands twice", r.ID(), link)
			}
			links[link] = true
			if !strings.Contains(string(n.Get("_text").Raw()), `"es"`) {
				t.Errorf("%s: %s has no Spanish text", r.ID(), link)
			}
			question := !n.Get("type").Is("group") && !n.Get("type").Is("display")
			if question && r.ID() != "on-scene-contact" && !known[link] {
				t.Errorf("%s: nobody reads the answer to %s", r.ID(), link)
			}
			if link == "text-revoke" || link == "text-refusal" {
				rights++
			}
			return true
		})
		if r.ID() != "on-scene-contact" && (rights != 2 || !links["decision"] || !links["expires"] || !links["informed"]) {
			t.Errorf("%s lacks a right or a question", r.ID())
		}
	}
}
