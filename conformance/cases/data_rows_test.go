package cases

func labelRows() []row {
	p := func(says string, semantics string, root doc, rs []doc, want doc) row {
		return row1(says, semantics, "R4 Consent.provision.securityLabel; v3-Confidentiality, v3-ActCode", one(consent("c1", root)), rs, officerAsks(), want)
	}
	obs := func(codes ...string) []doc {
		return []doc{glucose("o", "2026-03-12T09:00:00-05:00", labelled(codes...))}
	}
	is := func(decision string) doc { return doc{"Observation/o": decision} }
	open := func(except ...string) doc { return permit(recipient(agency), nested(deny(label(except...)))) }
	only := func(codes ...string) doc { return permit(recipient(agency), label(codes...)) }
	return []row{
		p("a permit of a level covers lower ones", r4, only("R"), obs("N"), is("permit")),
		p("a permit of a level does not cover higher ones", r4, only("R"), obs("V"), is("deny")),
		p("a resource without a level is normal", r4, only("N"), obs(), is("permit")),
		p("a level covers whatever the sensitivity", r4, only("R"), obs("R", "PSY"), is("permit")),
		p("a deny of a level covers higher ones", r4, open("R"), obs("V"), is("deny")),
		p("a deny of a level does not cover lower ones", r4, open("R"), obs("N"), is("permit")),
		p("a sensitivity covers what stands below it", r4, only("SUD"), obs("R", "OPIOIDUD"), is("permit")),
		p("a sensitivity does not cover what stands above it", r4, only("OPIOIDUD"), obs("R", "SUD"), is("deny")),
		p("a permit must cover every sensitivity", safe, only("SUD"), obs("R", "SUD", "HIV"), is("deny")),
		p("two entries cover two sensitivities", safe, only("SUD", "HIV"), obs("R", "SUD", "HIV"), is("permit")),
		p("a deny needs one sensitivity", safe, open("HIV"), obs("R", "SUD", "HIV"), is("deny")),
		p("a permit of a sensitivity covers nothing without one", safe, only("PSY"), obs("N"), is("deny")),
		p("ETH is of the substance use family", safe, open("SUD"), obs("R", "ETH"), is("deny")),
		p("a deny of MH reaches PSY", safe, open("MH"), obs("R", "PSY"), is("deny")),
		p("a deny of PSY reaches BH", safe, open("PSY"), obs("R", "BH"), is("deny")),
		p("a deny of MH does not reach the other children of BH", safe, open("MH"), obs("R", "COGN"), is("permit")),
		p("a permit of MH does not cover PSY", safe, only("MH"), obs("R", "PSY"), is("deny")),
		p("a substance use code needs no label to be denied", r4, open("SUD"), []doc{condition("o", "F11.20")}, doc{"Condition/o": "deny"}),
		p("a mental health code needs no label to be denied", r4, open("PSY"), []doc{condition("o", "F33.1")}, doc{"Condition/o": "deny"}),
		p("a computed label raises the level", r4, only("N"), []doc{condition("o", "F33.1")}, doc{"Condition/o": "deny"}),
		p("another code has no label", r4, open("SUD", "PSY"), []doc{condition("o", "I10")}, doc{"Condition/o": "permit"}),
		p("a code in a secondary element costs the element", safe, open("SUD"),
			[]doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("reasonCode", []any{concept(icd10, "F11.20")}))},
			doc{"Encounter/e": redacted([]string{"Encounter.reasonCode"}, []string{"Encounter.status", "Encounter.period"})}),
		p("a permitted code in a secondary element stays", r4, open("HIV"),
			[]doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("reasonCode", []any{concept(icd10, "F11.20")}))},
			doc{"Encounter/e": "permit"}),
		p("a code in the narrative costs the narrative", safe, open("SUD"), []doc{condition("bp", "I10", narrative("also ICD-10: F11.20 opioid dependence"))},
			doc{"Condition/bp": redacted([]string{"Condition.text"}, []string{"Condition.code"})}),
		p("a code in the narrative says what a resource without a code is", safe, open("SUD"), []doc{condition("x", "", set("code", doc{"text": "see narrative"}), narrative("F11.20"))},
			doc{"Condition/x": "deny"}),
		p("a code in a note costs the note", safe, open("SUD"), []doc{condition("bp", "I10", set("note", []any{doc{"text": "Dx F11.20"}, doc{"text": "salt"}}))},
			doc{"Condition/bp": redacted([]string{"Condition.note.where(text = 'Dx F11.20')"}, []string{"Condition.note"})}),
		p("a code in the text of the code is the code", safe, open("SUD"), []doc{condition("x", "", set("code", doc{"text": "F11.20 opioid dependence"}))}, doc{"Condition/x": "deny"}),
		p("another code in the narrative costs nothing", safe, open("SUD"), []doc{condition("bp", "I10", narrative("I10 and E11.9"))}, doc{"Condition/bp": "permit"}),
		p("a code among the tags costs the tag", safe, open("SUD"),
			[]doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("meta", doc{"tag": []any{coding(icd10, "F11.20")}}))},
			doc{"Encounter/e": redacted([]string{"Encounter.meta.tag.where(code = 'F11.20')"}, []string{"Encounter.period"})}),
		p("a service named for substance use costs the reference", safe, open("SUD"),
			[]doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("serviceProvider", doc{"display": "Harbor Methadone Clinic"}))},
			doc{"Encounter/e": redacted([]string{"Encounter.serviceProvider"}, []string{"Encounter.period"})}),
		p("a refrain code is no Part 2", safe, permit(recipient(agency)), obs("R", "NORDSCLCD"), is("permit")),
		p("a Consent about Part 2 records is one", reg, permit(recipient(agency)),
			[]doc{consent("about", permit(recipient(clinic)), part2Form())}, doc{"Consent/about": "deny"}),
	}
}

