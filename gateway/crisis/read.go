package crisis

import (
	"cmp"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// read takes what one resource says.
func (s *summary) read(r *resource.Resource) {
	root := r.Root()
	switch r.Type() {
	case "CarePlan":
		if root.Get("status").Is("active") && s.during(root.Get("period")) {
			s.plan = true
			s.carePlan(root)
			s.source(r)
		}
	case "Flag":
		if root.Get("status").Is("active") && s.during(root.Get("period")) {
			s.flag(root)
			s.source(r)
		}
	case "CareTeam":
		if st := root.Get("status"); (st.Is("active") || !st.Exists()) && s.during(root.Get("period")) {
			s.careTeam(root)
			s.source(r)
		}
	case "AllergyIntolerance":
		if text := concept(root.Get("code")); text != "" {
			s.allergy = append(s.allergy, text)
			s.source(r)
		}
	case "Encounter":
		// That a service knows the person is said by naming whom to call there.
		if c, ok := s.contact(root.Get("serviceProvider"), ""); ok {
			s.contacts = join(s.contacts, c)
			s.source(r)
		}
	}
}

func (s *summary) source(r *resource.Resource) { s.sources = append(s.sources, r.Reference()) }

// carePlan reads a crisis plan: its activities, each with a kind if it has one,
// and its description, sentence by sentence.
func (s *summary) carePlan(root resource.Node) {
	for a := range root.All("activity") {
		d := a.Get("detail")
		if st := d.Get("status"); st.Is("cancelled") || st.Is("stopped") || st.Is("entered-in-error") {
			continue
		}
		if prescribes(d) {
			continue // medication is no officer's to know
		}
		text := d.Get("description").Text()
		if text == "" {
			text = concept(d.Get("code"))
		}
		kind := kindOf(d.Get("code"))
		if d.Get("doNotPerform").Kind() == resource.True {
			kind = avoids
		}
		s.say(kind, text)
		for p := range d.All("performer") {
			if c, ok := s.contact(p, ""); ok {
				s.contacts = join(s.contacts, c)
			}
		}
		if c, ok := s.contact(d.Get("location"), ""); ok {
			s.places = append(s.places, c)
		}
		for e := range a.All("progress") {
			s.say(unsorted, e.Get("text").Text())
		}
	}
	s.sayAll(root.Get("description").Text())
	for n := range root.All("note") {
		s.sayAll(n.Get("text").Text())
	}
	for _, name := range [...]string{"author", "contributor"} {
		for a := range root.All(name) {
			if c, ok := s.contact(a, ""); ok && c.Phone != "" {
				s.contacts = join(s.contacts, c)
			}
		}
	}
}

// prescribes says whether an activity is about a medication.
func prescribes(d resource.Node) bool {
	return d.Get("kind").Is("MedicationRequest") || d.Get("productCodeableConcept").Exists() || d.Get("productReference").Exists()
}

func (s *summary) flag(root resource.Node) {
	kind := kindOf(root.Get("code"))
	for c := range root.All("category") {
		if k := kindOf(c); kind == unsorted {
			kind = k
		}
	}
	s.say(kind, concept(root.Get("code")))
	if c, ok := s.contact(root.Get("author"), ""); ok && c.Phone != "" {
		s.contacts = join(s.contacts, c)
	}
}

func (s *summary) careTeam(root resource.Node) {
	if phone := phoneOf(root); phone != "" {
		s.contacts = join(s.contacts, Contact{Name: root.Get("name").Text(), Phone: phone})
	}
	for p := range root.All("participant") {
		role := ""
		for r := range p.All("role") {
			role = concept(r)
			break
		}
		c, ok := s.contact(p.Get("member"), role)
		if !ok && role != "" {
			c, ok = s.contact(p.Get("onBehalfOf"), role)
		}
		if ok {
			s.contacts = join(s.contacts, c)
		}
	}
}

// contact is whom a reference names: what its target tells, if the caller may
// see it, else its display.
func (s *summary) contact(ref resource.Node, role string) (Contact, bool) {
	c := Contact{Name: ref.Get("display").Text(), Role: role}
	if r := s.known[s.local(ref.Get("reference").Text())]; r != nil {
		s.describe(&c, r)
	}
	return c, c.Name != "" || c.Phone != ""
}

// describe adds what a resource of staff or places tells.
func (s *summary) describe(c *Contact, r *resource.Resource) {
	root := r.Root()
	if name := nameOf(root); name != "" {
		c.Name = name
	}
	if c.Phone == "" {
		c.Phone = phoneOf(root)
	}
	if r.Type() != "PractitionerRole" {
		return
	}
	if c.Role == "" {
		for code := range root.All("code") {
			c.Role = concept(code)
			break
		}
	}
	c.Hours = hoursOf(root)
	for _, name := range [...]string{"practitioner", "organization"} {
		of, ok := s.contact(root.Get(name), "")
		if !ok {
			continue
		}
		if c.Name == "" {
			c.Name = of.Name
		}
		if c.Phone == "" {
			c.Phone = of.Phone
		}
	}
}

// join adds a contact; one of the same name and number is completed instead.
func join(list []Contact, c Contact) []Contact {
	for i := range list {
		if list[i].Name == c.Name && list[i].Phone == c.Phone {
			list[i].Role, list[i].Hours = cmp.Or(list[i].Role, c.Role), cmp.Or(list[i].Hours, c.Hours)
			return list
		}
	}
	return append(list, c)
}

// local is a reference to what this gateway has; one to another server's
// resource is none.
func (s *summary) local(ref string) string {
	base, typ, id, ok := resource.SplitReference(ref)
	if !ok || base != "" && base != s.base {
		return ""
	}
	return typ + "/" + id
}

// nameOf reads name: a text, or a list of HumanNames, the usual one first.
func nameOf(root resource.Node) string {
	n := root.Get("name")
	if n.Kind() == resource.String {
		return n.Text()
	}
	best := ""
	for h := range n.Elements() {
		text := h.Get("text").Text()
		if text == "" {
			var parts []string
			for g := range h.All("given") {
				parts = append(parts, g.Text())
			}
			text = strings.TrimSpace(strings.Join(append(parts, h.Get("family").Text()), " "))
		}
		if h.Get("use").Is("old") || h.Get("use").Is("nickname") {
			continue
		}
		if best == "" || h.Get("use").Is("usual") {
			best = text
		}
	}
	return best
}

// phoneOf is the first telephone number, by rank, that is not an old one.
func phoneOf(root resource.Node) string {
	best, rank := "", ""
	for t := range root.All("telecom") {
		if sys := t.Get("system"); !sys.Is("phone") && !sys.Is("sms") || t.Get("use").Is("old") {
			continue
		}
		r := string(t.Get("rank").Raw())
		if best == "" || r != "" && (rank == "" || len(r) < len(rank) || len(r) == len(rank) && r < rank) {
			best, rank = t.Get("value").Text(), r
		}
	}
	return best
}

// hoursOf writes when a role can be reached.
func hoursOf(root resource.Node) string {
	var parts []string
	for t := range root.All("availableTime") {
		var days []string
		for d := range t.All("daysOfWeek") {
			days = append(days, d.Text())
		}
		text := strings.Join(days, " ")
		if t.Get("allDay").Kind() == resource.True {
			text += " 24 hours"
		} else if start := t.Get("availableStartTime").Text(); start != "" {
			text += " " + clock(start) + "-" + clock(t.Get("availableEndTime").Text())
		}
		parts = append(parts, strings.TrimSpace(text))
	}
	if x := root.Get("availabilityExceptions").Text(); x != "" {
		parts = append(parts, x)
	}
	return strings.Join(parts, "; ")
}

// clock leaves the seconds out.
func clock(t string) string {
	if len(t) >= len("15:04") {
		return t[:len("15:04")]
	}
	return t
}

// concept is a CodeableConcept for people.
func concept(c resource.Node) string {
	if t := c.Get("text").Text(); t != "" {
		return t
	}
	for e := range c.All("coding") {
		if d := e.Get("display").Text(); d != "" {
			return d
		}
	}
	return ""
}
