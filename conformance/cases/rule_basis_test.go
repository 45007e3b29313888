package cases

import "slices"

// Scenes of the declared legal bases of the federal pack.

// A fail is a way in which only one condition of a basis fails.
type fail struct {
	of     string
	change change
}

// basisScene makes the scene of a basis that reaches what want says, from the
// ways in which its conditions fail; then it reaches nothing.
func basisScene(rule string, r row, fails ...fail) scene {
	s := scene{rule: rule, row: r}
	nothing := doc{}
	for ref := range r.want {
		nothing[ref] = "deny"
	}
	for _, f := range fails {
		if !slices.Contains(s.shown, f.of) {
			s.shown = append(s.shown, f.of)
		}
		s.shots = append(s.shots, shot{of: f.of, change: f.change, want: nothing})
	}
	return s
}

func attributes(parts ...part) doc { return with(doc{}, parts...) }

// declared is a request on a basis that covers the Condition and the Patient.
func declaredBy(q doc, kind string, attrs doc) doc {
	b := with(doc{"type": kind, "covers": []any{"Condition/bp", "Patient/ida", "CarePlan/plan"}})
	for k, v := range attrs {
		b[k] = v
	}
	q["legalBasis"] = b
	return q
}

func basisScenes() []scene {
	bp := func() []doc { return []doc{condition("bp", "I10")} }
	reached := doc{"Condition/bp": "permit"}
	located := doc{"Patient/ida": redacted([]string{"Patient.telecom", "Patient.maritalStatus"}, []string{"Patient.name", "Patient.address"})}
	law := func(kind string, parts ...part) doc { return declaredBy(officer("LAWENF"), kind, attributes(parts...)) }
	civil := func(r *row) {
		r.request["role"] = []any{coding(own+"actor-role", "attorney")}
		r.request["actor"] = doc{"reference": "Practitioner/attorney", "organization": "Organization/firm"}
	}
	mine := "Practitioner/officer-dahl"
	nurse := set("reportedBy", "Practitioner/nurse-ames")
	attested := func(parts ...part) []part {
		return append([]part{set("attestedBy", "Practitioner/dr-osei"), set("attestedAt", "2026-08-05T15:00:00-05:00")}, parts...)
	}
	yes := func(names ...string) part {
		return func(d doc) {
			for _, n := range names {
				d[n] = true
			}
		}
	}
	not := func(of, name string, value any) fail { return fail{of, attribute(name, value)} }
	police := fail{"police", civil}
	helpless := []string{"incapacitated", "neededAgainstOther", "notUsedAgainstVictim", "immediateActivityHarmedByWaiting", "bestInterestDetermined"}
	jail := declaredBy(ask("custody-officer", "LAWENF", as("Practitioner/jail-1", "Organization/jail")), "hipaa-512k5-custody", attributes(set("represented", []any{"transport"})))
	named := func(r row, kind string, parts ...part) row { r.request = law(kind, parts...); return r }
	on := func(want doc, rs []doc, duties ...string) row { return row{resources: rs, want: want, duties: duties} }
	program := []doc{ida(labelled("42CFRPart2"), from(sudorg))}
	premises := doc{"Patient/ida": redacted([]string{"Patient.birthDate", "Patient.telecom"}, []string{"Patient.name", "Patient.address"})}
	report := doc{"Patient/ida": redacted([]string{"Patient.identifier", "Patient.maritalStatus"}, []string{"Patient.name", "Patient.birthDate"})}
	anywhere := func(r *row) { // a custodian that is a text, named by the same text, is no reference
		r.resources = []doc{ida(labelled("42CFRPart2"), from("harbor"))}
		r.request["legalBasis"].(doc)["initiatedBy"] = "harbor"
	}
	authority := declaredBy(ask("case-manager", "PUBHLTH", as("Practitioner/cps", "Organization/cps")), "part2-child-abuse-report", attributes(set("law", "Tex. Fam. Code 261.101"), set("initiatedBy", sudorg)))
	protects := doc{"Organization/cps": doc{"designations": []any{"child-protection-authority"}}}
	return []scene{
		basisScene(federal+"basis/hipaa-512a-required-by-law", named(on(doc{"Condition/bp": "deny"}, bp()), "hipaa-512a-required-by-law", set("law", "some law"))),
		basisScene(federal+"basis/court-order", named(on(reached, bp(), "AOD"), "court-order")),
		basisScene(federal+"basis/warrant", named(on(reached, bp(), "AOD"), "warrant")),
		basisScene(federal+"basis/grand-jury-subpoena", named(on(reached, bp(), "AOD"), "grand-jury-subpoena")),
		basisScene(federal+"basis/subpoena", named(on(reached, bp(), "AOD", "MINEC"), "subpoena", set("issuedBy", "Clerk of court"), yes("satisfactoryAssurance")),
			not("issued", "issuedBy", ""), not("assurance", "satisfactoryAssurance", false)),
		basisScene(federal+"basis/administrative-request", named(on(reached, bp(), "AOD", "MINEC"), "administrative-request", yes("relevantAndMaterial", "specificAndLimited", "deidentifiedInsufficient")),
			not("relevant", "relevantAndMaterial", false), not("specific", "specificAndLimited", nil), not("not-deidentified", "deidentifiedInsufficient", false)),
		basisScene(federal+"basis/hipaa-512f1i-reporting-law", named(on(reached, bp(), "AOD"), "hipaa-512f1i-reporting-law", set("law", "Tex. Health & Safety Code 161.041"), nurse),
			police, not("law", "law", " "), not("reported-by", "reportedBy", mine)),
		basisScene(federal+"basis/hipaa-512f2-identify-locate", named(on(located, []doc{ida()}, "AOD", "MINEC"), "hipaa-512f2-identify-locate", set("subject", "missing-person"), without("covers")),
			not("sought", "subject", "bystander")),
		basisScene(federal+"basis/hipaa-512f3-victim", named(on(reached, bp(), "AOD", "MINEC"), "hipaa-512f3-victim", yes("victimAgrees")),
			not("victim-agrees", "victimAgrees", false)),
		basisScene(federal+"basis/hipaa-512f3-victim", named(on(reached, bp(), "AOD", "HUAPRV"), "hipaa-512f3-victim", yes(helpless...)),
			not("not-asked", "victimAgrees", false), not("incapacitated", "incapacitated", false), not("against-other", "neededAgainstOther", nil), not("not-against-victim", "notUsedAgainstVictim", false),
			not("cannot-wait", "immediateActivityHarmedByWaiting", false), not("best-interest", "bestInterestDetermined", false)),
		basisScene(federal+"basis/hipaa-512f4-suspicious-death", named(on(reached, bp(), "AOD", "HUAPRV"), "hipaa-512f4-suspicious-death", yes("personHasDied", "suspectedCriminalConduct"), nurse),
			police, not("died", "personHasDied", false), not("suspicion", "suspectedCriminalConduct", nil), not("reported-by", "reportedBy", agency)),
		basisScene(federal+"basis/hipaa-512f5-crime-on-premises", named(on(reached, bp(), "AOD", "HUAPRV"), "hipaa-512f5-crime-on-premises", yes("onPremises", "evidenceInGoodFaith"), nurse),
			police, not("on-premises", "onPremises", false), not("evidence", "evidenceInGoodFaith", false), not("reported-by", "reportedBy", mine)),
		basisScene(federal+"basis/hipaa-512f6-emergency-off-premises", named(on(reached, bp(), "AOD", "HUAPRV"), "hipaa-512f6-emergency-off-premises", set("onPremises", false), set("resultOfAbuse", false), set("alertsTo", []any{"victims"}), nurse),
			police, not("off-premises", "onPremises", true), not("alerts-to", "alertsTo", []any{"gossip"}), not("no-abuse", "resultOfAbuse", true), not("reported-by", "reportedBy", mine)),
		basisScene(federal+"basis/hipaa-512j-violent-crime", named(on(located, []doc{ida()}, "AOD", "HUAPRV"), "hipaa-512j-violent-crime", attested(set("statement", "says that he shot the clerk"), yes("seriousHarmToVictim"), set("learnedInTherapy", false))...),
			police, not("statement", "statement", ""), not("serious-harm", "seriousHarmToVictim", false), not("not-in-therapy", "learnedInTherapy", true), not("attested-by", "attestedBy", mine), not("attested-at", "attestedAt", "2026-08-06")),
		basisScene(federal+"basis/hipaa-512j-escape", named(on(located, []doc{ida()}, "AOD", "HUAPRV"), "hipaa-512j-escape", attested(set("escapedFrom", "lawful-custody"))...),
			police, not("escaped", "escapedFrom", "a-party"), not("attested-by", "attestedBy", agency), not("attested-at", "attestedAt", nil)),
		basisScene(federal+"basis/hipaa-512j-avert-threat", named(on(doc{"CarePlan/plan": "permit"}, plans(), "AOD", "HUAPRV", "MINEC"), "hipaa-512j-avert-threat", attested()...),
			not("attested-by", "attestedBy", mine), not("attested-at", "attestedAt", "2026-08-05T15:31:00-05:00")),
		basisScene(federal+"basis/hipaa-512k5-custody", row{resources: bp(), request: jail, want: reached, duties: []string{"MINEC"}, absent: []string{"AOD"}},
			fail{"custody-officer", asks(set("role", []any{coding(own+"actor-role", "law-enforcement-officer")}))}, not("represented", "represented", []any{"curiosity"})),
		basisScene(federal+"basis/part2-court-order", named(on(reached, []doc{condition("bp", "I10", labelled("R", "42CFRPart2"), from(sudorg))}, "AOD"), "part2-court-order", set("section", "2.65"), yes("compulsoryProcess")),
			not("section", "section", "2.31"), not("process", "compulsoryProcess", false)),
		basisScene(federal+"basis/crime-on-part2-premises", named(on(premises, program, "AOD", "MINEC"), "crime-on-part2-premises", set("initiatedBy", sudorg)),
			fail{"program", anywhere}),
		basisScene(federal+"basis/part2-child-abuse-report", row{resources: program, request: authority, orgs: protects, want: report, duties: []string{"AOD"}},
			fail{"authority", organizations(doc{})}, not("law", "law", ""), fail{"program", anywhere}),
	}
}
