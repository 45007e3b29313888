package registration_test

import (
	"testing"

	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/registration"
)

// A request that began before a client was disabled elsewhere, and whose memory has the
// states of then but not their version, leaves nothing old for those that come after it.
func TestADisabledClientIsNotLetInByWhatAnotherRequestKept(t *testing.T) {
	path := backendtest.Address(t)
	here, there := newNode(t, path, nil), newNode(t, path, nil)
	if !here.enabled("desk") {
		t.Fatal("not enabled before")
	}
	if err := there.store.SetDisabled(t.Context(), "harbor-desk", registration.State{By: "mlopez"}); err != nil { // another epoch
		t.Fatal(err)
	}
	began, err := here.cache.Pin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := here.store.States(began); err != nil {
		t.Fatal(err)
	}
	if err := there.store.SetDisabled(t.Context(), "desk", registration.State{Disabled: true, Operator: true, By: "mlopez"}); err != nil {
		t.Fatal(err)
	}
	_, _ = here.registry.Client(began, "desk") // that request itself may see it or not
	if here.enabled("desk") {
		t.Error("a disabled client is let in by a request that began after it was disabled")
	}
}
