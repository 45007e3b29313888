package ndex

import (
	"strings"

	"github.com/handoff-health/handoff/mappings/tree"
)

// leaf is a field of the record with an element's text; nil if that has none.
func leaf(name string, e *element) *tree.Node {
	v := e.value()
	if v == "" {
		return nil
	}
	return &tree.Node{Name: name, Text: v, Pos: e.pos}
}

// word is a field that the decoder says.
func word(name, text string, e *element) *tree.Node {
	if text == "" {
		return nil
	}
	n := &tree.Node{Name: name, Text: text}
	if e != nil {
		n.Pos = e.pos
	}
	return n
}

func put(n *tree.Node, parts ...*tree.Node) {
	for _, p := range parts {
		if p != nil {
			n.Children = append(n.Children, p)
		}
	}
}

// anywhere is the first element of one of the names in the report with a text.
func anywhere(e *element, names ...string) *element {
	for _, name := range names {
		for _, k := range e.under(name) {
			if strings.TrimSpace(k.text) != "" {
				return k
			}
			if id := k.first("IdentificationID"); id.raw() != "" {
				return id
			}
		}
	}
	return nil
}

// below is the first text at one of the paths in the elements; a path is names
// with slashes.
func below(parts []*element, paths ...string) *element {
	for _, path := range paths {
		for _, e := range parts {
			if k := e.first(strings.Split(path, "/")...); k.raw() != "" {
				return k
			}
		}
	}
	return nil
}

// reportNode says what the report says of itself.
func (d *decoder) reportNode() *tree.Node {
	r := d.g.root
	n := &tree.Node{Name: "Report", Pos: d.doc.origin}
	ori := anywhere(r, "OwningORI")
	if ori == nil {
		for _, owner := range r.under("DataOwnerIdentifier") {
			ori = owner.first("ORI")
		}
	}
	if ori.raw() == "" {
		ori = anywhere(r, "SubmittingORI", "ReportingAgency")
	}
	if ori.raw() == "" {
		ori = anywhere(r, "ORI", "OrganizationORIIdentification")
	}
	d.ori = ori.raw()
	category := anywhere(r, "DataItemCategoryText", "DataItemCategory", "NIBRSReportCategoryCode")
	put(n, leaf("ORI", ori), leaf("Category", category),
		leaf("ID", anywhere(r, "DataItemID")), leaf("Reference", anywhere(r, "DataItemReferenceID")),
		leaf("Action", anywhere(r, "DataItemPublishInstruction", "ReportActionCategoryCode")),
		leaf("Date", anywhere(r, "DataItemDate")), leaf("Sent", anywhere(r, "MessageDateTime")), leaf("Updated", anywhere(r, "DataItemUpdateDate", "DataItemModificationDate", "LastModifiedDateTime", "DocumentLastModifiedDate")),
		leaf("Status", anywhere(r, "DataItemStatus")),
		leaf("Dissemination", anywhere(r, "DisseminationCriteriaText", "DisseminationCriteria", "DisseminationCriteriaCode")),
		leaf("Sensitivity", anywhere(r, "DataSensitivity")),
		word("Sealed", d.says("Seal"), r), word("Juvenile", d.says("Juvenile"), r), word("Test", d.says("TestData"), r))
	for _, owner := range append(r.under("DataOwnerIdentifier"), r.under("SystemIdentifier")...) {
		if n.First("Agency") == nil {
			put(n, leaf("Agency", owner.first("OrganizationName")))
		}
		owner.use()
	}
	for _, name := range []string{"DataItem", "PackageMetadata", "StructuredPayloadMetadata", "Metadata", "PDMessageMetadata", "DataSubmitterMetadata", "MessageMetadata"} {
		for _, e := range r.under(name) {
			e.use() // contacts, versions and ids of the exchange itself
		}
	}
	return n
}

// says is "true" if an indicator of the report whose name has the word says so.
func (d *decoder) says(part string) string {
	found := ""
	d.g.root.walk(func(e *element) bool {
		if e.family != foreign && strings.HasSuffix(e.local, "Indicator") && strings.Contains(e.local, part) && yes(e.raw()) {
			e.used = true
			found = "true"
		}
		return true
	})
	return found
}

func yes(s string) bool { return s == "1" || strings.EqualFold(s, "true") }

