package upstream

import "github.com/handoff-health/handoff/fhir/resource"

// capabilities is what a CapabilityStatement says about searching.
type capabilities struct {
	types map[string]map[string]bool // type → search parameters
}

// readCapabilities takes the server's rest entry. A type that is listed without
// search parameters is taken to support all: many servers list none.
func readCapabilities(r *resource.Resource) *capabilities {
	c := &capabilities{types: map[string]map[string]bool{}}
	for rest := range r.Root().All("rest") {
		if m := rest.Get("mode"); m.Exists() && !m.Is("server") {
			continue
		}
		for n := range rest.All("resource") {
			params := map[string]bool{}
			for p := range n.All("searchParam") {
				params[p.Get("name").Text()] = true
			}
			c.types[n.Get("type").Text()] = params
		}
	}
	if len(c.types) == 0 {
		return nil
	}
	return c
}

func (c *capabilities) has(typ string) bool {
	_, ok := c.types[typ]
	return ok
}

func (c *capabilities) supports(typ, param string) bool {
	params := c.types[typ]
	if len(params) == 0 || params[param] {
		return true
	}
	switch param {
	case "_id", "_count": // every server has them, few list them
		return true
	}
	return false
}
