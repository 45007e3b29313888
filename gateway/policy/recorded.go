package policy

import (
	"slices"

	"github.com/handoff-health/handoff/gateway/consent"
)

// What the audit trail has to know of an Engine, so that a decision can be made
// again: the request and the resource it records apart.

// Laws names the packs that the Engine decides by, in their order, each with its
// version and the hash of its bytes: "us-federal@2026.11 sha256:…", and with the
// unverified rules that are turned on: "us-tx@2026.11 sha256:… +rule".
func (e *Engine) Laws() []string {
	var out []string
	for _, p := range e.law.packs {
		text := p.String() + " " + p.Hash
		for _, id := range p.Enabled {
			text += " +" + id
		}
		out = append(out, text)
	}
	return out
}

// Directory lists the types of [Options.Directory] that count, sorted.
func (e *Engine) Directory() []string {
	var out []string
	for t, open := range e.directory {
		if open {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out
}

// Actor is the requester as a Consent sees it.
func (s *Session) Actor() *consent.Actor { return s.actor() }
