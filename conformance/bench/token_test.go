package main

import "testing"

// TestTokensAreMeasuredOnRightAnswers runs the in-process part in small.
func TestTokensAreMeasuredOnRightAnswers(t *testing.T) {
	d, err := newTokenDesk(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.close() }()
	c, err := d.costOfTokens(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if median(c.signature) <= 0 || median(c.fresh) <= 0 || median(c.seen) <= 0 || median(c.pin) <= 0 {
		t.Errorf("nothing was measured: %+v", c)
	}
	if err := d.ask(t.Context(), "a.b.c"); err == nil {
		t.Error("a wrong answer passes")
	}
}
