package webhook

import (
	"context"
	"regexp"
	"slices"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/rms/jsonl"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// Mapping is the one that is built in.
const Mapping = "rms/maplevalley/event.map.yaml"

// Schema is the version of events that is read.
const Schema = "rms.v3"

var eventID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)

// Open reads events as a [Receiver] hands them on, or a file of them: JSON objects
// with event_id, type, schema, agency_ori, occurred_at and data. The record's kind
// is the event's type. An event of another schema or a type that the mapping does
// not know is a reject: once a mapping knows it, it can be replayed.
func Open(ctx context.Context, in adapters.Input, opts adapters.Options) (adapters.Source, error) {
	return jsonl.OpenShaped(ctx, in, opts, func(root *tree.Node) jsonl.Shaped { return shape(root, opts.Kinds) })
}

// shape judges an event's envelope.
func shape(root *tree.Node, kinds []string) jsonl.Shaped {
	var issues []mappings.Issue
	refuse := func(member, code, message string) {
		at := root.Pos
		if n := root.First(member); n != nil {
			at = n.Pos
		}
		at.Path = "/" + member
		issues = append(issues, mappings.Issue{Severity: mappings.Error, Code: code, Field: at.Path, Pos: at, Message: message})
	}
	for _, member := range []string{"event_id", "type", "schema", "agency_ori", "occurred_at", "data"} {
		if n := len(root.All(member)); n > 1 {
			refuse(member, "event-unreadable", "the event has several values where one must be")
		}
	}
	kind := root.First("type").Value()
	data := root.First("data")
	switch {
	case len(issues) > 0:
	case root.First("schema").Value() == "":
		refuse("schema", "event-schema-missing", "the event does not say by which schema it is written")
	case root.First("schema").Value() != Schema:
		refuse("schema", "event-schema-unknown", "the event is written by a schema that is not known; it can be replayed when it is")
	case kind == "":
		refuse("type", "event-type-missing", "the event does not say what it is")
	case kinds != nil && !slices.Contains(kinds, kind):
		refuse("type", "event-type-unknown", "the mapping does not know events of this type; they can be replayed when it does")
	case !eventID.MatchString(root.First("event_id").Value()):
		refuse("event_id", "event-id-missing", "the event has no usable id")
	case data == nil || len(data.Children) == 0:
		refuse("data", "event-empty", "the event has no data")
	}
	return jsonl.Shaped{Kind: kind, Root: root, Issues: issues}
}
