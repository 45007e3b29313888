package mongo

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestTheServersClockCounts(t *testing.T) {
	db := fresh(t)
	before := db.Now()
	h, err := db.sayHello(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	off := db.clock.latest().slack + 2*time.Second // how well it was measured when the store was opened
	if after := db.Now(); h.LocalTime.Before(before.Add(-off)) || h.LocalTime.After(after.Add(off)) {
		t.Errorf("the server says %v, between %v and %v", h.LocalTime, before, after)
	}
	if db.Now().Location() != time.UTC {
		t.Error("not UTC")
	}
}

func TestAClockThatIsOffIsToldOnceAndNotUsed(t *testing.T) {
	var skew atomic.Int64
	hello := standalone(is("isWritablePrimary"))
	s := &wireServer{hello: hello}
	s.answer = func(command string, m bson.D) any { return failed(59, "CommandNotFound", command) }
	s.onHello = func() bson.D {
		return append(append(bson.D{}, hello...), bson.E{Key: "localTime", Value: time.Now().Add(time.Duration(skew.Load()))})
	}
	var log bytes.Buffer
	db, err := dial("mongodb://"+s.start(t, nil)+"/db?directConnection=true", Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, thisLayout)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() // checked elsewhere
	skew.Store(int64(-2 * time.Minute))
	if err := db.followServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := db.clock
	for i, step := range []struct {
		skew   time.Duration
		warned int
	}{{-2 * time.Minute, 1}, {-2 * time.Minute, 1}, {0, 1}, {3 * time.Minute, 2}, {500 * time.Millisecond, 2}} {
		skew.Store(int64(step.skew))
		begun := time.Now()
		if err := db.measure(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if off := db.Now().Sub(time.Now().Add(step.skew)).Abs(); off > 200*time.Millisecond+time.Since(begun) { // nobody can tell better
			t.Errorf("step %d: off by %v", i, off)
		}
		if n := strings.Count(log.String(), "clock differs"); n != step.warned {
			t.Errorf("step %d: %d warnings: %s", i, n, log.String())
		}
	}
}

func TestAMeasurementThatAgreesMovesNothing(t *testing.T) {
	c := &serverClock{}
	at := time.Now()
	c.set(at, at.Add(time.Minute), 5*time.Millisecond)
	before := *c.latest()
	c.set(at.Add(time.Second), at.Add(time.Minute+time.Second+3*time.Millisecond), 6*time.Millisecond)
	if *c.latest() != before {
		t.Error("the clock jumped within what a measurement can tell")
	}
	c.set(at.Add(time.Second), at.Add(time.Minute+time.Second+3*time.Millisecond), time.Millisecond)
	if *c.latest() == before {
		t.Error("a better measurement was not taken over")
	}
	c.set(at.Add(2*time.Second), at, 6*time.Millisecond)
	earliest := time.Since(at)
	now := c.now().Sub(at) + 2*time.Second
	if latest := time.Since(at); now < earliest-100*time.Millisecond || now > latest+100*time.Millisecond {
		t.Errorf("a clock that was set back is not followed: %v, not between %v and %v", now, earliest, latest)
	}
}
