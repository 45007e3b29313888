//go:build linux

package presence

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

func TestAnEndedProcessIsKnown(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	h := Holder{PID: child.Process.Pid}
	if h.Kernel, h.Started = identify(h.PID); h.Kernel == "" || h.Started == "" {
		t.Fatalf("%+v", h)
	}
	me := Holder{PID: os.Getpid()}
	me.Kernel, me.Started = identify(me.PID)
	other := me
	other.Started += "0"
	elsewhere := other
	elsewhere.Kernel = "another"
	nameless := me
	nameless.PID, nameless.Kernel = 1<<22+1, ""
	check := func(when string, want map[*Holder]bool) {
		t.Helper()
		for h, gone := range want {
			if h.gone() != gone {
				t.Errorf("%s: %+v is gone: %v", when, *h, !gone)
			}
		}
	}
	check("while it runs", map[*Holder]bool{&h: false, &me: false, &other: true, &elsewhere: false, &nameless: false, {}: false})
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	check("after it was killed", map[*Holder]bool{&h: true})

	// Who wrote as one of many is waited for.
	m := &memory{facts: map[string]store.Fact{}}
	for name, use := range map[string]Use{"a": {}, "b": {Alone: true}, "c": {Reads: true}} {
		h.What, h.Use = name, use
		value, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.PutIfAbsent(t.Context(), Prefix+name, value, time.Now().Add(lease)); err != nil {
			t.Fatal(err)
		}
	}
	if hs, err := Present(t.Context(), m); err != nil || len(hs) != 1 || hs[0].What != "a" {
		t.Error(hs, err)
	}
}
