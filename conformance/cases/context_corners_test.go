package cases

// These families hold the odd corners of what context_rows_test.go shows in
// its plain form: who asks, for what, when, and under which Consents.

func consentCorners() []row {
	yes := permit(recipient(agency))
	p := func(says, semantics, decision string, cs ...doc) row {
		return row1(says, semantics, "R4 Consent; deny-overrides; newest version of a business identifier", cs, plans(), officerAsks(), planIs(decision))
	}
	treat := func(says, decision string, cs ...doc) row {
		return row1(says, safe, "R4 Consent.provision; baseline", cs, plans(), clinician("TREAT"), planIs(decision))
	}
	a := func(id string, d doc, at string, parts ...part) doc {
		return consent(id, d, append([]part{number("A"), dated(at)}, parts...)...)
	}
	otherSystem := set("identifier", []any{doc{"system": pmhc + "archive", "value": "A"}})
	noSystem := set("identifier", []any{doc{"value": "A"}})
	twoNumbers := set("identifier", []any{doc{"system": pmhc + "archive", "value": "9"}, doc{"system": pmhc + "consents", "value": "A"}})
	return []row{
		p("the number of another system makes no version", safe, "deny", a("c1", yes, "2026-01-01"), consent("c2", deny(recipient(agency)), otherSystem, dated("2025-01-01"))),
		p("one number of several makes a version", safe, "permit", a("c1", deny(recipient(agency)), "2026-01-01"), consent("c2", yes, twoNumbers, dated("2026-02-01"))),
		p("a number without a system makes no version", safe, "deny", consent("c1", deny(recipient(agency)), noSystem, dated("2026-01-01")), consent("c2", yes, noSystem, dated("2026-02-01"))),
		p("a newest version that has run out does not revive the older one", safe, "deny", a("c1", yes, "2026-01-01"), a("c2", permit(recipient(agency), period("", "2026-03-31")), "2026-02-01")),
		p("a newest version whose time has not come does not leave the older one", safe, "deny", a("c1", yes, "2026-01-01"), a("c2", permit(recipient(agency), period("2027-01-01", "")), "2026-02-01")),
		p("a newer version entered in error ends nothing", safe, "permit", a("c1", yes, "2026-01-01"), a("c2", deny(recipient(agency)), "2026-02-01", set("status", "entered-in-error"))),
		p("a newer proposal ends nothing", safe, "deny", a("c1", deny(recipient(agency)), "2026-01-01"), a("c2", yes, "2026-02-01", set("status", "proposed"))),
		p("of three versions the newest counts", safe, "permit", a("c1", yes, "2026-01-01"), a("c3", yes, "2026-03-01"), a("c2", deny(recipient(agency)), "2026-02-01")),
		p("a deny without a number stays beside a newer permit", safe, "deny", consent("c1", deny(recipient(agency)), dated("2025-01-01")), a("c2", yes, "2026-02-01")),
		p("instants in different offsets are put in order", safe, "permit", a("c1", deny(recipient(agency)), "2026-02-01T10:00:00-06:00"), a("c2", yes, "2026-02-01T16:30:00Z")),
		p("verified by all is relied on", r4, "permit", consent("c1", yes, set("verification", []any{doc{"verified": true}, doc{"verified": true}}))),
		p("without a scope nothing is granted", safe, "deny", consent("c1", yes, without("scope"))),
		p("an administrative scope grants nothing", r4, "deny", consent("c1", yes, set("scope", concept(tho+"consentscope", "adr")))),
		p("an unknown status grants nothing", safe, "deny", consent("c1", yes, set("status", "approved"))),
		p("a Consent for everybody covers police", r4, "permit", consent("c1", permit())),
		p("a deny for everybody denies police", r4, "deny", consent("c1", yes), consent("c2", deny())),
		p("opt-in alone decides nothing", safe, "deny", consent("c1", nil, policyRule("OPTIN"))),
		p("an opt-in with restrictions permits", safe, "permit", consent("c1", rule(recipient(agency)), policyRule("OPTINR"))),
		p("an opt-out denies", safe, "deny", consent("c1", yes), consent("c2", rule(recipient(agency)), policyRule("OPTOUT"))),
		treat("only denies below a root without type count alone", "permit", consent("c1", rule(nested(deny(class("Observation")))))),
		treat("and deny what they name", "deny", consent("c1", rule(nested(deny(class("CarePlan")))))),
		treat("an opt-in of which nothing matches is no deny", "permit", consent("c1", rule(purpose("HRESCH")), policyRule("OPTIN"))),
		treat("a permit without data limits leaves no residual", "permit", consent("c1", permit(purpose("TREAT")))),
		treat("a residual deny of one Consent and a deny of another", "deny", consent("c1", permit(purpose("TREAT"), class("CareTeam"))), consent("c2", deny(class("CarePlan")))),
		treat("a permit for another recipient leaves the baseline", "permit", consent("c1", permit(recipient(agency), class("CareTeam")))),
		treat("a permit past its period leaves the baseline", "permit", consent("c1", permit(purpose("TREAT"), class("CareTeam"), period("", "2026-07-31")))),
		treat("a permit for another custodian's data leaves no residual on the rest", "permit", consent("c1", permit(participant("CST", sudorg), recipient(clinic), purpose("HRESCH")))),
	}
}

