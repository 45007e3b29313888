package cases

func newYorkScenes() []scene {
	ny := "us-ny/"
	danger := threatened(set("profession", "treating-psychiatrist"), set("danger", "serious-and-imminent"), set("individualEndangered", true))
	danger["legalBasis"].(doc)["type"] = "ny-33.13-endangered-individual"
	endangered := stateRow("ny", "permit", danger)
	endangered.resources, endangered.want, endangered.enable = []doc{mhPlan()}, planYes, []string{ny + "basis/33.13(c)(6)"}
	says := []part{set("determination", "likely-serious-harm"), set("profession", "psychologist"), set("determinedBy", "Practitioner/dr-osei")}
	director := onBasis(ask("case-manager", "THREAT", as("Practitioner/dcs", "Organization/dcs")), "ny-9.46-report", says...)
	justice := onBasis(ask("law-enforcement-officer", "LAWENF", as("Practitioner/dcjs-1", "Organization/dcjs")), "ny-9.46-report", append(says, set("directorAgrees", true))...)
	listed := doc{"Organization/dcs": doc{"designations": []any{"ny-director-of-community-services"}}, "Organization/dcjs": doc{"designations": []any{"ny-division-of-criminal-justice-services"}}}
	names := doc{"Patient/ida": redacted([]string{"Patient.telecom", "Patient.maritalStatus"}, []string{"Patient.name", "Patient.birthDate"})}
	none := doc{"Patient/ida": "deny"}
	report := func(q doc) row {
		r := stateRow("ny", "permit", q)
		r.resources, r.want, r.orgs, r.duties = []doc{ida(from(clinic))}, names, listed, []string{"AOD"}
		return r
	}
	about := ida(labelled("R", "PSY"), from(clinic))
	return []scene{
		shutGate(ny+"gate/33.13", "ny", [2]string{"to-police", "mental-health"},
			shot{of: "consent", says: "lets it through", change: consented(), want: mhYes},
			opened("order", lawful("court-order"), mhYes),
			shot{of: "danger", says: "lets it through", change: several(func(r *row) { r.enable = endangered.enable }, dataOf(mhPlan()), in(danger)), want: planYes},
			shot{of: "report", says: "lets it through", change: several(organizations(listed), dataOf(about), in(justice)), want: names},
		).closed("consent", "order", "danger", "report"),
		{rule: ny + "basis/33.13(c)(6)", row: endangered, shown: []string{"treating", "danger", "individual"}, shots: []shot{
			{of: "treating", change: attribute("profession", "psychiatrist"), want: planNo},
			{of: "danger", change: attribute("danger", "serious"), want: planNo},
			{of: "individual", change: attribute("individualEndangered", false), want: planNo},
			{of: "danger", says: "is off as long as nobody turns the rule on", change: func(r *row) { r.enable = nil }, want: planNo},
		}},
		{rule: ny + "basis/9.46", row: report(director), shown: []string{"determined", "professional", "determined-by", "director"}, shots: []shot{
			{of: "determined", change: attribute("determination", "worry"), want: none},
			{of: "professional", change: attribute("profession", "chaplain"), want: none},
			{of: "determined-by", change: attribute("determinedBy", "Practitioner/dcs"), want: none},
			{of: "director", change: organizations(doc{}), want: none},
		}},
		{rule: ny + "basis/9.46", row: report(justice), shown: []string{"dcjs", "director-agrees"}, shots: []shot{
			{of: "dcjs", says: "alone may have it", change: organizations(doc{}), want: none},
			{of: "director-agrees", change: attribute("directorAgrees", false), want: none},
		}},
	}
}

