package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/handoff-health/handoff/fhir/resource"
)

// summary asks the officer's one question and shows the answer; plan says
// whether there must be one that may be shown.
func (t *tour) summary(ctx context.Context, plan bool) ([]byte, error) {
	path := t.patient + "/$crisis-summary"
	t.command(`curl -s -H "Authorization: Bearer $%s" '%s/%s'`, t.officer.variable, t.base, path)
	got, err := t.officer.do(ctx, http.MethodGet, path, nil, "")
	if err != nil {
		return nil, err
	}
	doc, err := resource.Parse(got.body)
	if err != nil || got.code != http.StatusOK {
		return nil, fmt.Errorf("the crisis summary: %s %w", got.status, err)
	}
	shown := false
	for p := range doc.Root().All("parameter") {
		text := p.Get("valueString").Text()
		switch name := p.Get("name").Text(); name {
		case "plan":
			shown, _ = p.Get("valueBoolean").Bool()
			t.say("  %s, plan: %t", got.status, shown)
		case "call", "go":
			t.say("  %s: %s", name, contact(p))
		case "helps", "avoid", "guidance", "allergy":
			t.say("  %s: %s", name, text)
		}
	}
	if shown != plan {
		return nil, fmt.Errorf("a plan is shown: %t; expected: %t", shown, plan)
	}
	return got.body, nil
}

// contact is a contact of a summary in one line.
func contact(p resource.Node) string {
	out := ""
	for part := range p.All("part") {
		if text := part.Get("valueString").Text(); text != "" {
			if out != "" {
				out += ", "
			}
			out += text
		}
	}
	return out
}

// noPlan asks the one question where nothing may be shown: the answer is the one
// for somebody of whom nothing is known.
func (t *tour) noPlan(ctx context.Context) error {
	withheld, err := t.summary(ctx, false)
	if err != nil {
		return err
	}
	stranger, err := t.officer.do(ctx, http.MethodGet, "Patient/nobody/$crisis-summary", nil, "")
	if err != nil {
		return err
	}
	if !bytes.Equal(withheld, stranger.body) {
		return errors.New("the crisis summary differs from the one for a person of whom nothing is known")
	}
	return nil
}
