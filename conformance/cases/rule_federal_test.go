package cases

// Scenes of the federal pack: grounds, gates, emergencies and duties. Those of
// declared legal bases stand in rule_basis_test.go.

const federal = "us-federal/"

func groundScenes() []scene {
	no, yes := doc{"CarePlan/plan": "deny"}, doc{"CarePlan/plan": "permit"}
	stranger := clinician("TREAT", fact("treatingProvider", false))
	own := clinician("TREAT", fact("treatingProvider", false), set("ownRecords", true))
	shut := one(consent("c1", deny(recipient(clinic))))
	kept := consent("about", permit(recipient(agency)), from(clinic))
	mou := set("agreements", []any{"mou-7"})
	manager := ask("case-manager", "COC", as("Practitioner/mgr", clinic), set("direction", "police-to-bh"), mou)
	contact := func(parts ...part) []doc {
		return []doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", append([]part{from(agency)}, parts...)...)}
	}
	shared, withheld := doc{"Encounter/e": "permit"}, doc{"Encounter/e": "deny"}
	about := []doc{plan("plan", without("subject"))}
	staff := func(parts ...part) doc {
		return with(doc{"resourceType": "Practitioner", "id": "osei", "name": []any{doc{"family": "Osei"}}}, append([]part{from(clinic)}, parts...)...)
	}
	open, closed := doc{"Practitioner/osei": "permit"}, doc{"Practitioner/osei": "deny"}
	nobody := clinician("CRISIS", fact("treatingProvider", false))
	return []scene{
		{rule: federal + "baseline/own-consent", shown: []string{"own", "consent"},
			row: row{consents: shut, resources: []doc{kept}, request: own, want: doc{"Consent/about": "permit"}},
			shots: []shot{
				{of: "own", change: dataOf(with(deep(kept), from(sudorg))), want: doc{"Consent/about": "deny"}},
				{of: "consent", change: dataOf(plan("plan", from(clinic))), want: no},
			}},
		{rule: federal + "baseline/own-record", shown: []string{"own"},
			row:   row{resources: []doc{plan("plan", from(clinic))}, request: own, want: yes},
			shots: []shot{{of: "own", change: dataOf(plan("plan", from(sudorg))), want: no}}},
		{rule: federal + "baseline/directory", shown: []string{"directory", "not-part2", "not-police", "nobody", "unlabelled"},
			row: row{resources: []doc{staff()}, request: nobody, directory: []any{"Practitioner"}, want: open},
			shots: []shot{
				{of: "directory", change: func(r *row) { r.directory = nil }, want: closed},
				{of: "not-part2", change: organizations(doc{clinic: doc{"kind": "health", "part2": true}}), want: closed},
				{of: "not-police", change: organizations(doc{clinic: doc{"kind": "police"}}), want: closed},
				{of: "unlabelled", change: dataOf(staff(labelled("R"))), want: closed},
			}},
		{rule: federal + "baseline/agreement", shown: []string{"police-record", "to-health", "not-to-police", "unlabelled"},
			row: row{resources: contact(), request: manager, want: shared},
			shots: []shot{
				{of: "to-health", change: several(asks(without("direction")), organizations(doc{agency: doc{"kind": "police"}})), want: withheld},
				{of: "not-to-police", change: by(ask("law-enforcement-officer", "LAWENF", as("Practitioner/s", "Organization/southfield-pd"), set("direction", "police-to-bh"), mou)), want: withheld},
				{of: "unlabelled", change: dataOf(contact(labelled("R", "SDV"))...), want: withheld},
			}},
		{rule: federal + "baseline/police-record", shown: []string{"police-record"},
			row:   row{resources: contact(), request: clinician("TREAT"), orgs: doc{agency: doc{"kind": "police"}}, want: withheld},
			shots: []shot{{of: "police-record", change: organizations(doc{agency: doc{"kind": "health"}}), want: shared}}},
		{rule: federal + "baseline/police", shown: []string{"police"},
			row:   row{resources: plans(), request: officer("TREAT", fact("treatingProvider", true)), want: no},
			shots: []shot{{of: "police", change: by(clinician("TREAT")), want: yes}}},
		{rule: federal + "baseline/treatment", shown: []string{"treating", "purpose", "person-known"},
			row: row{resources: plans(), request: clinician("TREAT"), want: yes},
			shots: []shot{
				{of: "treating", change: by(stranger), want: no},
				{of: "purpose", change: by(clinician("HMARKT")), want: no},
				{of: "purpose", says: "is not met by proceedings", change: by(clinician("HLEGAL")), want: no},
				{of: "person-known", change: dataOf(about...), want: no},
			}},
		{rule: federal + "baseline/unknown-person", shown: []string{"treating", "purpose"},
			row: row{resources: about, request: clinician("TREAT"), want: no, spoke: federal + "baseline/unknown-person"},
			shots: []shot{
				{of: "treating", change: by(stranger), want: no, silent: federal + "baseline/unknown-person"},
				{of: "purpose", change: by(clinician("HMARKT")), want: no, silent: federal + "baseline/unknown-person"},
			}},
	}
}

