package policy

import "slices"

// What the audit trail has to know of an Engine, so that a decision can be made
// again: the request and the resource it records apart.

// Laws names the rules that the Engine decides by, in their order.
func (e *Engine) Laws() []string { return []string{e.law.Name} }

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
