package consent

import (
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Times names the elements that say when a resource's content happened: the
// clinical one, and the one that counts if that is absent. A choice element is
// named without its type: "effective" for effective[x].
type Times struct{ Clinical, Recorded string }

// DefaultTimes are the elements that dataPeriod is compared with, by type. A
// type without an entry has no date: no permit with a dataPeriod reaches it and
// every deny does.
func DefaultTimes() map[string]Times {
	return map[string]Times{
		"Observation":              {"effective", "issued"},
		"DiagnosticReport":         {"effective", "issued"},
		"Condition":                {"onset", "recordedDate"},
		"AllergyIntolerance":       {"onset", "recordedDate"},
		"Procedure":                {"performed", ""},
		"Encounter":                {"period", ""},
		"Flag":                     {"period", ""},
		"CareTeam":                 {"period", ""},
		"EpisodeOfCare":            {"period", ""},
		"MedicationRequest":        {"authoredOn", ""},
		"ServiceRequest":           {"authoredOn", ""},
		"CommunicationRequest":     {"authoredOn", ""},
		"Task":                     {"authoredOn", ""},
		"CarePlan":                 {"period", "created"},
		"DocumentReference":        {"date", ""},
		"Composition":              {"date", ""},
		"MedicationAdministration": {"effective", ""},
		"MedicationStatement":      {"effective", "dateAsserted"},
		"MedicationDispense":       {"whenHandedOver", "whenPrepared"},
		"Immunization":             {"occurrence", "recorded"},
		"RiskAssessment":           {"occurrence", ""},
		"ClinicalImpression":       {"effective", "date"},
		"QuestionnaireResponse":    {"authored", ""},
		"Communication":            {"sent", "received"},
		"Goal":                     {"start", "statusDate"},
		"Appointment":              {"start", "created"},
		"Media":                    {"created", "issued"},
	}
}

// choice holds the names that one dated element may have.
type choice struct{ plain, dateTime, date, instant, period, timing string }

type timeNames struct {
	clinical, recorded choice
	undated            []string // forms of the clinical element that have no date
}

func compileTimes(table map[string]Times) map[string]timeNames {
	out := make(map[string]timeNames, len(table))
	for typ, t := range table {
		n := timeNames{clinical: choiceOf(t.Clinical), recorded: choiceOf(t.Recorded)}
		for _, form := range [...]string{"Age", "Range", "String"} {
			n.undated = append(n.undated, t.Clinical+form)
		}
		n.undated = append(n.undated, "_"+t.Clinical+"DateTime", "_"+t.Clinical)
		out[typ] = n
	}
	return out
}

func choiceOf(name string) choice {
	if name == "" {
		return choice{}
	}
	return choice{name, name + "DateTime", name + "Date", name + "Instant", name + "Period", name + "Timing"}
}

// dateOf finds when the resource's content happened. loc is the offset for
// partial dates that have none of their own.
func dateOf(r *resource.Resource, names timeNames, loc *time.Location) dating {
	root := r.Root()
	if d, present := names.clinical.read(root, loc); present {
		return d
	}
	for _, n := range names.undated {
		if root.Get(n).Exists() {
			return dating{}
		}
	}
	d, _ := names.recorded.read(root, loc)
	return d
}

func (c *choice) read(root resource.Node, loc *time.Location) (d dating, present bool) {
	if c.plain == "" {
		return dating{}, false
	}
	for _, name := range [...]string{c.dateTime, c.plain, c.period, c.instant, c.date, c.timing} {
		n := root.Get(name)
		switch n.Kind() {
		case resource.Absent:
			continue
		case resource.String:
			return point(n, loc), true
		case resource.Object:
			if name == c.timing {
				return timing(n, loc), true
			}
			return interval(n, loc), true
		}
		return dating{}, true
	}
	return dating{}, false
}

func point(n resource.Node, loc *time.Location) dating {
	m, ok := parseMoment(n.View())
	if !ok {
		return dating{}
	}
	return dating{start: m.first(loc), end: m.last(loc), known: true}
}

func interval(n resource.Node, loc *time.Location) dating {
	s := parseSpan(n)
	if s.broken {
		return dating{}
	}
	d := dating{known: true, openStart: !s.hasStart, openEnd: !s.hasEnd}
	// A partial bound is read in the offset of the other one, if that has one.
	switch {
	case s.hasStart && s.start.exact:
		loc = s.start.at.Location()
	case s.hasEnd && s.end.exact:
		loc = s.end.at.Location()
	}
	if s.hasStart {
		d.start = s.start.first(loc)
	}
	if s.hasEnd {
		d.end = s.end.last(loc)
	}
	return d
}

// timing takes the bounds of a Timing: its boundsPeriod, else its events.
func timing(n resource.Node, loc *time.Location) dating {
	if b := n.Path("repeat", "boundsPeriod"); b.Exists() {
		return interval(b, loc)
	}
	if n.Get("repeat").Exists() {
		return dating{}
	}
	var out dating
	for e := range n.All("event") {
		d := point(e, loc)
		switch {
		case !d.known:
			return dating{}
		case !out.known:
			out = d
			continue
		}
		if d.start.Before(out.start) {
			out.start = d.start
		}
		if d.end.After(out.end) {
			out.end = d.end
		}
	}
	return out
}

// authors are the elements that name who authored a resource, by type.
var authors = map[string][][]string{
	"Observation":           {{"performer"}},
	"DiagnosticReport":      {{"performer"}},
	"Condition":             {{"recorder"}, {"asserter"}},
	"AllergyIntolerance":    {{"recorder"}, {"asserter"}},
	"Procedure":             {{"recorder"}, {"asserter"}, {"performer", "actor"}},
	"Flag":                  {{"author"}},
	"Encounter":             {{"participant", "individual"}},
	"MedicationRequest":     {{"requester"}},
	"ServiceRequest":        {{"requester"}},
	"CarePlan":              {{"author"}},
	"DocumentReference":     {{"author"}},
	"Composition":           {{"author"}},
	"QuestionnaireResponse": {{"author"}},
	"MedicationStatement":   {{"informationSource"}},
	"Immunization":          {{"performer", "actor"}},
	"Communication":         {{"sender"}},
	"Goal":                  {{"expressedBy"}},
}

// authoredBy says whether the reference is among the resource's authors. A
// resource that names no author, or one without a literal reference, leaves it
// unknown.
func authoredBy(r *resource.Resource, who reference) truth {
	out, named := no, false
	for _, path := range authors[r.Type()] {
		eachAt(r.Root(), path, func(n resource.Node) {
			named = true
			if out = max(out, who.sameNode(n.Get("reference"))); anonymous(n) {
				out = max(out, unknown)
			}
		})
	}
	if !named {
		return unknown
	}
	return out
}

// authorUnknown says whether the resource names no author, or one without a
// literal reference.
func authorUnknown(r *resource.Resource) bool {
	named, open := false, false
	for _, path := range authors[r.Type()] {
		eachAt(r.Root(), path, func(n resource.Node) {
			named, open = true, open || anonymous(n)
		})
	}
	return open || !named
}

// anonymous says whether a Reference does not tell whom it denotes: it has no
// literal one, or one to a contained resource.
func anonymous(n resource.Node) bool {
	ref := n.Get("reference")
	return ref.Kind() != resource.String || strings.HasPrefix(ref.View(), "#")
}

// eachAt calls visit for every value that the path leads to.
func eachAt(n resource.Node, path []string, visit func(resource.Node)) {
	if len(path) == 0 {
		visit(n)
		return
	}
	for e := range n.All(path[0]) {
		eachAt(e, path[1:], visit)
	}
}