func actorCorners() []row {
	p := func(says, semantics, decision string, q doc, rules ...doc) row {
		var cs []doc
		for i, r := range rules {
			cs = append(cs, consent([]string{"c1", "c2"}[i], r))
		}
		return row1(says, semantics, actorSource, cs, plans(), q, planIs(decision))
	}
	ircp := func(ref doc) part { return actor(concept(tho+"v3-ParticipationType", "IRCP"), ref) }
	codings := func(codes ...doc) doc {
		var list []any
		for _, c := range codes {
			list = append(list, c)
		}
		return doc{"coding": list}
	}
	officerRole, dispatcher := coding(own+"actor-role", "law-enforcement-officer"), coding(own+"actor-role", "dispatcher")
	ori := doc{"system": pmhc + "ori", "value": "ZZ0010000"}
	holds := officer("CRISIS", fact("identifier", []any{ori}))
	return []row{
		p("several recipients are alternatives", r4, "permit", officerAsks(), permit(recipient("Organization/southfield-pd", agency))),
		p("a recipient with two codes of one is a recipient", r4, "permit", officerAsks(), permit(actor(codings(coding(tho+"v3-ParticipationType", "AUT"), coding(tho+"v3-ParticipationType", "IRCP")), reference(agency)))),
		p("one of two role codes is enough", safe, "permit", officerAsks(), permit(actor(codings(dispatcher, officerRole), doc{"display": "anybody on the call"}))),
		p("one of two held roles is enough", safe, "permit", officer("CRISIS", set("role", []any{officerRole, dispatcher})), permit(anyone("dispatcher"))),
		p("a role of another system is another role", safe, "deny", officerAsks(), permit(actor(concept("https://example.org/roles", "law-enforcement-officer"), reference(agency)))),
		p("role and organisation that both fit", safe, "permit", officerAsks(), permit(actor(concept(own+"actor-role", "law-enforcement-officer"), reference(agency)))),
		p("a role at another organisation does not fit", safe, "deny", officerAsks(), permit(actor(concept(own+"actor-role", "law-enforcement-officer"), reference("Organization/southfield-pd")))),
		p("a deny for a role reaches who holds it", safe, "deny", officerAsks(), permit(recipient(agency)), deny(anyone("law-enforcement-officer"))),
		p("a deny for another role does not", safe, "permit", officerAsks(), permit(recipient(agency)), deny(anyone("prosecutor"))),
		p("a deny for a colleague does not", r4, "permit", officerAsks(), permit(recipient(agency)), deny(recipient("Practitioner/officer-east"))),
		p("a deny for the agency reaches its officer", r4, "deny", officerAsks(), permit(recipient("Practitioner/officer-dahl")), deny(recipient(agency))),
		p("a deny for a group of which nothing is known is not matched", safe, "permit", officerAsks(), permit(recipient(agency)), deny(recipient("Group/cit"))),
		p("a deny by identifier reaches who has it", r4, "deny", holds, permit(recipient(agency)), deny(ircp(doc{"identifier": ori}))),
		p("identifier and display name by identifier", r4, "permit", holds, permit(ircp(doc{"identifier": ori, "display": "Northfield police"}))),
		p("identifier and display without the identifier name nobody", safe, "deny", officerAsks(), permit(ircp(doc{"identifier": ori, "display": "Northfield police"}))),
		p("a custodian role reached as author names nobody", safe, "deny", officerAsks(), permit(participant("AUT", agency), participant("AUT", clinic))),
		p("an informant is no recipient", r4, "deny", officerAsks(), permit(participant("INF", agency))),
		p("a list of authors alone denies nobody", safe, "permit", officerAsks(), permit(recipient(agency)), deny(participant("AUT", agency))),
		row1("a deny with a custodian entry reaches that custodian's data", r4, actorSource,
			both(consent("c1", permit(recipient(agency))), consent("c2", deny(participant("CST", sudorg)))), []doc{plan("plan", from(clinic)), plan("other", from(sudorg))}, officerAsks(),
			doc{"CarePlan/plan": "permit", "CarePlan/other": "deny"}),
		row1("an unknown custodian satisfies a deny", safe, actorSource,
			both(consent("c1", permit(recipient(agency))), consent("c2", deny(participant("CST", sudorg)))), plans(), officerAsks(), planIs("deny")),
		row1("two custodian entries are alternatives", r4, actorSource,
			one(consent("c1", permit(participant("CST", sudorg), participant("CST", clinic), recipient(agency)))), []doc{plan("plan", from(clinic)), plan("other", from("Organization/county-hospital"))}, officerAsks(),
			doc{"CarePlan/plan": "permit", "CarePlan/other": "deny"}),
		row1("an exchange does not carry a person's name", safe, actorSource,
			one(consent("c1", permit(recipient("Organization/valley-hie")))), plans(), officerAsks(), planIs("deny")),
	}
}