func gateScenes() []scene {
	southfield := "Organization/southfield-pd"
	other := ask("law-enforcement-officer", "LAWENF", as("Practitioner/s", southfield))
	share := func(org string) []doc { return one(consent("c1", permit(recipient(org)))) }
	history := func(parts ...part) []doc { return []doc{document("d", append([]part{from(agency)}, parts...)...)} }
	chri := history(labelled("R", "CHRI"))
	d := func(decision string) doc { return doc{"DocumentReference/d": decision} }
	clerk := func(org string, parts ...part) doc {
		return ask("case-manager", "LAWENF", append([]part{as("Practitioner/c", org), set("ownRecords", true)}, parts...)...)
	}
	toPolice := set("direction", "police-to-bh")
	oud := func(parts ...part) []doc {
		return []doc{condition("oud", "I10", append([]part{labelled("R", "42CFRPart2"), from(sudorg)}, parts...)...)}
	}
	x := func(decision string) doc { return doc{"Condition/oud": decision} }
	counsellor := ask("treating-clinician", "TREAT", as("Practitioner/k", sudorg), set("ownRecords", true))
	warrant := basis("warrant", covers("Condition/oud"))
	note := func(codes ...string) []doc { return []doc{document("note", labelled(codes...))} }
	n := func(decision string) doc { return doc{"DocumentReference/note": decision} }
	return []scene{
		{rule: federal + "gate/cji", shown: []string{"labelled", "police"},
			row: row{consents: share(clinic), resources: chri, request: clinician("TREAT"), want: d("deny")},
			shots: []shot{
				{of: "labelled", change: dataOf(history()...), want: d("permit")},
				{of: "police", says: "lets agencies among themselves", also: []string{"no-basis"}, change: several(under(share(southfield)...), by(other)), want: d("permit")},
				{of: "no-basis", says: "lets no legal basis through", change: several(under(), by(deep(with(deep(other), basis("warrant", covers("DocumentReference/d")))))), want: d("deny")},
				{of: "own-record", says: "lets the custodian look", also: []string{"police-record"}, change: several(under(), by(clerk(agency, toPolice))), want: d("permit")},
				{of: "own-record", says: "is not another agency's", change: several(under(share(southfield)...), by(clerk(southfield, toPolice))), want: d("deny")},
				{of: "police-record", says: "is not a health system's", change: several(under(), dataOf(document("d", labelled("R", "CHRI"), from(clinic))), by(clerk(clinic))), want: d("deny")},
			}},
		{rule: federal + "gate/part2", shown: []string{"tagged"},
			row: row{consents: one(consent("c1", permit())), resources: oud(), request: clinician("TREAT"), want: x("deny")},
			shots: []shot{
				{of: "tagged", change: dataOf(condition("oud", "I10", from(sudorg))), want: x("permit")},
				{of: "own-record", says: "lets the program look", also: []string{"no-basis"}, change: by(counsellor), want: x("permit")},
				{of: "own-record", says: "is not another's", change: by(with(deep(counsellor), fact("organization", clinic))), want: x("deny")},
				{of: "no-basis", says: "lets no legal basis through", change: several(under(consent("c1", deny(recipient(sudorg)))), by(with(deep(counsellor), warrant))), want: x("deny")},
			}},
		{rule: federal + "gate/psychotherapy-notes", shown: []string{"notes"},
			row:   row{resources: note("V", "PSYTHPN"), request: clinician("TREAT"), want: n("deny")},
			shots: []shot{{of: "notes", change: dataOf(note("V")...), want: n("permit")}}},
	}
}

