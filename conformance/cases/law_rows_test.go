package cases

func baselineRows() []row {
	p := func(says, semantics, source string, rs []doc, q doc, want doc) row {
		return row1(says, semantics, source, nil, rs, q, want)
	}
	glu := []doc{glucose("o", "2026-03-12T09:00:00-05:00")}
	is := func(d string) doc { return doc{"Observation/o": d} }
	tpo := "45 CFR 164.506(b)-(c)"
	return []row{
		p("a treating provider needs no Consent for treatment", reg, tpo, glu, clinician("TREAT"), is("permit")),
		p("nor for mental health data", reg, tpo, []doc{condition("m", "F33.1")}, clinician("TREAT"), doc{"Condition/m": "permit"}),
		p("nor for payment", reg, tpo, glu, clinician("HPAYMT"), is("permit")),
		p("nor for coordination of care", reg, tpo, glu, clinician("COC"), is("permit")),
		p("proceedings are not operations", reg, tpo, glu, clinician("HLEGAL"), is("deny")),
		p("marketing needs an authorization", reg, "45 CFR 164.508(a)(3)", glu, clinician("HMARKT"), is("deny")),
		p("a provider without a relationship gets nothing", reg, tpo, glu, clinician("TREAT", fact("treatingProvider", false)), is("deny")),
		p("police get nothing without a rule", reg, "45 CFR 164.502(a), 164.512(f)", []doc{ida(), glucose("o", "2026-03-12T09:00:00-05:00")}, officer("LAWENF"), doc{"Patient/ida": "deny", "Observation/o": "deny"}),
		p("police who say treatment get nothing", reg, "45 CFR 164.501", glu, officer("TREAT", fact("treatingProvider", true)), is("deny")),
		p("a second purpose outside the family counts", reg, tpo, glu, clinician("TREAT", purposes("TREAT", "HMARKT")), is("deny")),
		{says: "a Consent to police carries the duty of the minimum", semantics: reg, source: "45 CFR 164.502(b)", consents: crisis(), resources: plans(), request: officerAsks(), want: planIs("permit"), duties: []string{"MINEC"}},
	}
}