func illinoisScenes() []scene {
	il := "us-il/"
	risk := []part{set("profession", "therapist"), set("determination", "clear-imminent-risk-of-serious-harm")}
	threat := stateRow("il", "permit", threatened(risk...))
	threat.resources, threat.want = []doc{mhPlan()}, planYes
	care := []part{set("serves", "discharge"), set("departmentAgreement", true)}
	absence := []part{set("admission", "involuntary"), set("unauthorizedAbsence", true), set("furnishedBy", "Practitioner/director")}
	absent := stateRow("il", "permit", lawful("il-12.2-unauthorized-absence", absence...))
	absent.resources, absent.duties = []doc{ida(from(clinic))}, []string{"AOD"}
	absent.want = doc{"Patient/ida": redacted([]string{"Patient.telecom", "Patient.identifier"}, []string{"Patient.name", "Patient.address"})}
	none := doc{"Patient/ida": "deny"}
	official := threatened(set("necessaryToProtectLife", true), set("determinedBy", "Practitioner/director"))
	official["legalBasis"].(doc)["type"] = "il-12-protect-official"
	state := doc{agency: doc{"kind": "police", "designations": []any{"il-state-police"}}}
	protect := stateRow("il", "permit", official)
	protect.resources, protect.orgs = []doc{ida(from(clinic))}, state
	protect.want = doc{"Patient/ida": redacted([]string{"Patient.gender", "Patient.telecom"}, []string{"Patient.name", "Patient.birthDate"})}
	about := ida(labelled("R", "PSY"), from(clinic))
	civilian := ask("attorney", "HLEGAL", as("Practitioner/attorney", "Organization/firm"))
	return []scene{
		shutGate(il+"gate/110", "il", [2]string{"to-police", "mental-health"},
			shot{of: "consent", says: "lets it through", change: consented(), want: mhYes},
			opened("threat", threatened(risk...), planYes, mhPlan()),
			opened("law", lawful("il-12.2-unauthorized-absence", absence...), absent.want, about),
			opened("custody", jailed(care...), mhYes),
			opened("order", lawful("court-order"), mhYes),
		).closed("consent", "threat", "law", "custody", "order"),
		{rule: il + "require/110-11(ii)", row: threat, shown: []string{"therapist", "risk"}, shots: []shot{
			{of: "therapist", change: attribute("profession", "receptionist"), want: planNo},
			{of: "risk", change: attribute("determination", "some-risk"), want: planNo},
			{of: "threat", says: "is another basis", change: several(in(lawful("court-order"))), want: planYes},
			{of: "no-official", says: "is a protected official's", change: several(organizations(state), dataOf(about), in(official)), want: protect.want},
			{of: "mental-health", says: "is not the matter", change: several(dataOf(plan("plan", from(clinic))), in(threatened())), want: planYes},
			{of: "threat", also: []string{"no-official", "mental-health"}, says: "without a therapist's determination", change: in(threatened()), want: planNo},
		}},
		{rule: il + "require/110-9.2", row: stateRow("il", "permit", jailed(care...)), shown: []string{"continuity-of-care", "agreement"}, shots: []shot{
			{of: "continuity-of-care", change: attribute("serves", "order"), want: mhNo},
			{of: "agreement", change: attribute("departmentAgreement", false), want: mhNo},
			{of: "custody", says: "is another basis", change: in(lawful("court-order")), want: mhYes},
			{of: "mental-health", says: "is not the matter", change: several(dataOf(plain), in(jailed())), want: mhYes},
			{of: "custody", also: []string{"mental-health"}, says: "without an agreement", change: in(jailed()), want: mhNo},
		}},
		{rule: il + "basis/110-12.2(a)", row: absent, shown: []string{"local-police", "admitted", "absent", "director"}, shots: []shot{
			{of: "local-police", change: in(onBasis(civilian, "il-12.2-unauthorized-absence", absence...)), want: none},
			{of: "admitted", change: attribute("admission", "voluntary"), want: none},
			{of: "absent", change: attribute("unauthorizedAbsence", false), want: none},
			{of: "director", change: attribute("furnishedBy", "Practitioner/officer-dahl"), want: none},
		}},
		{rule: il + "basis/110-12(a)", row: protect, shown: []string{"asks", "necessary", "director"}, shots: []shot{
			{of: "asks", change: organizations(doc{agency: doc{"kind": "police"}}), want: none},
			{of: "necessary", change: attribute("necessaryToProtectLife", false), want: none},
			{of: "director", change: attribute("determinedBy", agency), want: none},
		}},
	}
}

