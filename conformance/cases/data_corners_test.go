package cases

// These families hold the odd corners of what data_rows_test.go shows in its
// plain form: which data a rule is about, and what of a resource goes.

func labelCorners() []row {
	p := func(says, semantics, decision string, root doc, codes ...string) row {
		return row1(says, semantics, "R4 Consent.provision.securityLabel; v3-Confidentiality, v3-ActCode", one(consent("c1", root)),
			[]doc{glucose("o", "2026-03-12T09:00:00-05:00", labelled(codes...))}, officerAsks(), doc{"Observation/o": decision})
	}
	raw := func(says, semantics, decision string, root doc, security ...any) row {
		return row1(says, semantics, "labels in other spellings", one(consent("c1", root)),
			[]doc{glucose("o", "2026-03-12T09:00:00-05:00", set("meta", doc{"security": security}))}, officerAsks(), doc{"Observation/o": decision})
	}
	open := func(except ...string) doc { return permit(recipient(agency), nested(deny(label(except...)))) }
	only := func(codes ...string) doc { return permit(recipient(agency), label(codes...)) }
	dx := func(says, decision string, root doc, icd string, codes ...string) row {
		return row1(says, reg, "computed labels", one(consent("c1", root)), []doc{condition("dx", icd, labelled(codes...))}, officerAsks(), doc{"Condition/dx": decision})
	}
	methadone := doc{"resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order", "subject": reference(person),
		"medicationCodeableConcept": concept("http://www.nlm.nih.gov/research/umls/rxnorm", "6813")}
	return []row{
		p("a permit of low covers unrestricted", r4, "permit", only("L"), "U"),
		p("a permit of moderate does not cover normal", r4, "deny", only("M"), "N"),
		p("a permit of very restricted covers all", r4, "permit", only("V"), "V", "SUD"),
		p("a deny of unrestricted denies all", r4, "deny", open("U"), "N"),
		p("of two levels on the data the higher counts", r4, "deny", only("N"), "N", "R"),
		p("of two levels in a permit the higher counts", r4, "permit", only("N", "R"), "R"),
		p("of two levels in a deny the lower counts", r4, "deny", open("V", "R"), "R"),
		p("a deny of a sensitivity does not reach what stands above it", safe, "permit", open("OPIOIDUD"), "R", "SUD"),
		p("a deny of behavioural health reaches what stands below it", r4, "deny", open("BH"), "R", "COGN"),
		p("a deny of behavioural health reaches mental health", safe, "deny", open("BH"), "R", "MH"),
		p("a deny of the whole family reaches substance use", r4, "deny", open("SPI"), "R", "ETHUD"),
		p("a permit of the whole family covers substance use", r4, "permit", only("SPI"), "R", "SUD"),
		p("a permit of behavioural health does not cover mental health", safe, "deny", only("BH"), "R", "MH"),
		p("a permit of substance use covers its older name", safe, "permit", only("SUD"), "R", "ETH"),
		p("a permit of substance use covers alcohol", r4, "permit", only("SUD"), "R", "ETHUD"),
		p("a sensitivity beside a level of the permit", r4, "permit", only("N", "SUD"), "R", "SUD"),
		p("a level too low and a sensitivity that does not apply", r4, "deny", only("N", "SUD"), "R", "HIV"),
		p("a demographic sensitivity counts as one", r4, "deny", only("SUD"), "N", "GENDER"),
		p("a refrain code is no sensitivity", safe, "permit", only("SUD"), "R", "SUD", "NORDSCLCD"),
		raw("the older system of confidentiality is read", safe, "deny", only("N"), coding("http://hl7.org/fhir/v3/Confidentiality", "V")),
		raw("an oid is read", safe, "deny", only("N"), coding("urn:oid:2.16.840.1.113883.5.25", "R")),
		raw("a retired code of confidentiality is a sensitivity", safe, "deny", open("HIV"), coding(tho+"v3-Confidentiality", "HIV")),
		raw("the older system of act codes is read", safe, "deny", open("SUD"), coding("http://hl7.org/fhir/v3/ActCode", "SUD")),
		dx("a computed label never lowers a stated level", "deny", only("R"), "F33.1", "V"),
		dx("a code of both lists needs both", "deny", only("SUD"), "F19.20"),
		dx("both suffice", "permit", only("SUD", "PSY"), "F19.20"),
		dx("an infection with HIV is labelled", "deny", open("HIV"), "B20"),
		dx("an attempt on one's life is labelled", "deny", open("PSY"), "T14.91XA"),
		row1("medication for substance use is labelled", reg, "computed labels", one(consent("c1", open("SUD"))), []doc{methadone}, officerAsks(), doc{"MedicationRequest/m": "deny"}),
		row1("a diagnosis as the value of an observation is labelled", reg, "computed labels", one(consent("c1", open("SUD"))),
			[]doc{glucose("o", "2026-03-12T09:00:00-05:00", set("valueCodeableConcept", concept(icd10, "F10.20")))}, officerAsks(), doc{"Observation/o": "deny"}),
		row1("a warning about substance use is labelled", reg, "computed labels", one(consent("c1", open("SUD"))),
			[]doc{{"resourceType": "Flag", "id": "f", "status": "active", "code": concept(icd10, "F11.20"), "subject": reference(person)}}, officerAsks(), doc{"Flag/f": "deny"}),
	}
}