func purposeCorners() []row {
	p := func(says, semantics, decision string, q doc, rules ...doc) row {
		var cs []doc
		for i, r := range rules {
			cs = append(cs, consent([]string{"c1", "c2"}[i], r))
		}
		return row1(says, semantics, "R4 Consent.provision.purpose; v3-ActReason", cs, plans(), q, planIs(decision))
	}
	nurse := func(code string, parts ...part) doc {
		return ask("treating-clinician", code, append([]part{as("Practitioner/n", "Organization/other")}, parts...)...)
	}
	oid := set("purpose", []any{coding("urn:oid:2.16.840.1.113883.5.8", "TREAT")})
	wrong := set("purpose", []any{coding(own+"actor-role", "CRISIS")})
	return []row{
		p("treatment covers breaking the glass for ordinary data", r4, "permit", nurse("BTG"), permit(purpose("TREAT"))),
		p("operations cover proceedings for ordinary data", r4, "permit", nurse("HLEGAL"), permit(purpose("HOPERAT"))),
		p("public health covers averting a threat", r4, "permit", nurse("THREAT"), permit(purpose("PUBHLTH"))),
		p("averting a threat does not cover public health", r4, "deny", nurse("PUBHLTH"), permit(purpose("THREAT"))),
		p("a request of the patient covers one of the family", r4, "permit", nurse("FAMRQT"), permit(purpose("PATRQT"))),
		p("payment is not treatment", r4, "deny", nurse("HPAYMT"), permit(purpose("TREAT"))),
		p("a purpose that is named by its oid is the same", r4, "permit", nurse("TREAT", oid), permit(purpose("TREAT"))),
		p("a code of another system is another purpose", r4, "deny", officer("CRISIS", wrong), permit(purpose("CRISIS"))),
		p("a deny of treatment reaches coordination of care", r4, "deny", clinician("COC"), deny(purpose("TREAT"))),
		p("a deny of coordination does not reach treatment", r4, "permit", clinician("TREAT"), deny(purpose("COC"))),
		p("a deny for one of two declared purposes", safe, "deny", clinician("TREAT", purposes("TREAT", "HPAYMT")), deny(purpose("HPAYMT"))),
		p("the same purpose twice is one", safe, "permit", officer("CRISIS", purposes("CRISIS", "CRISIS")), permit(recipient(agency), purpose("CRISIS"))),
		p("several purposes of a rule are alternatives", r4, "permit", officer("LAWENF"), permit(recipient(agency), purpose("CRISIS", "LAWENF"))),
		p("a deny for disclosure does not deny access", r4, "permit", officerAsks(), permit(recipient(agency)), deny(recipient(agency), action("disclose"))),
		p("several actions are alternatives", r4, "permit", officerAsks(), permit(recipient(agency), action("collect", "access"))),
	}
}
