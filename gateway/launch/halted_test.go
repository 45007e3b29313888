package launch

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/storetest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/oauth"
)

// Who registers a launch is ended afterwards, or while the gateway stands still before a
// step of the registration, by a clock that is behind: the launch opens nothing, also
// when the client is enabled again.
func TestALaunchEndsWithWhoRegisteredIt(t *testing.T) {
	given := 0
	for at := 1; ; at++ {
		w := newWorld(t)
		end := func() {
			if err := auth.EndClient(t.Context(), w.facts, "ehr", w.now().Add(-2*time.Minute)); err != nil {
				t.Error(err)
			}
		}
		ehr, reached := w.bearer["ehr"], false
		steps := &storetest.Halting{Facts: w.facts}
		steps.From(func(step int, _ string) {
			if step == at {
				reached = true
				delete(w.bearer, "ehr") // its token is not believed any more
				end()
			}
		})
		w.server.o.Facts = steps
		got := w.register("ehr", `{"client_id":"app","patient":"ada"}`)
		steps.From(nil)
		if !reached {
			end()
		}
		w.bearer["ehr"] = ehr
		if got.Code == http.StatusCreated {
			given++
			var out struct{ Launch string }
			if err := json.Unmarshal(got.Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
			b, id := &browser{w: w}, w.request("app", "launch patient/Observation.rs", func(q *oauth.Request) { q.Launch = out.Launch })
			b.open(id)
			b.post(decisionPath, id, "decision", "allow", "scope", "1")
			if d, ok := w.granted[id]; ok || w.refused[id].Reason != "launch" {
				t.Errorf("step %d (reached: %v): granted %+v, refused %+v", at, reached, d, w.refused[id])
			}
		}
		if !reached {
			break
		}
	}
	if given < 2 {
		t.Errorf("%d launches were registered", given)
	}
}
