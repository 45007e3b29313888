package registration_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/storetest"
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

// A manager who enables a client stands still before each step, while the operator
// disables it: it stays disabled.
func TestAManagerDoesNotTakeBackWhatTheOperatorDisablesMeanwhile(t *testing.T) {
	for _, before := range []*registration.State{nil, {Disabled: true, By: "ortiz"}} {
		for at := 1; ; at++ {
			path := backendtest.Address(t)
			here, there := newNode(t, path, nil), newNode(t, path, nil)
			if before != nil {
				if err := here.store.SetDisabled(t.Context(), "desk", *before); err != nil {
					t.Fatal(err)
				}
			}
			reached := false
			halting := &storetest.Halting{Facts: here.cache}
			halting.From(func(step int, _ string) {
				if step == at {
					reached = true
					if err := there.store.SetDisabled(t.Context(), "desk", registration.State{Disabled: true, Operator: true, By: "mlopez"}); err != nil {
						t.Error(err)
					}
				}
			})
			ctx, err := here.cache.Pin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = registration.NewStore(halting, here.config, nil, nil).SetDisabled(ctx, "desk", registration.State{By: "ortiz"})
			if !reached {
				if at < 3 {
					t.Errorf("it has %d steps", at-1)
				}
				break
			}
			if err != nil && !errors.Is(err, registration.ErrOperator) {
				t.Errorf("step %d: %v", at, err)
			}
			if here.enabled("desk") || there.enabled("desk") {
				t.Errorf("halted before step %d: a manager has enabled what the operator disabled", at)
			}
		}
	}
}

// endingBody ends whoever sends it while it is read.
type endingBody struct {
	io.Reader
	end func()
}

func (b *endingBody) Read(p []byte) (int, error) {
	if b.end != nil {
		b.end()
	}
	b.end = nil
	return b.Reader.Read(p)
}

// A manager who is ended while their request is being sent registers nothing.
func TestWhoIsEndedWhileSendingRegistersNothing(t *testing.T) {
	n := newNode(t, "", nil)
	body := `{"client_name":"App","redirect_uris":["https://new.example/back"],"scope":"user/Patient.rs","providers":["clinic-idp"],"roles":["treating-clinician"],"purposes":["TREAT"]}`
	send := func(end func()) int {
		r := httptest.NewRequest(http.MethodPost, "https://gw.example"+registration.Path, &endingBody{strings.NewReader(body), end})
		r.Header.Set("Authorization", "Bearer clinic")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		n.server.ServeHTTP(w, r)
		return w.Code
	}
	if got := send(nil); got != http.StatusCreated {
		t.Fatalf("%d", got)
	}
	if got := send(func() { delete(n.managers, "clinic") }); got != http.StatusUnauthorized {
		t.Errorf("ended while sending: %d", got)
	}
	records, err := n.store.Records(t.Context())
	if err != nil || len(records) != 1 {
		t.Errorf("%d are registered, %v", len(records), err)
	}
}