func floridaScenes() []scene {
	fl := "us-fl/"
	threat := []part{set("specificThreat", true), set("victim", "identified"), set("apparentIntentAndAbility", true)}
	warned := stateRow("fl", "permit", threatened(threat...))
	warned.resources, warned.want = []doc{mhPlan()}, planYes
	prisons := doc{"Organization/jail": doc{"designations": []any{"fl-department-of-corrections"}}}
	held := stateRow("fl", "permit", jailed())
	held.orgs = prisons
	sud := func() []doc { return []doc{condition("mh", "F11.20", from(clinic))} }
	drugs := stateRow("fl", "deny", lawful("warrant"))
	drugs.resources = sud()
	civilian := ask("attorney", "HLEGAL", as("Practitioner/attorney", "Organization/firm"))
	premises := lawful("hipaa-512f5-crime-on-premises", set("onPremises", true), set("evidenceInGoodFaith", true), set("reportedBy", "Practitioner/nurse-ames"))
	abuse := lawful("hipaa-512f1i-reporting-law", set("law", "Fla. Stat. 39.201"), set("reportedBy", "Practitioner/nurse-ames"))
	served := stateRow("fl", "permit", onBasis(civilian, "subpoena", set("issuedBy", "Clerk of court"), set("satisfactoryAssurance", true), set("patientNotified", true)))
	served.resources, served.enable = []doc{plain}, []string{fl + "require/456.057-notice"}
	return []scene{
		shutGate(fl+"gate/394.4615", "fl", [2]string{"to-police", "mental-health"},
			shot{of: "consent", says: "lets it through", change: consented(), want: mhYes},
			opened("order", lawful("court-order"), mhYes),
			opened("threat", threatened(threat...), planYes, mhPlan()),
			shot{of: "custody", says: "lets it through", change: several(organizations(prisons), in(jailed())), want: mhYes},
		).closed("consent", "order", "threat", "custody"),
		{rule: fl + "require/394.4615(3)(a)", row: warned, shown: []string{"specific", "victim", "able"}, shots: []shot{
			{of: "specific", change: attribute("specificThreat", false), want: planNo},
			{of: "victim", change: attribute("victim", "somebody"), want: planNo},
			{of: "able", change: attribute("apparentIntentAndAbility", nil), want: planNo},
			{of: "threat", says: "is another basis", change: in(lawful("court-order")), want: planYes},
			{of: "mental-health", says: "is not the matter", change: several(dataOf(plan("plan", from(clinic))), in(threatened())), want: planYes},
			{of: "threat", also: []string{"mental-health"}, says: "without a specific threat", change: in(threatened()), want: planNo},
		}},
		{rule: fl + "require/394.4615(2)(d)", row: held, shown: []string{"department"}, shots: []shot{
			{of: "department", also: []string{"custody", "mental-health"}, change: organizations(doc{}), want: mhNo},
			{of: "custody", says: "is another basis", change: several(organizations(doc{}), in(lawful("court-order"))), want: mhYes},
			{of: "mental-health", says: "is not the matter", change: several(organizations(doc{}), dataOf(plain)), want: mhYes},
		}},
		{rule: fl + "gate/397.501(7)", row: drugs, shown: []string{"to-police", "health-record", "substance-use", "consent", "order", "crime", "report"}, shots: []shot{
			{of: "to-police", change: in(onBasis(civilian, "warrant")), want: mhYes},
			agencyOwn(), agencyConsented(),
			{of: "health-record", says: "is not met by an agency's record", change: organizations(police(clinic)), want: mhYes},
			{of: "substance-use", change: dataOf(plain), want: mhYes},
			{of: "consent", says: "lets it through", change: consented(), want: mhYes},
			{of: "order", says: "lets it through", change: in(lawful("court-order")), want: mhYes},
			{of: "crime", says: "lets it through", change: in(premises), want: mhYes},
			{of: "report", says: "lets it through", change: in(abuse), want: mhYes},
		}},
		{rule: fl + "require/456.057-notice", row: served, shown: []string{"notified"}, shots: []shot{
			{of: "notified", also: []string{"subpoenaed", "health-record"}, change: attribute("patientNotified", false), want: mhNo},
			{of: "subpoenaed", says: "is another basis", change: in(onBasis(civilian, "court-order")), want: mhYes},
			{of: "health-record", says: "is an agency's record", change: several(organizations(doc{clinic: doc{"kind": "police"}}), attribute("patientNotified", nil)), want: mhYes},
			{of: "notified", says: "is not asked as long as nobody turns the rule on", change: several(func(r *row) { r.enable = nil }, attribute("patientNotified", nil)), want: mhYes},
		}},
	}
}