func dateCorners() []row {
	may := dataPeriod("2026-05-01", "2026-05-31")
	mk := func(says, semantics, typ, decision string, root doc, parts ...part) row {
		r := with(doc{"resourceType": typ, "id": "x", "subject": reference(person)}, parts...)
		return row1(says, semantics, "R4 Consent.provision.dataPeriod", one(consent("c1", root)), []doc{r}, officerAsks(), doc{typ + "/x": decision})
	}
	to, but := permit(recipient(agency), may), permit(recipient(agency), nested(deny(may)))
	in, out := "2026-05-10T09:00:00-05:00", "2026-06-10T09:00:00-05:00"
	request := []part{set("status", "active"), set("intent", "order")}
	allergy := func(says, decision string, parts ...part) row {
		return mk(says, safe, "AllergyIntolerance", decision, to, append([]part{without("subject"), set("patient", reference(person)), set("code", concept(icd10, "Z88.0"))}, parts...)...)
	}
	medication := append([]part{set("medicationCodeableConcept", doc{"text": "lithium"})}, request...)
	return []row{
		mk("a report is dated by what it reports on", safe, "DiagnosticReport", "permit", to, set("status", "final"), set("code", concept(loinc, "58410-2")), set("effectiveDateTime", in), set("issued", out)),
		mk("a report without that is dated by its issue", safe, "DiagnosticReport", "deny", to, set("status", "final"), set("code", concept(loinc, "58410-2")), set("issued", out)),
		mk("a procedure is dated by its period", safe, "Procedure", "permit", to, set("status", "completed"), set("performedPeriod", span(in, "2026-05-11T09:00:00-05:00"))),
		mk("a procedure that goes on past the period is not inside", safe, "Procedure", "deny", to, set("status", "completed"), set("performedPeriod", span(in, out))),
		mk("a prescription is dated by its writing", safe, "MedicationRequest", "permit", to, append(medication, set("authoredOn", in))...),
		mk("a prescription written later is outside", safe, "MedicationRequest", "deny", to, append(medication, set("authoredOn", out))...),
		mk("an order is dated by its writing", safe, "ServiceRequest", "permit", to, append(request, set("authoredOn", "2026-05-10"))...),
		mk("a plan is dated by its period before its creation", safe, "CarePlan", "deny", to, set("status", "active"), set("intent", "plan"), set("period", span("2026-04-01", "2026-05-31")), set("created", in)),
		mk("a plan without a period is dated by its creation", safe, "CarePlan", "permit", to, set("status", "active"), set("intent", "plan"), set("created", in)),
		mk("a flag is dated by its period", safe, "Flag", "permit", to, set("status", "active"), set("code", doc{"text": "calm voice"}), set("period", span("2026-05-02", "2026-05-03"))),
		mk("a team without a period has no date", safe, "CareTeam", "deny", to, set("status", "active")),
		mk("a document is dated by its date", safe, "DocumentReference", "permit", to, set("status", "current"), set("date", "2026-05-31T23:59:00-05:00"), set("content", []any{doc{"attachment": doc{"title": "x"}}})),
		mk("an observation over a period must be wholly inside", safe, "Observation", "deny", to, set("status", "final"), set("code", concept(loinc, "2345-7")), set("effectivePeriod", span("2026-04-30", "2026-05-02"))),
		mk("an observation is dated by its instant", safe, "Observation", "permit", to, set("status", "final"), set("code", concept(loinc, "2345-7")), set("effectiveInstant", in)),
		mk("an observation without a time is dated by its issue", safe, "Observation", "permit", to, set("status", "final"), set("code", concept(loinc, "2345-7")), set("issued", in)),
		mk("an age at onset is no date for a permit", safe, "Condition", "deny", to, set("code", concept(icd10, "I10")), set("onsetAge", doc{"value": 30, "unit": "a"}), set("recordedDate", in)),
		mk("and every date for a deny", safe, "Condition", "deny", but, set("code", concept(icd10, "I10")), set("onsetAge", doc{"value": 30, "unit": "a"}), set("recordedDate", out)),
		mk("onset in the past hides from a permit what was recorded in time", safe, "Condition", "deny", to, set("code", concept(icd10, "I10")), set("onsetDateTime", "2020"), set("recordedDate", in)),
		mk("an end without a start overlaps", safe, "Encounter", "deny", permit(recipient(agency), nested(deny(dataPeriod("", "2026-05-31")))), set("status", "finished"), set("class", coding(tho+"v3-ActCode", "AMB")), set("period", span("", "2026-07-01"))),
		mk("the offset of the datum decides its day", safe, "Observation", "permit", permit(recipient(agency), dataPeriod("2026-05-31", "2026-05-31")), set("status", "final"), set("code", concept(loinc, "2345-7")), set("effectiveDateTime", "2026-05-31T23:30:00-10:00")),
		allergy("an allergy is dated by its onset", "permit", set("onsetDateTime", in), set("recordedDate", out)),
		allergy("an allergy without onset is dated by its recording", "deny", set("recordedDate", out)),
	}
}

