package replay

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// A Graph knows what some resources refer to and of all others nothing. It
// implements consent.Graph, for the pipeline and for a replay alike.
type Graph struct {
	known     consent.Resources
	instances []string
}

// NewGraph makes a Graph of what is known. instances names each with version
// and digest, for the record of the decision.
func NewGraph(known []*resource.Resource, instances []string) Graph {
	return Graph{consent.NewResources(known...), instances}
}

// Refers implements consent.Graph.
func (g Graph) Refers(from, to string) (refers, known bool) {
	if _, ok := g.known[from]; !ok {
		return false, false
	}
	return g.known.Refers(from, to)
}

// Instances names what is known, for audit.Facts.
func (g Graph) Instances() []string { return g.instances }
