package consent

import (
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Ended returns the Consent as it would stand after it was ended: inactive, and
// still the newest of its versions.
func (c *Consent) Ended() *Consent {
	out := *c
	out.status = ended
	return &out
}

// Turns returns the instants at which what the Consent states may change: the
// first one of each period and the first one after it, dates read in loc.
func (c *Consent) Turns(loc *time.Location) []time.Time {
	var out []time.Time
	for i := range c.rules {
		p := c.rules[i].own.period
		if p == nil {
			continue
		}
		if p.hasStart {
			out = append(out, p.start.first(loc))
		}
		if p.hasEnd {
			out = append(out, p.end.last(loc).Add(time.Nanosecond))
		}
	}
	return out
}

// Purposes returns the purposes of use that its permits name.
func (c *Consent) Purposes() []label.Code {
	var out []label.Code
	for i := range c.rules {
		p := &c.rules[i]
		if p.stance != permits || p.own.purposes == nil {
			continue
		}
		for _, cd := range p.own.purposes.any {
			code := label.Code{System: cd.uri, Code: cd.code}
			if cd.system != terminology.Unknown {
				code.System = cd.system.URI()
			}
			if !slices.Contains(out, code) {
				out = append(out, code)
			}
		}
	}
	return out
}
