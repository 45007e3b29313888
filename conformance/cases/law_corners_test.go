package cases

// These families hold the odd corners of law_rows_test.go: gates, accepted
// legal bases, emergencies, what goes with an answer, and how it is asked for.

func part2Corners() []row {
	oud := func() []doc {
		return []doc{condition("oud", "F11.20", labelled("R", "SUD", "42CFRPart2"), from(sudorg))}
	}
	full := func(parts ...part) doc {
		return permit(append([]part{participant("CST", sudorg), recipient(agency), purpose("CRISIS"), label("42CFRPart2"), period("2026-02-03", "2026-12-31")}, parts...)...)
	}
	mk := func(says, decision string, q doc, cs ...doc) row {
		return row1(says, reg, "42 CFR 2.31, 2.33", cs, oud(), q, doc{"Condition/oud": decision})
	}
	c := func(id string, rule doc, parts ...part) doc {
		return consent(id, rule, append([]part{part2Form()}, parts...)...)
	}
	tpo := func(parts ...part) doc {
		return permit(append([]part{purpose("TREAT", "HPAYMT", "HOPERAT")}, parts...)...)
	}
	attached := []part{without("sourceReference"), set("sourceAttachment", doc{"contentType": "application/pdf", "title": "signed form"})}
	tpoFor := func(ref string) doc { return tpo(recipient(ref)) }
	through := fact("networks", []any{"Organization/valley-hie"})
	return []row{
		mk("Michigan's form for Part 2 opens it", "permit", officerAsks(), c("c1", full(), policyRule("MDHHS-5515Part2"))),
		mk("the tag itself as policy opens it", "permit", officerAsks(), c("c1", full(), policyRule("42CFRPart2"))),
		mk("an authorization under HIPAA does not", "deny", officerAsks(), c("c1", full(), policyRule("HIPAAAuthCD"))),
		mk("a signed attachment is a signature", "permit", officerAsks(), c("c1", full(), attached...)),
		mk("without anybody who signed it is void", "deny", officerAsks(), c("c1", full(), without("performer"))),
		mk("the organisation may name the discloser", "permit", officerAsks(), c("c1", full(without("actor"), recipient(agency)))),
		mk("a start without an end is no expiry", "deny", officerAsks(), c("c1", full(set("period", doc{"start": "2026-02-03"})))),
		mk("a description by class is one", "permit", officerAsks(), c("c1", full(without("securityLabel"), class("Condition")))),
		mk("a description by code is one", "permit", officerAsks(), c("c1", full(without("securityLabel"), code(icd10, "F11.20")))),
		mk("a class of persons who are named by role", "permit", officerAsks(), c("c1", full(without("actor"), participant("CST", sudorg), anyone("law-enforcement-officer")))),
		mk("past its expiry it is void", "deny", officerAsks(), c("c1", full(period("2026-02-03", "2026-07-31")))),
		mk("revoked it is void", "deny", officerAsks(), c("c1", full(), set("status", "inactive"))),
		mk("treatment and another purpose is not a TPO consent", "deny", clinician("TREAT"), c("c1", permit(purpose("TREAT", "CRISIS")))),
		mk("one purpose of the three is a TPO consent", "permit", clinician("TREAT"), c("c1", permit(purpose("TREAT")))),
		mk("a TPO consent does not reach a colleague who does not treat", "deny", clinician("TREAT", fact("treatingProvider", false)), c("c1", tpo())),
		mk("not even one that names him", "deny", clinician("TREAT", fact("treatingProvider", false)), c("c1", tpoFor(clinic))),
		mk("a complete one does", "permit", clinician("TREAT", fact("treatingProvider", false)), c("c1", full(recipient(clinic), purpose("TREAT")))),
		mk("a TPO consent that has run out", "deny", clinician("TREAT"), c("c1", tpo(period("", "2026-07-31")))),
		mk("a TPO consent covers coordination of care", "permit", clinician("COC"), c("c1", tpo())),
		mk("a TPO consent through an exchange reaches who treats", "permit", clinician("TREAT", through), c("c1", tpoFor("Organization/valley-hie"))),
		mk("an exchange does not carry police even for treatment", "deny", officer("TREAT", through, fact("treatingProvider", true)), c("c1", tpoFor("Organization/valley-hie"))),
		mk("police who are named beside an exchange", "permit", officer("CRISIS", through), c("c1", full(recipient("Organization/valley-hie")))),
		mk("a deny of another Consent prevails", "deny", officerAsks(), c("c1", full()), consent("c2", deny(label("SUD")))),
		mk("proceedings with treatment are void for both police and court", "deny", officer("HLEGAL"), c("c1", full(purpose("HLEGAL", "TREAT")))),
		mk("and the other purpose of it stays", "permit", officer("CRISIS"), c("c1", full(purpose("HLEGAL")))),
		mk("a general Consent and a form without expiry do not add up", "deny", officerAsks(), consent("c1", full()), c("c2", full(without("period")))),
		row1("a Part 2 tag without a sensitivity is gated too", reg, "42 CFR 2.12", nil, []doc{plan("plan", labelled("N", "42CFRPart2"), from(sudorg))}, clinician("TREAT"), planIs("deny")),
		row1("ordinary data beside it is not", reg, "42 CFR 2.12", one(consent("c1", permit(recipient(agency)))), append(oud(), plan("plan")), officerAsks(), doc{"Condition/oud": "deny", "CarePlan/plan": "permit"}),
		row1("a reference to it does not survive", reg, "42 CFR 2.13(c)", one(consent("c1", permit(recipient(agency)))),
			append(oud(), encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", set("diagnosis", []any{doc{"condition": reference("Condition/oud")}}))), officerAsks(),
			doc{"Condition/oud": "deny", "Encounter/e": redacted([]string{"Encounter.diagnosis"}, []string{"Encounter.status"})}),
	}
}

func basisCorners() []row {
	rs := func() []doc { return []doc{ida(), condition("bp", "I10"), plan("plan")} }
	mk := func(says, bp string, q doc, duties ...string) row {
		return row{says: says, semantics: reg, source: "45 CFR 164.512; 42 CFR 2.61-2.67", resources: rs(), request: q,
			want: doc{"Patient/ida": "deny", "Condition/bp": bp, "CarePlan/plan": "deny"}, duties: duties}
	}
	on := func(kind string, parts ...part) doc {
		return officer("LAWENF", basis(kind, append([]part{covers("Condition/bp")}, parts...)...))
	}
	special := func(says, decision, kind string, codes []string, parts ...part) row {
		return row{says: says, semantics: reg, source: "gates", resources: []doc{condition("x", "I10", labelled(codes...), from(sudorg))},
			request: officer("LAWENF", basis(kind, append([]part{covers("Condition/x")}, parts...)...)), want: doc{"Condition/x": decision}}
	}
	jail := func(parts ...part) doc {
		return ask("custody-officer", "LAWENF", as("Practitioner/jail-1", "Organization/jail"), basis("hipaa-512k5-custody", append([]part{covers("Condition/bp")}, parts...)...))
	}
	needs := func(values ...any) part { return set("represented", values) }
	locate := func(subject any) doc {
		return officer("LAWENF", basis("hipaa-512f2-identify-locate", set("subject", subject)))
	}
	found := func(says string, subject any, decision any) row {
		return row{says: says, semantics: reg, source: "45 CFR 164.512(f)(2)", resources: []doc{ida()}, request: locate(subject), want: doc{"Patient/ida": decision}}
	}
	eyes := with(glucose("eyes", "2026-03-12T09:00:00-05:00"), set("code", doc{"text": "Eye color"}), set("valueString", "brown"))
	blood := with(glucose("abo", "2026-03-12T09:00:00-05:00"), set("code", concept(loinc, "883-9")), set("valueString", "A"))
	dead := ida(set("deceasedDateTime", "2026-08-01"), set("contact", []any{doc{"name": doc{"text": "a sister"}}}))
	threat := func(parts ...part) doc {
		return officer("CRISIS", basis("hipaa-512j-avert-threat", append([]part{covers("CarePlan/plan", "Condition/bp"), set("attestedBy", "Practitioner/dr-osei"), set("attestedAt", "2026-08-05T15:00:00-05:00")}, parts...)...))
	}
	danger := func(says, decision string, q doc, parts ...part) row {
		return row{says: says, semantics: reg, source: "45 CFR 164.512(j)", resources: []doc{plan("plan", parts...)}, request: q, want: doc{"CarePlan/plan": decision}}
	}
	order := func(parts ...part) []part {
		return append([]part{set("section", "2.65"), set("compulsoryProcess", true)}, parts...)
	}
	return []row{
		mk("a version of what is named is what is named", "permit", officer("LAWENF", basis("warrant", covers("Condition/bp/_history/3"))), "AOD"),
		mk("the same id of another type is not", "deny", officer("LAWENF", basis("warrant", covers("Observation/bp")))),
		mk("an empty list names nothing", "deny", officer("LAWENF", basis("warrant", set("covers", []any{})))),
		mk("a basis without a type is void", "deny", officer("LAWENF", set("legalBasis", doc{"covers": []any{"Condition/bp"}}))),
		mk("a basis that is null is none", "deny", officer("LAWENF", set("legalBasis", nil))),
		mk("a subpoena that nobody issued is void", "deny", on("subpoena", set("satisfactoryAssurance", true))),
		mk("a subpoena of a blank issuer is void", "deny", on("subpoena", set("issuedBy", " "), set("satisfactoryAssurance", true))),
		mk("an assurance that is a text is none", "deny", on("subpoena", set("issuedBy", "Clerk of court"), set("satisfactoryAssurance", "true"))),
		mk("a request of which one test is null is void", "deny", on("administrative-request", set("relevantAndMaterial", true), set("specificAndLimited", true), set("deidentifiedInsufficient", nil))),
		mk("custody for care", "permit", jail(needs("provision-of-health-care")), "MINEC"),
		mk("one known need beside an unknown one", "permit", jail(needs("curiosity", "officer-safety")), "MINEC"),
		mk("an unknown need is none", "deny", jail(needs("curiosity"))),
		mk("a need that is a text and no list is none", "deny", jail(set("represented", "transport"))),
		{says: "a basis does not widen the scope", semantics: reg, source: "scope gate", resources: rs(), request: officer("LAWENF", scopes("user/CarePlan.rs"), basis("warrant", covers("Condition/bp"))),
			want: doc{"Patient/ida": "deny", "Condition/bp": "deny", "CarePlan/plan": "deny"}},
		{says: "a Consent and a basis each for what they reach", semantics: reg, source: "order of evaluation", consents: one(consent("c1", permit(recipient(agency), class("CarePlan")))), resources: rs(),
			request: on("warrant"), want: doc{"Patient/ida": "deny", "Condition/bp": "permit", "CarePlan/plan": "permit"}},
		{says: "a void basis leaves the Consents", semantics: reg, source: "order of evaluation", consents: one(consent("c1", permit(recipient(agency), class("CarePlan")))), resources: rs(),
			request: on("because-we-ask"), want: doc{"Patient/ida": "deny", "Condition/bp": "deny", "CarePlan/plan": "permit"}},
		{says: "two bases reach what each names", semantics: reg, source: "accepted bases stand each by itself", resources: rs(),
			request: officer("LAWENF", set("legalBases", []any{doc{"type": "warrant", "covers": []any{"Condition/bp"}}, doc{"type": "court-order", "covers": []any{"CarePlan/plan"}}})),
			want:    doc{"Patient/ida": "deny", "Condition/bp": "permit", "CarePlan/plan": "permit"}, duties: []string{"AOD"}},
		special("a warrant does not reach Part 2", "deny", "warrant", []string{"R", "SUD", "42CFRPart2"}),
		special("nor psychotherapy notes", "deny", "court-order", []string{"V", "PSYTHPN"}),
		special("nor criminal history from a health system", "deny", "grand-jury-subpoena", []string{"R", "CHRI"}),
		special("an order of subpart E does not reach psychotherapy notes", "deny", "part2-court-order", []string{"V", "42CFRPart2", "PSYTHPN"}, order()...),
		special("an order of subpart E reaches ordinary data that it names", "permit", "part2-court-order", []string{"N"}, order()...),
		special("an order without a section does not", "deny", "part2-court-order", []string{"R", "42CFRPart2"}, set("compulsoryProcess", true)),
		found("a bystander is nobody to locate", "bystander", "deny"),
		found("a subject that is null is none", nil, "deny"),
		found("a fugitive is located by name and address", "fugitive", redacted([]string{"Patient.telecom", "Patient.maritalStatus"}, []string{"Patient.name", "Patient.address"})),
		{says: "to locate a person eyes and blood go and glucose does not", semantics: reg, source: "45 CFR 164.512(f)(2)(i)", resources: []doc{eyes, blood, glucose("o", "2026-03-12T09:00:00-05:00")}, request: locate("suspect"),
			want: doc{"Observation/eyes": "permit", "Observation/abo": "permit", "Observation/o": "deny"}, duties: []string{"AOD", "MINEC"}},
		{says: "to locate a person the time of death goes and the relatives do not", semantics: reg, source: "45 CFR 164.512(f)(2)(i)(G)", resources: []doc{dead}, request: locate("missing-person"),
			want: doc{"Patient/ida": redacted([]string{"Patient.contact"}, []string{"Patient.deceased", "Patient.birthDate"})}},
		danger("an attestation without a time is void", "deny", threat(set("attestedAt", nil))),
		danger("an attestation by nobody is void", "deny", threat(set("attestedBy", ""))),
		danger("a version of the requester is the requester", "deny", threat(set("attestedBy", "Practitioner/officer-dahl/_history/1"))),
		danger("an attestation of this day counts from its start", "permit", threat(set("attestedAt", "2026-08-05"))),
		danger("a plan that is a psychotherapy note goes on a threat", "permit", threat(), labelled("V", "PSYTHPN")),
		danger("a plan under Part 2 does not", "deny", threat(), labelled("R", "42CFRPart2"), from(sudorg)),
		danger("a plan about HIV does not", "deny", threat(), labelled("R", "HIV")),
		danger("a plan about alcohol does not", "deny", threat(), labelled("R", "ETHUD")),
		danger("a plan for another purpose than crisis does not", "deny", threat(), set("title", "Diabetes plan")),
	}
}

func emergencyCorners() []row {
	obs := func(codes ...string) []doc {
		return []doc{glucose("o", "2026-03-12T09:00:00-05:00", labelled(codes...))}
	}
	no := one(consent("c1", deny(purpose("TREAT"))))
	open := breaking("unresponsive", true)
	mk := func(says, decision string, cs, rs []doc, q doc, duties ...string) row {
		return row{says: says, semantics: reg, source: "45 CFR 164.522(a)(1)(iii); 42 CFR 2.51", consents: cs, resources: rs, request: q, want: doc{"Observation/o": decision}, duties: duties}
	}
	stranger := fact("treatingProvider", false)
	return []row{
		mk("emergency treatment breaks the glass too", "permit", no, obs(), emergency(open, purposes("ETREAT")), "NOREUSE"),
		mk("treatment does not", "deny", no, obs(), emergency(open, purposes("TREAT"))),
		mk("who is no medical personnel does not", "deny", no, obs(), emergency(open, fact("medicalPersonnel", false))),
		mk("a residual deny is overridden too", "permit", one(consent("c1", permit(purpose("TREAT"), class("CarePlan")))), obs(), emergency(open), "NOREUSE"),
		mk("a second purpose without a ground is not carried along", "deny", no, obs(), emergency(open, purposes("BTG", "HMARKT"))),
		mk("a stranger without a deny in the way has no ground", "deny", nil, obs(), emergency(open, stranger)),
		mk("a stranger against a deny treats an emergency", "permit", no, obs(), emergency(open, stranger), "NOREUSE"),
		mk("a rule nested two deep that rules on it is followed", "deny", one(consent("c1", permit(purpose("TREAT"), nested(deny(purpose("ETREAT"), nested(deny(purpose("BTG")))))))), obs(), emergency(open)),
		mk("a ruling on it in another Consent is followed under a broader purpose", "deny", []doc{consent("c1", deny(purpose("TREAT"))), consent("c2", deny(purpose("BTG")))}, obs(), emergency(open, purposes("ETREAT"))),
		mk("a Consent that permits breaking the glass needs no declaration", "permit", one(consent("c1", permit(purpose("BTG")))), obs(), emergency(stranger)),
		mk("Part 2 data under a deny opens where consent cannot be obtained", "permit", no, obs("R", "SUD", "42CFRPart2"), emergency(open), "part2-emergency-record-2.51(c)", "NOREUSE"),
		mk("Part 2 data does not open to an officer", "deny", nil, obs("R", "42CFRPart2"), officer("BTG", open)),
		mk("Part 2 data does not open without a reason", "deny", nil, obs("R", "42CFRPart2"), emergency(breaking("", true))),
		mk("a note of psychotherapy in a Part 2 program stays shut", "deny", nil, obs("V", "42CFRPart2", "PSYTHPN"), emergency(open)),
		mk("an emergency does not widen the scope", "deny", no, obs(), emergency(open, scopes("user/CarePlan.rs"))),
	}
}
