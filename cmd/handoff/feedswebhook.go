package main

import (
	"context"
	"strconv"

	"github.com/handoff-health/handoff/adapters/rms/webhook"
	"github.com/handoff-health/handoff/gateway/audit"
)

// newWebhook is the way in for signed events over HTTP. It runs with the
// gateway's own server.
func newWebhook(in *intake) (receiver, error) {
	c := in.system.Receive.Webhook
	s := webhook.Scheme{Header: c.Signature.Header, Prefix: c.Signature.Prefix, TimestampHeader: c.Signature.TimestampHeader,
		Signed: c.Signature.Signed, Base64: c.Signature.Encoding == "base64", Window: c.Signature.Window}
	if c.Signature.Style == "prefixed" {
		s.Style = webhook.Prefixed
	}
	for _, secret := range c.Secrets {
		s.Secrets = append(s.Secrets, []byte(secret.Reveal()))
	}
	rc, err := webhook.New(webhook.Options{System: in.system.Key, Scheme: s, Inbox: in.inbox, IDs: c.EventID, MaxBody: c.MaxBody,
		Record: recordWebhook(in.trail, c.Path, "Organization/"+in.system.Organization), Now: in.now, Observe: in.count, Logger: in.log})
	if err != nil {
		return nil, err
	}
	in.mount(c.Path, rc)
	return nil, nil
}

// recordWebhook puts requests into the trail, as everything that comes by HTTP.
// Of the events it keeps how many there were.
func recordWebhook(trail audit.Recorder, path, organization string) func(context.Context, webhook.Attempt) error {
	return func(ctx context.Context, a webhook.Attempt) error {
		e := &audit.Event{ID: newRequestID(), At: a.At, Duration: a.Duration, Interaction: "webhook", Operation: a.Method, Path: path,
			Status: a.Status, Reason: a.Reason, Organization: organization, Source: a.Source}
		if a.Events > 0 {
			e.Query = "events=" + strconv.Itoa(a.Events)
		}
		if a.Status >= 400 {
			e.Outcome = audit.Minor
			e.Organization = "" // nobody was proven to be of it
		}
		return trail.Record(ctx, e)
	}
}
