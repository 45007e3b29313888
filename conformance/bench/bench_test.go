package main

import (
	"testing"
	"time"
)

// TestDecidingIsMeasuredOnRightAnswers runs the in-process part in small.
func TestDecidingIsMeasuredOnRightAnswers(t *testing.T) {
	for _, j := range judgedResources() {
		d, err := newJudge(j)
		if err != nil {
			t.Fatal(err)
		}
		c, err := costOf(d, 1, time.Millisecond)
		if err != nil {
			t.Fatalf("%s: %v", j.name(), err)
		}
		if c.wholeAllocs != 0 && !underRace {
			t.Errorf("%s: %v allocations", j.name(), c.wholeAllocs)
		}
		if median(c.valid) <= 0 || median(c.decide) <= 0 || median(c.whole) <= 0 {
			t.Errorf("%s: nothing was measured: %+v", j.name(), c)
		}
	}
}

func TestResourcesHaveTheSizesThatTheTableNames(t *testing.T) {
	for _, x := range []struct {
		name     string
		raw      []byte
		min, max int
	}{
		{"Observation", ehr.observation(7, 7), 1100, 1700},
		{"Condition", condition("e07"), 1100, 1700},
		{"Patient", patient("own-s07"), 3390, 3410},
	} {
		if n := len(x.raw); n < x.min || n > x.max {
			t.Errorf("%s has %d bytes, want %d to %d", x.name, n, x.min, x.max)
		}
	}
}

func TestWrongAnswersAreTold(t *testing.T) {
	want := &answer{status: 200, mark: observationMark, count: 1, needles: [][]byte{[]byte(weight(3))}}
	good := ehr.observation(1, 3)
	if err := want.check(200, good); err != nil {
		t.Error(err)
	}
	for name, x := range map[string]struct {
		status int
		body   []byte
	}{
		"another status": {404, good},
		"another value":  {200, ehr.observation(1, 4)},
		"two entries":    {200, append(append([]byte{}, good...), good...)},
		"nothing":        {200, nil},
	} {
		if want.check(x.status, x.body) == nil {
			t.Errorf("%s passes", name)
		}
	}
	exact := &answer{status: 200, mark: observationMark, count: 1, exact: good}
	if exact.check(200, append(append([]byte{}, good...), ' ')) == nil {
		t.Error("one more byte passes")
	}
}

func TestMissingNumbersStayOut(t *testing.T) {
	if got := median([]number{3, missing, 1}); got != 2 {
		t.Errorf("median %v", got)
	}
	if got := number(1234567.891).text(1); got != "1,234,567.9" {
		t.Errorf("%q", got)
	}
	if got := missing.text(2); got != "–" {
		t.Errorf("%q", got)
	}
}
