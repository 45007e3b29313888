package eido

import (
	"context"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/rms/jsonl"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// Mapping is the one that is built in.
const Mapping = "rms/eido/incident.map.yaml"

// Kind is the kind of all records.
const Kind = "incident"

// Open reads objects, one a file or several.
func Open(ctx context.Context, in adapters.Input, opts adapters.Options) (adapters.Source, error) {
	return jsonl.OpenShaped(ctx, in, opts, shape)
}

// ofIncident are the components that belong to the incident where nothing refers to
// them.
var ofIncident = map[string]bool{"person": true, "location": true, "notes": true, "caution": true, "dispatch": true, "call": true, "disposition": true,
	"agency": true, "merge": true, "link": true, "emergencyResource": true, "vehicle": true}

func shape(root *tree.Node) jsonl.Shaped {
	r := &resolver{byID: map[string]*tree.Node{}, used: map[string]bool{}}
	r.index(root)
	out := &tree.Node{Pos: root.Pos}
	refuse := func(code, message string) jsonl.Shaped {
		return jsonl.Shaped{Issues: []mappings.Issue{{Severity: mappings.Error, Code: code, Pos: root.Pos, Message: message}}}
	}
	incidents := root.All("incidentComponent")
	switch {
	case len(incidents) > 1:
		return refuse("incidents-several", "the object holds several incidents: an EIDO is about one")
	case root.First("eidoVersion") == nil && len(incidents) == 0 && root.First("callComponent") == nil:
		return refuse("not-an-eido", "the object has neither eidoVersion nor an incident or call component")
	}
	object := &tree.Node{Name: "object", Pos: root.Pos}
	for _, c := range root.Children {
		if len(c.Children) == 0 && !strings.HasPrefix(c.Name, "_") {
			object.Children = append(object.Children, &tree.Node{Name: local(c.Name), Text: c.Text, Pos: c.Pos})
		}
	}
	out.Children = append(out.Children, object)
	incident := &tree.Node{Name: "incident", Pos: root.Pos}
	if len(incidents) == 1 {
		incident = r.copy(incidents[0], nil)
	}
	out.Children = append(out.Children, incident)
	for _, c := range root.Children {
		name := local(c.Name)
		if !strings.HasSuffix(c.Name, "Component") || !ofIncident[name] {
			continue
		}
		if id := c.First("$id").Value(); id != "" && r.used[id] && name != "agency" {
			continue
		}
		incident.Children = append(incident.Children, r.copy(c, nil))
	}
	return jsonl.Shaped{Kind: Kind, Root: out, Issues: r.issues}
}
