package policy

import (
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// Possible says whether anything of the person that comes from o could be
// permitted: false means that asking the system would be a disclosure for
// nothing. It errs towards true: whenever Decide could permit a resource about
// the person of that origin, Possible is true. What a directory opens is not
// the person's and does not count.
func (s *Session) Possible(o resource.Origin) bool {
	if len(s.scopes)+len(s.launched) == 0 || len(s.asked) == 0 {
		return false
	}
	for _, d := range s.bases {
		if d.could(o) {
			return true
		}
	}
	for i := range s.asked {
		if !s.purposeCould(&s.asked[i], o) {
			return false
		}
	}
	return true
}

// could says whether the declared basis could reach data of the origin.
func (d *declared) could(o resource.Origin) bool {
	if o.Part2 && !d.row.Part2 {
		return false
	}
	if !d.row.Extent.Custodian {
		return true
	}
	program, _ := d.from.Attributes["initiatedBy"].(string)
	return o.Custodian == "" || local(program) == local(o.Custodian)
}

// purposeCould says whether one declared purpose has any ground for data of
// the origin.
func (s *Session) purposeCould(a *asked, o resource.Origin) bool {
	police := o.Police || s.req.Direction == PoliceToHealth
	need := consent.Need(0)
	if o.Part2 {
		need = consent.Part2
	}
	switch {
	case s.req.OwnRecords && o.Custodian != "" && o.Custodian == s.req.Requester.Organization:
		return true
	case a.consents.Could(o.Custodian, need):
		return true
	case s.glass && a.override && !police && (!o.Part2 || s.req.BreakGlass.ConsentCannotBeObtained):
		return true
	case police:
		return s.req.Direction == PoliceToHealth && len(s.req.Agreements) > 0 && !s.police
	}
	return a.baseline && s.req.Requester.TreatingProvider && !s.police && !o.Part2
}
