package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A Consent opens one plan and is revoked, and then a legal basis is accepted that opens
// another. Whoever asks meanwhile sees the one, the other or none, and never both.
func TestConsentsAndLegalBasesAreOfOneMoment(t *testing.T) {
	for _, withBasis := range []bool{false, true} {
		c, k := newCase(t)
		_, theirs := c.declare()
		planned, therapies := c.planID("plan"), c.planID("therapy")
		instance := strings.Replace(release, `"class":[`, `"data":[{"meaning":"instance","reference":{"reference":"`+therapies+`"}}],"class":[`, 1)
		id := created(t, c.do("clinician", http.MethodPost, "Consent", instance, asFHIR))
		accept := func() {
			c.post("records", "Task/"+theirs+"/$accept-basis", ref("covers", planned), until(k, time.Hour)).taskID(t, http.StatusOK)
		}
		revoke := func() {
			if a := c.do("clinician", http.MethodPost, "Consent/"+id+"/$revoke", "", nil); a.status != http.StatusOK {
				t.Errorf("revoke: %s", a)
			}
		}
		ask := func() []string {
			ids := c.get("officer", "CarePlan?patient=Patient/p1").ids(t)
			slices.Sort(ids)
			return ids
		}
		if got := ask(); !slices.Equal(got, []string{therapies}) {
			t.Fatalf("under the Consent alone: %v, want %s", got, therapies)
		}
		between := func() { revoke(); accept() }
		if withBasis { // both stand, and the Consent goes between the readings
			accept()
			between = revoke
		}
		c.asked.mu.Lock()
		c.asked.before = map[string]func(){"Task": between}
		c.asked.mu.Unlock()
		// Something was written, so that nothing of the answer is in memory.
		c.put(strings.ReplaceAll(person, "p1", "somebody"))
		got := ask()
		if len(c.asked.before) > 0 {
			t.Fatal("nothing happened between the readings")
		}
		if slices.Contains(got, planned) && slices.Contains(got, therapies) && !withBasis {
			t.Errorf("what never was: %v", got)
		}
		if withBasis && slices.Contains(got, therapies) {
			t.Errorf("under a Consent that was revoked while the request read: %v", got)
		}
		if got := ask(); !slices.Equal(got, []string{planned}) {
			t.Errorf("afterwards: %v, want %s", got, planned)
		}
	}
}
