package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// sampled reads the value of a sample out of a scrape; -1: it is not there.
func sampled(t *testing.T, text, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return -1
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(v)
}

// Whoever counts by a counter takes one that falls for a restart, and whoever adds up
// gauges and counters of one scrape counts messages twice if they are of two moments.
func TestTheNumbersOfOneScrapeAreOfOneMoment(t *testing.T) {
	address := freeAddress(t)
	g, _, _ := runGateway(t, writeFiles(t, map[string]string{"handoff.yaml": clinicConfig("telemetry: {listen: \"" + address + "\"}\n")}))
	const n = 80
	var putting sync.WaitGroup
	putting.Go(func() {
		for i := range n {
			if _, err := feedOf(t, g, "adt").box.Receive(t.Context(), admission(i)); err != nil {
				t.Error(err)
			}
		}
	})
	defer putting.Wait()
	most, scrapes := 0, 0
	eventually(t, "all are settled", func() bool {
		for range 20 {
			text := scrape(t, address)
			state := func(s string) int {
				return sampled(t, text, `handoff_feed_messages_total{state="`+s+`",system="adt"}`)
			}
			settled := state("stored") + state("rejected")
			open := sampled(t, text, `handoff_feed_waiting_messages{system="adt"}`) + sampled(t, text, `handoff_feed_deferred_messages{system="adt"}`)
			received := state("received")
			if received < 0 { // it does not process the feed yet
				return false
			}
			scrapes++
			if received < most || received != settled+open || received > n {
				t.Fatalf("scrape %d: %d received, %d before, %d settled and %d open", scrapes, received, most, settled, open)
			}
			most = received
			if settled == n {
				return true
			}
		}
		return false
	})
	t.Logf("%d scrapes while %d messages settled", scrapes, n)
	if x := feedOf(t, g, "adt").running(); x.Received != n || x.Waiting != 0 {
		t.Errorf("the report is told %+v", x)
	}
}

// A message that waited may turn out never to have been acknowledged. A report says
// one less then, a counter does not.
func TestWhatACounterSaysWasReceivedNeverFalls(t *testing.T) {
	db := backendtest.At(t, backendtest.Address(t), backend.Options{})
	if _, err := db.Append(t.Context(), inbox.Stream("adt"), []byte(`{"m":"x","s":"mllp","t":"2026-03-01T12:00:00Z"}`)); err != nil {
		t.Fatal(err)
	}
	b, err := inbox.Open(t.Context(), inbox.Options{Log: db, Facts: db, System: "adt", SiteKey: []byte("0123456789abcdef"), Several: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	r := newFeedReport(time.Now)
	if c := r.counted(b); c.Received != 1 || c.Waiting != 1 {
		t.Fatalf("%+v", c)
	}
	if _, err := db.PutIfAbsent(t.Context(), inbox.Stream("adt")+"/progress", fmt.Appendf(nil, `{"seq":1,"lost":1}`), time.Time{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { b.Follow(ctx, func(err error) { t.Error(err) }) })
	eventually(t, "it is known to be none", func() bool { return b.Counts().Received == 0 })
	stop()
	following.Wait()
	if c := r.counted(b); c.Received != 1 || c.Waiting != 0 || c.Lost != 1 {
		t.Errorf("%+v", c)
	}
}