func dataRows() []row {
	p := func(says, semantics string, root doc, rs []doc, want doc, parts ...part) row {
		return row1(says, semantics, "R4 Consent.provision.class, code, dataPeriod, data", one(consent("c1", root, parts...)), rs, officerAsks(), want)
	}
	to := func(parts ...part) doc { return permit(append([]part{recipient(agency)}, parts...)...) }
	but := func(parts ...part) doc { return permit(recipient(agency), nested(deny(parts...))) }
	may := dataPeriod("2026-05-01", "2026-05-31")
	obs := func(when string) []doc { return []doc{glucose("o", when)} }
	is := func(decision string) doc { return doc{"Observation/o": decision} }
	visit := func(start, end string) []doc { return []doc{encounter("e", start, end)} }
	at := func(decision string) doc { return doc{"Encounter/e": decision} }
	graph := []doc{
		encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("diagnosis", []any{doc{"condition": reference("Condition/bp")}})),
		condition("bp", "I10"), glucose("o", "2026-03-12T09:30:00-05:00", set("encounter", reference("Encounter/e"))), plan("plan"),
	}
	cut := redacted([]string{"Encounter.diagnosis"}, nil) // it refers to what is denied
	world := func(e any, bp, o, pl string) doc {
		return doc{"Encounter/e": e, "Condition/bp": bp, "Observation/o": o, "CarePlan/plan": pl}
	}
	pcf := set("meta", doc{"profile": []any{"https://profiles.ihe.net/ITI/PCF/StructureDefinition/IHE.PCF.consentIntermediate"}})
	by := func(ref string) part { return set("author", reference(ref)) }
	profile := set("meta", doc{"profile": []any{pmhc + "StructureDefinition/safety-plan"}})
	return []row{
		p("a class is a resource type", r4, to(class("CarePlan")), []doc{plan("plan"), team("team")}, doc{"CarePlan/plan": "permit", "CareTeam/team": "deny"}),
		p("several classes are alternatives", r4, to(class("CarePlan", "CareTeam")), []doc{plan("plan"), team("team")}, doc{"CarePlan/plan": "permit", "CareTeam/team": "permit"}),
		p("a class may be a profile", r4, to(classOf("urn:ietf:rfc:3986", pmhc+"StructureDefinition/safety-plan")), []doc{plan("plan", profile), plan("bare")}, doc{"CarePlan/plan": "permit", "CarePlan/bare": "deny"}),
		p("a class may be a document type", r4, to(classOf(loinc, "34133-9")), []doc{document("d", set("type", concept(loinc, "34133-9"))), document("x", set("type", concept(loinc, "11506-3")))},
			doc{"DocumentReference/d": "permit", "DocumentReference/x": "deny"}),
		p("a code is found anywhere in the resource", r4, to(code(icd10, "I10")), []doc{condition("bp", "I10"), condition("dm", "E11.9")}, doc{"Condition/bp": "permit", "Condition/dm": "deny"}),
		p("a code of another system is another code", r4, to(code(loinc, "I10")), []doc{condition("bp", "I10")}, doc{"Condition/bp": "deny"}),
		p("a deny of a code denies", r4, but(code(icd10, "I10")), []doc{condition("bp", "I10"), condition("dm", "E11.9")}, doc{"Condition/bp": "deny", "Condition/dm": "permit"}),
		p("all elements of a rule must match", r4, to(class("Condition"), code(icd10, "I10")), []doc{condition("bp", "I10"), plan("plan")}, doc{"Condition/bp": "permit", "CarePlan/plan": "deny"}),
		p("a date in the period is inside", r4, to(may), obs("2026-05-31T23:00:00-05:00"), is("permit")),
		p("a date after it is outside", r4, to(may), obs("2026-06-01T00:00:00-05:00"), is("deny")),
		p("an end to the second includes that second", r4, to(dataPeriod("2026-05-01T00:00:00-05:00", "2026-05-31T23:59:59-05:00")), obs("2026-05-31"), is("permit")),
		p("an end to the minute before does not include it", r4, to(dataPeriod("2026-05-01T00:00:00-05:00", "2026-05-31T23:58:59-05:00")), obs("2026-05-31"), is("deny")),
		p("a permit reaches only what is wholly inside", safe, to(may), visit("2026-05-31T20:00:00-05:00", "2026-06-02T08:00:00-05:00"), at("deny")),
		p("a deny reaches what is partly inside", safe, but(may), visit("2026-05-31T20:00:00-05:00", "2026-06-02T08:00:00-05:00"), at("deny")),
		p("an open end is not inside", safe, to(may), visit("2026-05-31T20:00:00-05:00", ""), at("deny")),
		p("an open end overlaps", safe, but(dataPeriod("2027-01-01", "")), visit("2026-05-31T20:00:00-05:00", ""), at("deny")),
		p("a month is wholly inside a year", safe, to(dataPeriod("2026", "2026")), obs("2026-05"), is("permit")),
		p("a year is not inside a month", safe, to(may), obs("2026"), is("deny")),
		p("without a date no permit reaches", safe, to(may), obs(""), is("deny")),
		p("without a date every deny reaches", safe, but(may), obs(""), is("deny")),
		p("onset counts before the recording", safe, to(may), []doc{condition("bp", "I10", set("onsetDateTime", "2026-05-04"), set("recordedDate", "2026-06-04"))}, doc{"Condition/bp": "permit"}),
		p("an instance is that resource", r4, to(data("instance", "Encounter/e")), graph, world(cut, "deny", "deny", "deny")),
		p("related is what the instance refers to", r4, to(data("related", "Encounter/e")), graph, world("permit", "permit", "deny", "deny")),
		p("dependents are what refers to it", r4, to(data("dependents", "Encounter/e")), graph, world(cut, "deny", "permit", "deny")),
		p("a deny of related takes both directions", safe, but(data("related", "Encounter/e")), graph, world("deny", "deny", "deny", "permit")),
		p("related of the PCF profile takes both directions", safe, to(data("related", "Encounter/e")), graph, world("permit", "permit", "permit", "deny"), pcf),
		p("authored by is the author", r4, to(data("authoredby", "Practitioner/dr-osei")), []doc{plan("plan", by("Practitioner/dr-osei")), plan("other", by("Practitioner/dr-vance"))},
			doc{"CarePlan/plan": "permit", "CarePlan/other": "deny"}),
		p("without an author no permit reaches", safe, to(data("authoredby", "Practitioner/dr-osei")), plans(), planIs("deny")),
		p("without an author every deny reaches", safe, but(data("authoredby", "Practitioner/dr-osei")), plans(), planIs("deny")),
		p("several data entries are alternatives", r4, to(data("instance", "CarePlan/plan"), data("authoredby", "Practitioner/dr-osei")),
			[]doc{plan("plan"), plan("mine", by("Practitioner/dr-osei")), plan("theirs", by("Practitioner/dr-vance"))},
			doc{"CarePlan/plan": "permit", "CarePlan/mine": "permit", "CarePlan/theirs": "deny"}),
	}
}