func selectCorners() []row {
	p := func(says, semantics string, root doc, rs []doc, want doc) row {
		return row1(says, semantics, "R4 Consent.provision.class, code, data", one(consent("c1", root)), rs, officerAsks(), want)
	}
	to := func(parts ...part) doc { return permit(append([]part{recipient(agency)}, parts...)...) }
	but := func(parts ...part) doc { return permit(recipient(agency), nested(deny(parts...))) }
	osei := data("authoredby", "Practitioner/dr-osei")
	ref := reference("Practitioner/dr-osei")
	glu := func(parts ...part) []doc { return []doc{glucose("o", "2026-03-12T09:00:00-05:00", parts...)} }
	o := func(d any) doc { return doc{"Observation/o": d} }
	visit := func(parts ...part) []doc {
		return []doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", parts...)}
	}
	e := func(d any) doc { return doc{"Encounter/e": d} }
	composition := func(code string) []doc {
		return []doc{{"resourceType": "Composition", "id": "s", "status": "final", "type": concept(loinc, code), "subject": reference(person), "date": "2026-03-12", "author": []any{ref}, "title": "Summary"}}
	}
	return []row{
		p("a class of a document type reaches a composition", r4, to(classOf(loinc, "34133-9")), composition("34133-9"), doc{"Composition/s": "permit"}),
		p("a class of another document type does not", r4, to(classOf(loinc, "34133-9")), composition("11506-3"), doc{"Composition/s": "deny"}),
		p("a class of a document type is not the code of an observation", r4, to(classOf(loinc, "2345-7")), glu(), o("deny")),
		p("a type of another system is no class", r4, to(classOf("http://example.org/types", "Observation")), glu(), o("deny")),
		p("a class that is denied by profile", r4, but(classOf("urn:ietf:rfc:3986", pmhc+"StructureDefinition/safety-plan")), []doc{plan("plan", set("meta", doc{"profile": []any{pmhc + "StructureDefinition/safety-plan"}}))}, planIs("deny")),
		p("of two codes one is enough", r4, to(code(loinc, "2345-7"), code(icd10, "I10")), glu(), o("permit")),
		p("a second coding of a concept is found", r4, to(code(loinc, "2345-7")), glu(set("code", doc{"coding": []any{coding("http://snomed.info/sct", "33747003"), coding(loinc, "2345-7")}})), o("permit")),
		p("a code in a component is found", r4, but(code(loinc, "8480-6")), glu(set("component", []any{doc{"code": concept(loinc, "8480-6")}})), o("deny")),
		p("a code in an extension is found", r4, but(code(icd10, "I10")), glu(set("extension", []any{doc{"url": pmhc + "because", "valueCoding": coding(icd10, "I10")}})), o("deny")),
		p("a code among the tags is not a code of the resource", r4, but(code(icd10, "I10")), glu(set("meta", doc{"tag": []any{coding(icd10, "I10")}})), o("permit")),
		p("a code that a contained resource has is found", r4, but(code(icd10, "I10")), visit(set("contained", []any{doc{"resourceType": "Condition", "id": "k", "code": concept(icd10, "I10"), "subject": reference(person)}}), set("reasonReference", []any{reference("#k")})), e("deny")),
		p("an observation is authored by who performed it", r4, to(osei), glu(set("performer", []any{ref})), o("permit")),
		p("a condition is authored by who asserts it", r4, to(osei), []doc{condition("bp", "I10", set("recorder", reference("Practitioner/dr-vance")), set("asserter", ref))}, doc{"Condition/bp": "permit"}),
		p("a visit is authored by who took part", r4, to(osei), visit(set("participant", []any{doc{"individual": ref}})), e("permit")),
		p("one of several authors is enough", r4, to(osei), []doc{document("d", set("author", []any{reference("Practitioner/dr-vance"), ref}))}, doc{"DocumentReference/d": "permit"}),
		p("a deny of an author reaches one of several", r4, but(osei), []doc{document("d", set("author", []any{reference("Practitioner/dr-vance"), ref}))}, doc{"DocumentReference/d": "deny"}),
		p("a deny of an author does not reach another's", r4, but(osei), []doc{document("d", set("author", []any{reference("Practitioner/dr-vance")}))}, doc{"DocumentReference/d": "permit"}),
		p("a team has no author", safe, to(osei), []doc{team("team")}, doc{"CareTeam/team": "deny"}),
		p("an instance of the same id and another type is another", r4, to(data("instance", "CarePlan/o")), glu(), o("deny")),
		p("a version of the instance is the instance", r4, to(data("instance", "Observation/o/_history/2")), glu(), o("permit")),
		p("a deny of an instance denies only it", r4, but(data("instance", "Observation/o")), append(glu(), plan("plan")), doc{"Observation/o": "deny", "CarePlan/plan": "permit"}),
		p("what depends on an instance that is not there", r4, to(data("dependents", "Encounter/e")), glu(set("encounter", reference("Encounter/e"))), o("permit")),
	}
}