func basisRows() []row {
	rs := func() []doc { return []doc{ida(), condition("bp", "I10"), plan("plan")} }
	mk := func(says, source string, q doc, bp string, duties ...string) row {
		return row{says: says, semantics: reg, source: source, resources: rs(), request: q,
			want: doc{"Patient/ida": "deny", "Condition/bp": bp, "CarePlan/plan": "deny"}, duties: duties}
	}
	on := func(kind string, parts ...part) doc {
		return officer("LAWENF", basis(kind, append([]part{covers("Condition/bp")}, parts...)...))
	}
	yes := func(names ...string) part {
		return func(d doc) {
			for _, n := range names {
				d[n] = true
			}
		}
	}
	admin := []string{"relevantAndMaterial", "specificAndLimited", "deidentifiedInsufficient"}
	incapacity := []string{"incapacitated", "neededAgainstOther", "notUsedAgainstVictim", "immediateActivityHarmedByWaiting", "bestInterestDetermined"}
	threat := func(parts ...part) part {
		return basis("hipaa-512j-avert-threat", append([]part{
			covers("Patient/ida", "CarePlan/plan", "Encounter/e", "Condition/bp", "Flag/f", "AllergyIntolerance/a"),
			set("attestedBy", "Practitioner/dr-osei"), set("attestedAt", "2026-08-05T15:00:00-05:00"),
		}, parts...)...)
	}
	flag := doc{"resourceType": "Flag", "id": "f", "status": "active", "code": doc{"text": "speak softly, one voice"}, "subject": reference(person), "encounter": reference("Encounter/e")}
	allergy := doc{"resourceType": "AllergyIntolerance", "id": "a", "patient": reference(person), "criticality": "high", "code": concept(icd10, "Z88.0"),
		"clinicalStatus": concept(tho+"allergyintolerance-clinical", "active"), "reaction": []any{doc{"manifestation": []any{doc{"text": "anaphylaxis"}}, "description": "at the clinic, twice"}}}
	visit := encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("serviceProvider", reference(clinic)), set("text", doc{"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">visit</div>"}))
	kit := []doc{ida(), plan("plan", set("goal", []any{reference("Goal/g")})), visit, condition("bp", "I10"), flag, allergy}
	profile := doc{
		"Patient/ida":          redacted([]string{"Patient.telecom", "Patient.address", "Patient.identifier", "Patient.maritalStatus"}, []string{"Patient.name", "Patient.birthDate", "Patient.gender"}),
		"CarePlan/plan":        redacted([]string{"CarePlan.goal"}, []string{"CarePlan.title"}),
		"Encounter/e":          redacted([]string{"Encounter.period", "Encounter.text"}, []string{"Encounter.status", "Encounter.class", "Encounter.serviceProvider"}),
		"Condition/bp":         "deny",
		"Flag/f":               redacted([]string{"Flag.encounter"}, []string{"Flag.code"}),
		"AllergyIntolerance/a": redacted([]string{"AllergyIntolerance.reaction.description"}, []string{"AllergyIntolerance.reaction.manifestation", "AllergyIntolerance.code"}),
	}
	nothing := doc{"Patient/ida": "deny", "CarePlan/plan": "deny", "Encounter/e": "deny", "Condition/bp": "deny", "Flag/f": "deny", "AllergyIntolerance/a": "deny"}
	locate := redacted([]string{"Patient.telecom", "Patient.maritalStatus", "Patient.identifier.where(system='" + pmhc + "mrn')"},
		[]string{"Patient.name", "Patient.address", "Patient.birthDate", "Patient.gender", "Patient.identifier.where(system='http://hl7.org/fhir/sid/us-ssn')"})
	height := with(glucose("h", "2026-03-12T09:00:00-05:00"), set("code", concept(loinc, "8302-2")), set("valueQuantity", doc{"value": 171, "unit": "cm"}))
	blocked := one(consent("c1", deny(recipient(agency))))
	return []row{
		mk("a court order reaches what it names", "45 CFR 164.512(e)(1)(i)", on("court-order"), "permit", "AOD"),
		mk("a warrant reaches what it names", "45 CFR 164.512(f)(1)(ii)(A)", on("warrant"), "permit", "AOD"),
		mk("a grand jury subpoena reaches what it names", "45 CFR 164.512(f)(1)(ii)(B)", on("grand-jury-subpoena"), "permit", "AOD"),
		mk("an order that names nothing is void", "45 CFR 164.512(e)(1)(i)", officer("LAWENF", basis("court-order")), "deny"),
		mk("an unknown basis is void", "45 CFR 164.512", on("because-we-ask"), "deny"),
		mk("a subpoena with assurance reaches what it names", "45 CFR 164.512(e)(1)(ii)", on("subpoena", set("issuedBy", "Clerk of court"), yes("satisfactoryAssurance")), "permit", "AOD", "MINEC"),
		mk("a subpoena without assurance is void", "45 CFR 164.512(e)(1)(ii)", on("subpoena", set("issuedBy", "Clerk of court"), set("satisfactoryAssurance", false)), "deny"),
		mk("an administrative request that meets the three tests", "45 CFR 164.512(f)(1)(ii)(C)", on("administrative-request", yes(admin...)), "permit", "AOD", "MINEC"),
		mk("an administrative request that meets two is void", "45 CFR 164.512(f)(1)(ii)(C)", on("administrative-request", yes(admin[:2]...)), "deny"),
		mk("a victim who agrees", "45 CFR 164.512(f)(3)(i)", on("hipaa-512f3-victim", yes("victimAgrees")), "permit", "AOD", "MINEC"),
		mk("a victim who cannot agree and five findings", "45 CFR 164.512(f)(3)(ii)", on("hipaa-512f3-victim", set("victimAgrees", nil), yes(incapacity...)), "permit", "AOD", "HUAPRV"),
		mk("a victim who refuses ends it", "45 CFR 164.512(f)(3)", on("hipaa-512f3-victim", set("victimAgrees", false), yes(incapacity...)), "deny"),
		mk("four findings are not five", "45 CFR 164.512(f)(3)(ii)", on("hipaa-512f3-victim", yes(incapacity[:4]...)), "deny"),
		mk("custody with a stated need", "45 CFR 164.512(k)(5)", ask("custody-officer", "LAWENF", as("Practitioner/jail-1", "Organization/jail"), basis("hipaa-512k5-custody", covers("Condition/bp"), set("represented", []any{"transport"}))), "permit", "MINEC"),
		mk("custody without a stated need is void", "45 CFR 164.512(k)(5)", ask("custody-officer", "LAWENF", as("Practitioner/jail-1", "Organization/jail"), basis("hipaa-512k5-custody", covers("Condition/bp"), set("represented", []any{}))), "deny"),
		mk("custody is for who has it", "45 CFR 164.512(k)(5)", on("hipaa-512k5-custody", set("represented", []any{"transport"})), "deny"),
		{says: "a basis prevails over the patient's deny for what it names", semantics: reg, source: "45 CFR 164.522(a)(1)(v)", consents: blocked, resources: rs(), request: on("warrant"),
			want: doc{"Patient/ida": "deny", "Condition/bp": "permit", "CarePlan/plan": "deny"}, duties: []string{"AOD"}},
		{says: "to locate a person only the listed items go", semantics: reg, source: "45 CFR 164.512(f)(2)", resources: []doc{ida(), visit, height, glucose("o", "2026-03-12T09:00:00-05:00"), condition("bp", "I10")},
			request: officer("LAWENF", basis("hipaa-512f2-identify-locate", set("subject", "missing-person"))),
			want: doc{"Patient/ida": locate, "Encounter/e": redacted([]string{"Encounter.serviceProvider", "Encounter.text"}, []string{"Encounter.period"}),
				"Observation/h": "permit", "Observation/o": "deny", "Condition/bp": "deny"}, duties: []string{"AOD", "MINEC"}},
		{says: "a neighbour is not located", semantics: reg, source: "45 CFR 164.512(f)(2)", resources: []doc{ida()},
			request: officer("LAWENF", basis("hipaa-512f2-identify-locate", set("subject", "neighbour"))), want: doc{"Patient/ida": "deny"}},
		{says: "to avert a threat the profile goes", semantics: reg, source: "45 CFR 164.512(j)(1)(i), 164.514(d)", resources: kit, request: officer("CRISIS", threat()), want: profile, duties: []string{"AOD", "MINEC", "HUAPRV"}},
		{says: "the requester cannot attest the threat", semantics: reg, source: "45 CFR 164.512(j)(4)", resources: kit, request: officer("CRISIS", threat(set("attestedBy", "Practitioner/officer-dahl"))), want: nothing},
		{says: "nor can its organisation", semantics: reg, source: "45 CFR 164.512(j)(4)", resources: kit, request: officer("CRISIS", threat(set("attestedBy", agency))), want: nothing},
		{says: "an attestation of tomorrow is void", semantics: reg, source: "45 CFR 164.512(j)(4)", resources: kit, request: officer("CRISIS", threat(set("attestedAt", "2026-08-06T00:00:00-05:00"))), want: nothing},
		{says: "a threat opens nothing about substance use", semantics: safe, source: "minimum-necessary profile", resources: []doc{plan("plan", labelled("R", "SUD"))}, request: officer("CRISIS", threat()), want: planIs("deny")},
	}
}

func emergencyRows() []row {
	rs := func(parts ...part) []doc { return []doc{glucose("o", "2026-03-12T09:00:00-05:00", parts...)} }
	is := func(d string) doc { return doc{"Observation/o": d} }
	no := one(consent("c1", deny(purpose("TREAT"))))
	open := breaking("unresponsive, overdose suspected", true)
	mk := func(says string, cs, resources []doc, q doc, decision string, duties ...string) row {
		return row{says: says, semantics: reg, source: "45 CFR 164.522(a)(1)(iii); 42 CFR 2.51", consents: cs, resources: resources, request: q, want: is(decision), duties: duties}
	}
	ruled := func(r doc) []doc { return one(consent("c1", permit(purpose("TREAT"), nested(r)))) }
	return []row{
		mk("an emergency overrides a deny", no, rs(), emergency(open), "permit", "NOREUSE"),
		mk("the purpose alone does not", no, rs(), emergency(), "deny"),
		mk("a declaration without a reason does not", no, rs(), emergency(breaking(" ", true)), "deny"),
		mk("a declaration that is not made does not", no, rs(), emergency(set("breakGlass", doc{"declared": false, "reason": "x"})), "deny"),
		mk("an officer is not medical personnel", no, rs(), officer("BTG", open), "deny"),
		mk("another purpose does not break the glass", no, rs(), emergency(open, purposes("HPAYMT")), "permit"),
		mk("a Consent that rules on breaking the glass is followed", ruled(deny(purpose("BTG"))), rs(), emergency(open), "deny"),
		mk("also where it permits it", one(consent("c1", deny(purpose("TREAT"), nested(permit(purpose("BTG")))))), rs(), emergency(), "permit"),
		mk("without a deny the baseline decides", nil, rs(), emergency(open), "permit"),
		mk("a Part 2 record opens where consent cannot be obtained", nil, rs(labelled("R", "SUD", "42CFRPart2")), emergency(open), "permit", "part2-emergency-record-2.51(c)"),
		mk("and stays shut where it can", nil, rs(labelled("R", "SUD", "42CFRPart2")), emergency(breaking("intoxicated", false)), "deny"),
		mk("psychotherapy notes stay shut", nil, rs(labelled("V", "PSYTHPN")), emergency(open), "deny"),
		mk("criminal history stays shut", nil, rs(labelled("R", "CHRI")), emergency(open), "deny"),
	}
}

func part2Rows() []row {
	oud := func() []doc {
		return []doc{condition("oud", "F11.20", labelled("R", "SUD", "42CFRPart2"), from(sudorg))}
	}
	is := func(d string) doc { return doc{"Condition/oud": d} }
	full := func(parts ...part) doc {
		return permit(append([]part{participant("CST", sudorg), recipient(agency), purpose("CRISIS"), label("42CFRPart2", "SUD"), period("2026-02-03", "2026-12-31")}, parts...)...)
	}
	mk := func(says string, c doc, q doc, decision string, duties ...string) row {
		return row{says: says, semantics: reg, source: "42 CFR 2.31, 2.33", consents: one(c), resources: oud(), request: q, want: is(decision), duties: duties}
	}
	c := func(rule doc, parts ...part) doc {
		return consent("c1", rule, append([]part{part2Form()}, parts...)...)
	}
	tpo := c(permit(purpose("TREAT", "HPAYMT", "HOPERAT")))
	through := fact("networks", []any{"Organization/valley-hie"})
	police := []string{"part2-notice-2.32(a)", "part2-consent-copy-2.32(b)", "NORDSCLCD"}
	order := func(parts ...part) part {
		return basis("part2-court-order", append([]part{covers("Condition/oud"), set("section", "2.65"), set("compulsoryProcess", true)}, parts...)...)
	}
	noted := mk("a complete consent reaches police with notice and copy", c(full()), officerAsks(), "permit", police...)
	noted.notice = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
	premises := func(by string) doc {
		return officer("LAWENF", basis("crime-on-part2-premises", set("initiatedBy", by)))
	}
	guest := ida(labelled("42CFRPart2"), from(sudorg))
	return []row{
		noted,
		mk("a general authorization is not enough", consent("c1", full(), set("organization", []any{reference(sudorg)})), officerAsks(), "deny"),
		mk("without an expiry it is void", c(full(without("period"))), officerAsks(), "deny"),
		mk("without a purpose it is void", c(full(without("purpose"))), officerAsks(), "deny"),
		mk("without a description it is void", c(full(without("securityLabel"))), officerAsks(), "deny"),
		mk("without a recipient it is void", c(full(without("actor"), participant("CST", sudorg))), officerAsks(), "deny"),
		mk("without a signature it is void", c(full(), without("sourceReference")), officerAsks(), "deny"),
		mk("without a date it is void", c(full(), without("dateTime")), officerAsks(), "deny"),
		mk("without a discloser it is void", c(full(without("actor"), recipient(agency)), without("organization")), officerAsks(), "deny"),
		mk("the consent of another program is not this one's", c(full(without("actor"), recipient(agency)), set("organization", []any{reference(clinic)})), officerAsks(), "deny"),
		mk("a nested rule may bring recipient and expiry", c(permit(participant("CST", sudorg), purpose("CRISIS"), class("CarePlan"),
			nested(permit(recipient(agency), label("42CFRPart2"), class("Condition"), period("", "2026-12-31"))))), officerAsks(), "permit", police...),
		mk("one consent for treatment reaches a treating provider", tpo, clinician("TREAT"), "permit", "part2-notice-2.32(a)", "part2-consent-copy-2.32(b)"),
		mk("and nobody else", tpo, clinician("TREAT", fact("treatingProvider", false)), "deny"),
		mk("and not police", c(permit(purpose("TREAT", "HPAYMT", "HOPERAT"))), officer("TREAT"), "deny"),
		mk("through an exchange it reaches a treating provider", c(full(without("actor"), participant("CST", sudorg), recipient("Organization/valley-hie"), purpose("TREAT"))), clinician("TREAT", through), "permit"),
		mk("through an exchange it does not reach police", c(full(without("actor"), participant("CST", sudorg), recipient("Organization/valley-hie"))), officer("CRISIS", through), "deny"),
		mk("treatment does not cover breaking the glass", c(permit(purpose("TREAT"))), emergency(), "deny"),
		mk("operations do not cover proceedings", c(permit(purpose("HOPERAT"))), clinician("HLEGAL"), "deny"),
		mk("proceedings need a consent of their own", c(full(purpose("HLEGAL"))), officer("HLEGAL"), "deny"),
		mk("proceedings alone may be consented to", c(full(without("purpose"), purpose("HLEGAL"))), officer("HLEGAL"), "permit"),
		{says: "a treating provider has no baseline", semantics: reg, source: "42 CFR 2.13(a)", resources: oud(), request: clinician("TREAT"), want: is("deny")},
		{says: "a court order of subpart E with process reaches it", semantics: reg, source: "42 CFR 2.61-2.67", resources: oud(), request: officer("LAWENF", order()), want: is("permit"), duties: []string{"AOD"}},
		{says: "an order without process does not", semantics: reg, source: "42 CFR 2.61", resources: oud(), request: officer("LAWENF", order(set("compulsoryProcess", false))), want: is("deny")},
		{says: "an order of another section does not", semantics: reg, source: "42 CFR 2.61", resources: oud(), request: officer("LAWENF", order(set("section", "2.51"))), want: is("deny")},
		{says: "a warrant alone does not", semantics: reg, source: "42 CFR 2.61(a)", resources: oud(), request: officer("LAWENF", basis("warrant", covers("Condition/oud"))), want: is("deny")},
		{says: "a crime on the premises lets name and address go", semantics: reg, source: "42 CFR 2.12(c)(5)", resources: append(oud(), guest), request: premises(sudorg),
			want: doc{"Condition/oud": "deny", "Patient/ida": redacted([]string{"Patient.birthDate", "Patient.identifier", "Patient.telecom"}, []string{"Patient.name", "Patient.address"})}, duties: []string{"AOD", "MINEC"}},
		{says: "only the program itself may start that", semantics: reg, source: "42 CFR 2.12(c)(5)", resources: []doc{guest}, request: premises(clinic), want: doc{"Patient/ida": "deny"}},
		{says: "the same code from elsewhere is no Part 2 record", semantics: reg, source: "42 CFR 2.11", resources: []doc{condition("oud", "F11.20", from(clinic))}, request: clinician("TREAT"), want: is("permit")},
	}
}

func psychotherapyRows() []row {
	rs := func() []doc {
		return []doc{document("note", labelled("V", "PSYTHPN")), glucose("o", "2026-03-12T09:00:00-05:00")}
	}
	mk := func(says, note, o string, cs ...doc) row {
		return row1(says, reg, "45 CFR 164.508(a)(2), (b)(3)(ii)", cs, rs(), clinician("TREAT"), doc{"DocumentReference/note": note, "Observation/o": o})
	}
	own := permit(recipient(clinic), purpose("TREAT"), label("PSYTHPN", "HIPAAPsyNotes"), period("", "2026-12-31"))
	return []row{
		mk("no Consent opens the rest only", "deny", "permit"),
		mk("a general Consent opens the rest only", "deny", "permit", consent("c1", permit(purpose("TREAT")))),
		mk("an authorization of their own opens them", "permit", "permit", consent("c1", own, policyRule("HIPAAAuthCD")), consent("c2", permit(purpose("TREAT"), class("Observation")))),
		mk("one combined with other data does not", "deny", "permit", consent("c1", permit(purpose("TREAT"), label("PSYTHPN", "N")), policyRule("HIPAAAuthCD"))),
		mk("a Consent of another form does not", "deny", "deny", consent("c1", own)),
	}
}

func cjiRows() []row {
	record := func(id string, codes ...string) doc { return document(id, labelled(codes...), from(agency)) }
	contact := encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", from(agency))
	manager := func(parts ...part) doc {
		return ask("case-manager", "COC", append([]part{as("Practitioner/mgr", clinic), fact("treatingProvider", true), set("direction", "police-to-bh")}, parts...)...)
	}
	mou := set("agreements", []any{"mou-7"})
	share := one(consent("c1", permit(recipient(clinic), purpose("COC"))))
	mk := func(says string, cs []doc, rs []doc, q doc, want doc) row {
		return row1(says, reg, "28 CFR 20.3, 20.20, 20.33", cs, rs, q, want)
	}
	at := func(d string) doc { return doc{"Encounter/e": d} }
	return []row{
		mk("an agreement opens the agency's own contact record", nil, []doc{contact}, manager(mou), at("permit")),
		mk("treatment alone does not open police records", nil, []doc{contact}, manager(), at("deny")),
		mk("a Consent opens them", share, []doc{contact}, manager(), at("permit")),
		mk("an agreement does not override a deny", one(consent("c1", deny(recipient(clinic)))), []doc{contact}, manager(mou), at("deny")),
		mk("nor a residual deny", one(consent("c1", permit(recipient(clinic), class("CarePlan")))), []doc{contact}, manager(mou), at("deny")),
		mk("an agreement opens nothing sensitive", nil, []doc{record("d", "R", "SDV")}, manager(mou), doc{"DocumentReference/d": "deny"}),
		mk("criminal history never leaves", share, []doc{record("d", "R", "CHRI")}, manager(mou), doc{"DocumentReference/d": "deny"}),
		mk("nor a wanted person hit", share, []doc{record("d", "R", "NCIC-RESTRICTED")}, manager(mou), doc{"DocumentReference/d": "deny"}),
		mk("nor a juvenile record", share, []doc{record("d", "R", "JUVENILE")}, manager(mou), doc{"DocumentReference/d": "deny"}),
		mk("nor on a court order", nil, []doc{record("d", "R", "CHRI")}, manager(basis("court-order", covers("DocumentReference/d"))), doc{"DocumentReference/d": "deny"}),
		mk("an agreement opens no health data to police", nil, plans(), officer("CRISIS", mou), planIs("deny")),
	}
}

func scopeRows() []row {
	rs := []doc{plan("plan"), condition("bp", "I10", set("category", []any{concept(tho+"condition-category", "problem-list-item")}))}
	open := one(consent("c1", permit(recipient(agency))))
	mk := func(says, planIs, bp string, s ...any) row {
		return row1(says, r4, "SMART App Launch 2.2, scopes", open, rs, officer("CRISIS", scopes(s...)), doc{"CarePlan/plan": planIs, "Condition/bp": bp})
	}
	return []row{
		mk("a scope of all types", "permit", "permit", "user/*.rs"),
		mk("a scope of one type", "permit", "deny", "user/CarePlan.r"),
		mk("scopes add up", "permit", "permit", "user/CarePlan.r", "system/Condition.cruds"),
		mk("the old form of read", "permit", "deny", "user/CarePlan.read"),
		mk("the old form of everything", "permit", "permit", "user/*.*"),
		mk("the old form of write covers nothing returned", "deny", "deny", "user/*.write"),
		mk("search without read covers nothing returned", "deny", "deny", "user/*.s"),
		mk("letters out of order are no scope", "deny", "deny", "user/*.sr"),
		mk("launch scopes cover nothing", "deny", "deny", "openid", "launch/patient"),
		mk("no scope covers nothing", "deny", "deny"),
		mk("criteria that hold", "deny", "permit", "user/Condition.rs?category="+tho+"condition-category|problem-list-item"),
		mk("criteria that do not hold", "deny", "deny", "user/Condition.rs?category="+tho+"condition-category|encounter-diagnosis"),
		row1("a scope does not widen a Consent", r4, "SMART App Launch 2.2", one(consent("c1", permit(recipient(agency), class("CarePlan")))), rs, officerAsks(), doc{"CarePlan/plan": "permit", "Condition/bp": "deny"}),
	}
}