// contact makes the parts of a record: the incident, the person, the officers,
// the others, the crisis supplement.
func (d *decoder) contact(c *contact, person *node) []*tree.Node {
	parts := []*tree.Node{d.incident(c)}
	if person != nil {
		parts = append(parts, d.person("Person", c, person))
		if e := c.crisis[person]; e != nil {
			parts = append(parts, copyOf("Crisis", e))
		}
	}
	parts = append(parts, d.officers(c)...)
	for _, n := range c.persons {
		if n != person && !contains(c.officers, n) && !contains(c.subjects, n) {
			parts = append(parts, d.party(c, n, person))
		}
	}
	var out []*tree.Node
	for _, p := range parts {
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

func contains(list []*node, n *node) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// copyOf takes an element over as it is, its attributes as @name.
func copyOf(name string, e *element) *tree.Node {
	n := &tree.Node{Name: name, Text: e.value(), Pos: e.pos}
	for _, a := range e.attrs {
		if a.family != structure && a.family != foreign {
			n.Children = append(n.Children, &tree.Node{Name: "@" + a.local, Text: a.text, Pos: e.pos})
		}
	}
	for _, k := range e.kids {
		if k.family == foreign || refOf(k) != "" {
			continue
		}
		n.Children = append(n.Children, copyOf(safeName(k), k))
	}
	return n
}

// incident is what happened, when and where.
func (d *decoder) incident(c *contact) *tree.Node {
	e := c.node.parts
	n := &tree.Node{Name: "Incident", Pos: e[0].pos}
	start := below(e, "ActivityDate/DateTime", "ActivityDate/Date", "ActivityDateRange/StartDate/DateTime", "ActivityDateRange/StartDate/Date", "ActivityDate/DateRange/StartDate/DateTime", "ActivityDate/DateRange/StartDate/Date", "ActivityDate")
	put(n, leaf("Number", below(e, "ActivityIdentification/IdentificationID", "MissingPersonOccurrenceCaseNumberText", "IncidentIdentification/IdentificationID")),
		leaf("Start", start),
		leaf("End", below(e, "ActivityDateRange/EndDate/DateTime", "ActivityDateRange/EndDate/Date", "ActivityDate/DateRange/EndDate/DateTime", "ActivityDate/DateRange/EndDate/Date", "ServiceCallClearedDate/DateTime", "ServiceCallClearedDate/Date")),
		leaf("Status", statusOf(e)),
		leaf("Category", below(e, "ActivityCategoryText", "IncidentCategoryText")),
		leaf("Reason", below(e, "ActivityReasonText")),
		leaf("Narrative", below(e, "ActivityDescriptionText")))
	for _, p := range c.persons { // the day on which somebody was reported missing
		for _, r := range p.roles {
			if n.First("Reported") == nil && c.node.kind != kindContact {
				put(n, leaf("Reported", below([]*element{r.el}, "MissingPersonDeclarationDate/DateTime", "MissingPersonDeclarationDate/Date")))
			}
		}
	}
	d.call(n, c)
	for _, k := range e {
		for _, t := range append(k.under("IncidentCrisisResponseTeamActivatedIndicator"), k.under("IncidentMentalHealthIndicator")...) {
			put(n, leaf("CrisisTeam", t))
		}
		k.useAll("ReportingOfficerNarrativeAccountDescriptionText", "ServiceCallClearanceText", "ActivityDescriptionText", "IncidentExceptionalClearanceCode")
	}
	put(n, d.place("Place", c))
	if len(c.arrests) > 0 {
		put(n, word("Arrest", "true", c.arrests[0].parts[0]))
	}
	return n
}

// useAll marks elements of some names below e as used: they are left out on purpose.
func (e *element) useAll(names ...string) {
	for _, name := range names {
		for _, k := range e.under(name) {
			k.use()
		}
	}
}

func statusOf(parts []*element) *element {
	for _, e := range parts {
		var found *element
		e.first("ActivityStatus").walk(func(k *element) bool {
			if found == nil && len(k.kids) == 0 && k.raw() != "" && k.family != foreign {
				found = k
			}
			return found == nil
		})
		if found != nil {
			return found
		}
	}
	return nil
}

// call is what the call for service says: its number, what was called about.
func (d *decoder) call(n *tree.Node, c *contact) {
	call := c.call
	if c.node.kind == kindCall {
		call = c.node
	}
	if call == nil {
		return
	}
	e := call.parts
	if c.call != nil {
		put(n, leaf("CallNumber", below(e, "ActivityIdentification/IdentificationID")), leaf("CallStart", below(e, "ActivityDate/DateTime", "ActivityDate/Date")))
		if n.First("Status") == nil {
			put(n, leaf("Status", statusOf(e)))
		}
	}
	aug := "ServiceCallAugmentation/"
	put(n, leaf("CallType", below(e, aug+"ServiceCallCategoryCode", aug+"ServiceCallCategoryText", "ServiceCallCategoryCode", "ServiceCallCategoryText")),
		leaf("CallSource", below(e, aug+"ServiceCallMechanismCode", "ServiceCallMechanismCode", "ServiceCallMechanismText")),
		leaf("Clearance", below(e, aug+"ServiceCallClearanceCategoryCode", aug+"ServiceCallClearanceCategoryText", "ServiceCallClearanceCategoryCode")),
		leaf("Arrived", below(e, "ServiceCallArrivedDate/DateTime")), leaf("Dispatched", below(e, "ServiceCallDispatchedDate/DateTime")))
	if n.First("End") == nil {
		put(n, leaf("End", below(e, "ServiceCallClearedDate/DateTime", "ServiceCallClearedDate/Date")))
	}
	for _, k := range e {
		k.useAll("ServiceCallClearanceText", "ActivityDescriptionText", "ActivityCategoryText")
	}
}
