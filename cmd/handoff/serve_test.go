package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A store that is away must not keep a gateway from ending.
func TestAGatewayThatStopsWaitsNoLongerThanItMay(t *testing.T) {
	for name, c := range map[string]struct{ takes, ends time.Duration }{
		"at once":         {0, 0},
		"in time":         {9 * time.Second, 9 * time.Second},
		"the store hangs": {time.Hour, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := atMost(10*time.Second, func() { time.Sleep(c.takes) })
				if took := time.Since(began); took != c.ends {
					t.Errorf("it took %v", took)
				}
				if late := c.takes > c.ends; late != (err != nil) || late && !strings.Contains(err.Error(), "within 10s") {
					t.Error(err)
				}
				time.Sleep(c.takes) // until it has ended, which nobody waits for
			})
		})
	}
}