func emergencyScenes() []scene {
	obs := func(parts ...part) []doc { return []doc{glucose("o", "2026-03-12T09:00:00-05:00", parts...)} }
	is := func(d string) doc { return doc{"Observation/o": d} }
	shut := one(consent("c1", deny(purpose("TREAT"))))
	open := breaking("unresponsive, overdose suspected", true)
	sud := func() []doc { return obs(labelled("R", "42CFRPart2"), from(sudorg)) }
	common := func(rs []doc) []shot {
		return []shot{
			{of: "declared", change: asks(set("breakGlass", doc{"declared": false, "reason": "unresponsive", "consentCannotBeObtained": true})), want: is("deny")},
			{of: "medical-personnel", change: asks(fact("medicalPersonnel", false)), want: is("deny")},
			{of: "purpose", change: asks(purposes("TREAT")), want: is("deny")},
			{of: "health-record", change: several(dataOf(rs...), organizations(doc{agency: doc{"kind": "police"}})), want: is("deny")},
		}
	}
	return []scene{
		{rule: federal + "break-glass/override", shown: []string{"declared", "medical-personnel", "purpose", "health-record"},
			row:   row{consents: shut, resources: obs(), request: emergency(open), want: is("permit"), duties: []string{"NOREUSE"}},
			shots: common(obs(from(agency)))},
		{rule: federal + "break-glass/part2", shown: []string{"declared", "medical-personnel", "purpose", "health-record", "no-consent"},
			row: row{resources: sud(), request: emergency(open, fact("treatingProvider", false)), want: is("permit"), duties: []string{"part2-emergency-record-2.51(c)"}},
			shots: append(common(obs(labelled("R", "42CFRPart2"), from(agency))),
				shot{of: "no-consent", change: asks(breaking("unresponsive", false)), want: is("deny")})},
	}
}

func dutyScenes() []scene {
	yes := doc{"CarePlan/plan": "permit"}
	share := one(consent("c1", permit(recipient(agency, clinic))))
	oud := []doc{condition("oud", "F11.20", labelled("R", "SUD", "42CFRPart2"), from(sudorg))}
	full := one(consent("c1", permit(participant("CST", sudorg), recipient(agency, clinic), purpose("CRISIS", "TREAT"), label("42CFRPart2", "SUD"), period("2026-02-03", "2026-12-31")), part2Form()))
	process := func(kind string, parts ...part) part {
		return basis(kind, append([]part{covers("CarePlan/plan")}, parts...)...)
	}
	minec := []string{"MINEC"}
	served := process("subpoena", set("issuedBy", "Clerk of court"), set("satisfactoryAssurance", true))
	attorney := ask("attorney", "HLEGAL", as("Practitioner/a", "Organization/firm"), served)
	staff := with(doc{"resourceType": "Practitioner", "id": "osei", "name": []any{doc{"family": "Osei"}}}, from(clinic))
	return []scene{
		{rule: federal + "duty/no-redisclosure", shown: []string{"part2-consent", "not-treating"},
			row: row{consents: full, resources: oud, request: officerAsks(), want: doc{"Condition/oud": "permit"}, duties: []string{"NORDSCLCD"}},
			shots: []shot{
				{of: "part2-consent", change: several(under(share...), dataOf(plan("plan"))), want: yes, absent: []string{"NORDSCLCD"}},
				{of: "not-treating", change: by(clinician("TREAT")), want: doc{"Condition/oud": "permit"}, absent: []string{"NORDSCLCD"}},
			}},
		{rule: federal + "duty/minimum-on-consent", shown: []string{"police", "on-consent"},
			row: row{consents: share, resources: plans(), request: officerAsks(), want: yes, duties: minec},
			shots: []shot{
				{of: "police", change: by(clinician("CRISIS")), want: yes, absent: minec},
				{of: "on-consent", change: several(under(), by(officer("LAWENF", process("warrant")))), want: yes, absent: minec},
			}},
		{rule: federal + "duty/minimum-on-basis", shown: []string{"police", "on-basis", "no-process"},
			row: row{resources: plans(), request: officer("LAWENF", served), want: yes, duties: minec},
			shots: []shot{
				{of: "police", change: by(attorney), want: yes, absent: minec},
				{of: "on-basis", change: several(dataOf(staff), by(officer("LAWENF")), func(r *row) { r.directory = []any{"Practitioner"} }), want: doc{"Practitioner/osei": "permit"}, absent: minec},
				{of: "no-process", change: by(officer("LAWENF", process("warrant"))), want: yes, absent: minec},
			}},
	}
}