func leakRows() []row {
	source := "decisions on what an answer may tell; HL7 DS4P"
	hide := one(consent("c1", permit(recipient(agency), nested(deny(label("SUD"))))))
	visit := encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("diagnosis", []any{doc{"condition": reference("Condition/oud")}}))
	rs := []doc{visit, condition("oud", "F11.20"), plan("plan")}
	find := func(q string) doc { return officer("CRISIS", search(q)) }
	stay := encounter("stay", "2026-03-12T09:00:00-05:00", "2026-03-14T10:00:00-05:00", set("reasonCode", []any{concept(icd10, "F11.20")}))
	gone := redacted([]string{"Encounter.diagnosis", "Encounter.text"}, []string{"Encounter.status"})
	return []row{
		{says: "a reference to a denied resource does not survive", semantics: safe, source: source, consents: hide, resources: rs, request: officerAsks(),
			want: doc{"Encounter/e": gone, "Condition/oud": "deny", "CarePlan/plan": "permit"}, bundle: doc{"total": 2, "entry": 2, "issueRevealingWithholding": false}},
		{says: "a chain through a denied resource finds nothing", semantics: safe, source: source, consents: hide, resources: rs, request: find("Encounter?diagnosis:Condition.code=F11.20"),
			want: doc{"Encounter/e": "deny", "Condition/oud": "deny"}, bundle: doc{"total": 0, "entry": 0}},
		{says: "a reverse chain from a denied resource finds nothing", semantics: safe, source: source, consents: hide, resources: []doc{condition("oud", "F11.20"), ida()}, request: find("Patient?_has:Condition:patient:code=F11.20"),
			want: doc{"Patient/ida": "deny", "Condition/oud": "deny"}, bundle: doc{"total": 0, "entry": 0}},
		{says: "an include brings no denied resource", semantics: safe, source: source, consents: hide, resources: rs, request: find("Encounter?patient=ida&_include=Encounter:diagnosis"),
			want: doc{"Encounter/e": gone, "Condition/oud": "deny"}, bundle: doc{"total": 1, "entry": 1}},
		{says: "a removed element does not find its resource", semantics: safe, source: source, consents: hide,
			resources: []doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("reasonCode", []any{concept(icd10, "F11.20")}))},
			request:   find("Encounter?reason-code=F11.20"), want: doc{"Encounter/e": "deny"}, bundle: doc{"total": 0, "entry": 0}},
		{says: "a visible element finds its resource", semantics: safe, source: source, consents: hide,
			resources: []doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("reasonCode", []any{concept(icd10, "I10")}))},
			request:   find("Encounter?reason-code=I10"), want: doc{"Encounter/e": "permit"}, bundle: doc{"total": 1, "entry": 1}},
		{says: "the labels of the answer do not tell of what is withheld", semantics: safe, source: source, consents: hide, resources: []doc{condition("oud", "F11.20"), plan("plan", labelled("N", "REDACT", "MASK"))}, request: officerAsks(),
			want: doc{"CarePlan/plan": "permit", "Condition/oud": "deny"}, bundle: doc{"total": 1, "metaSecurityMustNotContain": []any{"SUD", "R", "REDACT", "MASK", "NODSCLCD"}}},
		{says: "a person of whom all is withheld looks like a stranger", semantics: reg, source: "42 CFR 2.13(c)", resources: []doc{condition("oud", "F11.20", labelled("R", "42CFRPart2"), from(sudorg))}, request: find("Condition?patient=ida"),
			want: doc{"Condition/oud": "deny"}, bundle: doc{"total": 0, "entry": 0, "issueRevealingWithholding": false}, nobody: true},
		{says: "the name of a redacted resource does not survive in a reference", semantics: safe, source: source, consents: hide,
			resources: []doc{stay, glucose("o", "2026-03-12T09:30:00-05:00", set("encounter", doc{"reference": "Encounter/stay", "display": "withdrawal stay"}))}, request: officerAsks(),
			want: doc{"Encounter/stay": redacted([]string{"Encounter.reasonCode"}, []string{"Encounter.period"}), "Observation/o": redacted([]string{"Observation.encounter.display"}, []string{"Observation.encounter.reference"})}},
		{says: "a text beside a removed code does not survive", semantics: safe, source: source, consents: hide,
			resources: []doc{plan("plan", set("activity", []any{doc{"detail": doc{"code": concept(icd10, "F11.20"), "status": "scheduled", "description": "weekly dosing"}}}))}, request: officerAsks(),
			want: doc{"CarePlan/plan": redacted([]string{"CarePlan.activity.detail.code", "CarePlan.activity.detail.description"}, []string{"CarePlan.title"})}},
		{says: "a contained resource goes with what points at it", semantics: safe, source: source, consents: hide,
			resources: []doc{plan("plan", set("contained", []any{doc{"resourceType": "Condition", "id": "x", "subject": reference(person), "code": concept(icd10, "F11.20")}}), set("addresses", []any{reference("#x")}))},
			request:   officerAsks(), want: doc{"CarePlan/plan": redacted([]string{"CarePlan.contained", "CarePlan.addresses"}, []string{"CarePlan.title"})}},
	}
}
