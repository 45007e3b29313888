package cases

const (
	r4   = "R4"
	reg  = "regulation"
	safe = "recommended"
)

func one(c doc) []doc            { return []doc{c} }
func both(d ...doc) []doc        { return d }
func plans() []doc               { return []doc{plan("plan")} }
func planIs(decision string) doc { return doc{"CarePlan/plan": decision} }
func crisis(parts ...part) []doc {
	return one(consent("c1", permit(append([]part{recipient(agency), purpose("CRISIS")}, parts...)...)))
}
func officerAsks() doc { return officer("CRISIS") }
func row1(says, semantics, source string, cs []doc, rs []doc, q doc, want doc) row {
	return row{says: says, semantics: semantics, source: source, consents: cs, resources: rs, request: q, want: want}
}

const actorSource = "R4 Consent.provision.actor"

func actorRows() []row {
	toRef := func(ref string) []doc { return one(consent("c1", permit(recipient(ref), purpose("CRISIS")))) }
	p := func(says string, cs []doc, q doc, decision string) row {
		return row1(says, r4, actorSource, cs, plans(), q, planIs(decision))
	}
	cst := func(parts ...part) []doc {
		return one(consent("c1", permit(append([]part{participant("CST", clinic), purpose("CRISIS")}, parts...)...)))
	}
	return []row{
		p("an agency that is named covers its officers", toRef(agency), officerAsks(), "permit"),
		p("another agency is not covered", toRef("Organization/southfield-pd"), officerAsks(), "deny"),
		p("an officer who is named may look", toRef("Practitioner/officer-dahl"), officerAsks(), "permit"),
		p("a named officer does not cover a colleague", toRef("Practitioner/officer-dahl"), officer("CRISIS", as("Practitioner/officer-east", agency)), "deny"),
		p("a version in the reference does not matter", toRef(agency+"/_history/4"), officerAsks(), "permit"),
		p("a reference on another server is not taken for ours", toRef("https://elsewhere.example/fhir/"+agency), officerAsks(), "deny"),
		p("a care team covers its members", toRef("CareTeam/crisis-team"), officer("CRISIS", fact("careTeams", []any{"CareTeam/crisis-team"})), "permit"),
		p("a care team covers nobody else", toRef("CareTeam/crisis-team"), officerAsks(), "deny"),
		p("a group covers its members", toRef("Group/cit"), officer("CRISIS", fact("groups", []any{"Group/cit"})), "permit"),
		p("an exchange covers the organisations on it for ordinary data", toRef("Organization/valley-hie"), officer("CRISIS", fact("networks", []any{"Organization/valley-hie"})), "permit"),
		p("a primary recipient is a recipient", one(consent("c1", permit(participant("PRCP", agency), purpose("CRISIS")))), officerAsks(), "permit"),
		p("an author is no recipient", one(consent("c1", permit(participant("AUT", agency), purpose("CRISIS")))), officerAsks(), "deny"),
		p("a role code covers who holds the role", one(consent("c1", permit(anyone("law-enforcement-officer"), purpose("CRISIS")))), officerAsks(), "permit"),
		p("a role code does not cover another role", one(consent("c1", permit(anyone("co-responder-clinician"), purpose("CRISIS")))), officerAsks(), "deny"),
		p("an unknown role satisfies no permit", one(consent("c1", permit(anyone("law-enforcement-officer"), purpose("CRISIS")))), officer("CRISIS", set("role", []any{})), "deny"),
		p("an unknown role satisfies a deny", both(consent("c1", permit(recipient(agency))), consent("c2", deny(anyone("dispatcher")))), officer("CRISIS", set("role", []any{})), "deny"),
		p("role and reference must both fit", one(consent("c1", permit(actor(concept(own+"actor-role", "co-responder-clinician"), reference(agency)), purpose("CRISIS")))), officerAsks(), "deny"),
		p("an identifier names the organisation", one(consent("c1", permit(actor(concept(tho+"v3-ParticipationType", "IRCP"), doc{"identifier": doc{"system": pmhc + "ori", "value": "ZZ0010000"}})))),
			officer("CRISIS", fact("identifier", []any{doc{"system": pmhc + "ori", "value": "ZZ0010000"}})), "permit"),
		p("the value of an identifier alone is not enough", one(consent("c1", permit(actor(concept(tho+"v3-ParticipationType", "IRCP"), doc{"identifier": doc{"system": pmhc + "ori", "value": "ZZ0010000"}})))),
			officer("CRISIS", fact("identifier", []any{doc{"system": pmhc + "npi", "value": "ZZ0010000"}})), "deny"),
		row1("a custodian entry limits the data", r4, actorSource, cst(recipient(agency)), []doc{plan("plan", from(clinic)), plan("other", from(sudorg))}, officerAsks(),
			doc{"CarePlan/plan": "permit", "CarePlan/other": "deny"}),
		row1("a custodian alone lets any recipient", safe, actorSource, cst(), []doc{plan("plan", from(clinic)), plan("other", from(sudorg))}, officerAsks(),
			doc{"CarePlan/plan": "permit", "CarePlan/other": "deny"}),
		row1("an unknown custodian satisfies no permit", safe, actorSource, cst(recipient(agency)), plans(), officerAsks(), planIs("deny")),
	}
}

func purposeRows() []row {
	to := func(purposes ...string) []doc { return one(consent("c1", permit(purpose(purposes...)))) }
	p := func(says string, cs []doc, q doc, decision string) row {
		return row1(says, r4, "R4 Consent.provision.purpose; v3-ActReason", cs, plans(), q, planIs(decision))
	}
	researcher := func(code string) doc { return ask("researcher", code, as("Practitioner/r", "Organization/u")) }
	return []row{
		p("a purpose that is named is covered", crisis(), officerAsks(), "permit"),
		p("crisis response is not investigation", crisis(), officer("LAWENF"), "deny"),
		p("treatment covers coordination of care", to("TREAT"), clinician("COC"), "permit"),
		p("treatment covers emergency treatment for ordinary data", to("TREAT"), clinician("ETREAT"), "permit"),
		p("coordination does not cover all treatment", both(consent("c1", permit(purpose("COC")))), ask("case-manager", "TREAT", as("Practitioner/m", clinic)), "deny"),
		p("research covers clinical trials research", to("HRESCH"), researcher("CLINTRCH"), "permit"),
		p("research does not cover marketing", to("HRESCH"), researcher("HMARKT"), "deny"),
		p("every declared purpose must be covered", crisis(), officer("CRISIS", purposes("CRISIS", "LAWENF")), "deny"),
		p("two Consents may cover a purpose each", both(consent("c1", permit(purpose("CRISIS"))), consent("c2", permit(purpose("LAWENF")))), officer("CRISIS", purposes("CRISIS", "LAWENF")), "permit"),
		p("a Consent and the baseline may cover a purpose each", one(consent("c1", permit(purpose("CRISIS")))), clinician("TREAT", purposes("TREAT", "CRISIS")), "permit"),
		p("an unknown purpose satisfies no permit", crisis(), officer("CRISIS", set("purpose", []any{})), "deny"),
		p("an unknown purpose satisfies a deny", both(consent("c1", permit(recipient(agency))), consent("c2", deny(purpose("LAWENF")))), officer("CRISIS", set("purpose", []any{})), "deny"),
		p("an action that is named is covered", crisis(action("access")), officerAsks(), "permit"),
		p("another action is not", crisis(action("collect")), officerAsks(), "deny"),
	}
}

func periodRows() []row {
	p := func(says string, start, end, at, decision string) row {
		return row1(says, r4, "R4 Period: end is inclusive", crisis(period(start, end)), plans(), officer("CRISIS", set("at", at)), planIs(decision))
	}
	return []row{
		p("the last day counts to its end", "2026-01-01", "2026-08-05", "2026-08-05T23:59:59-05:00", "permit"),
		p("the day after the last is too late", "2026-01-01", "2026-08-05", "2026-08-06T00:00:00-05:00", "deny"),
		p("the first day counts from its start", "2026-08-05", "", "2026-08-05T00:00:00-05:00", "permit"),
		p("the day before the first is too early", "2026-08-05", "", "2026-08-04T23:59:59-05:00", "deny"),
		p("a month as the end counts whole", "", "2026-08", "2026-08-31T23:00:00-05:00", "permit"),
		p("an instant as the end is exact", "", "2026-08-05T12:00:00-05:00", "2026-08-05T12:00:01-05:00", "deny"),
		p("an instant in another offset is the same instant", "", "2026-08-05T17:00:00Z", "2026-08-05T12:00:00-05:00", "permit"),
		row1("a deny past its period denies no more", r4, "R4 Consent.provision.period",
			both(consent("c1", permit(recipient(agency))), consent("c2", deny(recipient(agency), period("", "2026-07-31")))), plans(), officerAsks(), planIs("permit")),
	}
}

func statusRows() []row {
	yes := permit(recipient(agency))
	p := func(says, decision string, cs ...doc) row {
		return row1(says, r4, "R4 Consent.status, scope, verification", cs, plans(), officerAsks(), planIs(decision))
	}
	c := func(parts ...part) doc { return consent("c1", yes, parts...) }
	no := func(parts ...part) doc { return consent("c2", deny(recipient(agency)), parts...) }
	return []row{
		p("an active Consent is enforced", "permit", c()),
		p("a revoked Consent permits nothing", "deny", c(set("status", "inactive"))),
		p("a draft permits nothing", "deny", c(set("status", "draft"))),
		p("a proposed Consent permits nothing", "deny", c(set("status", "proposed"))),
		p("a rejected Consent permits nothing", "deny", c(set("status", "rejected"))),
		p("a Consent entered in error denies nothing", "permit", c(), no(set("status", "entered-in-error"))),
		p("a revoked deny denies nothing", "permit", c(), no(set("status", "inactive"))),
		p("a treatment consent does not open records", "deny", c(set("scope", concept(tho+"consentscope", "treatment")))),
		p("a research refusal does not close them", "permit", c(), no(set("scope", concept(tho+"consentscope", "research")))),
		p("a Consent of another person says nothing", "deny", c(set("patient", reference("Patient/olaf")))),
		p("an unverified permit is not relied on", "deny", c(set("verification", []any{doc{"verified": true}, doc{"verified": false}}))),
		p("an unverified deny is kept", "deny", c(), no(set("verification", []any{doc{"verified": false}}))),
		row1("an unverified permit leaves no residual deny", safe, "R4 Consent.verification",
			one(consent("c1", permit(purpose("TREAT"), class("CareTeam")), set("verification", []any{doc{"verified": false}}))), plans(), clinician("TREAT"), planIs("permit")),
		p("an unknown modifier extension voids a permit", "deny", c(set("modifierExtension", []any{doc{"url": pmhc + "not", "valueBoolean": true}}))),
		p("an unknown modifier extension leaves a deny in force", "deny", c(), no(set("modifierExtension", []any{doc{"url": pmhc + "not", "valueBoolean": true}}))),
	}
}

func combiningRows() []row {
	yes, no := permit(recipient(agency)), deny(recipient(agency))
	p := func(says, decision string, cs ...doc) row {
		return row1(says, safe, "deny-overrides; newest version of a business identifier", cs, plans(), officerAsks(), planIs(decision))
	}
	treat := func(says, decision string, cs ...doc) row {
		return row1(says, safe, "residual deny", cs, plans(), clinician("TREAT"), planIs(decision))
	}
	team := permit(purpose("TREAT"), class("CareTeam"))
	return []row{
		p("a deny wins over a permit", "deny", consent("c1", yes), consent("c2", no)),
		p("a deny wins whichever is newer", "deny", consent("c1", no, dated("2025-01-01")), consent("c2", yes, dated("2026-01-01"))),
		p("the newer version replaces an older deny", "permit", consent("c1", no, number("A"), dated("2026-01-01")), consent("c2", yes, number("A"), dated("2026-02-01"))),
		p("the newer version replaces an older permit", "deny", consent("c1", yes, number("A"), dated("2026-01-01")), consent("c2", no, number("A"), dated("2026-02-01"))),
		p("a newer revocation ends the older version", "deny", consent("c1", yes, number("A"), dated("2026-01-01")), consent("c2", yes, number("A"), dated("2026-02-01"), set("status", "inactive"))),
		p("a newer rejection ends the older version", "deny", consent("c1", yes, number("A"), dated("2026-01-01")), consent("c2", yes, number("A"), dated("2026-02-01"), set("status", "rejected"))),
		p("a newer draft ends nothing", "permit", consent("c1", yes, number("A"), dated("2026-01-01")), consent("c2", no, number("A"), dated("2026-02-01"), set("status", "draft"))),
		p("another person's Consent of the same number ends nothing", "permit", consent("c1", yes, number("A"), dated("2026-01-01")), consent("c2", no, number("A"), dated("2026-02-01"), set("patient", reference("Patient/olaf")))),
		p("versions whose order is unknown deny", "deny", consent("c1", no, number("A"), dated("2026-01")), consent("c2", yes, number("A"), dated("2026-01-20"))),
		treat("a permit for other data is a residual deny", "deny", consent("c1", team)),
		treat("a residual deny yields to a permit", "permit", consent("c1", team), consent("c2", permit(purpose("TREAT"), class("CarePlan")))),
		treat("a permit for another context leaves the baseline", "permit", consent("c1", permit(purpose("HRESCH"), class("CareTeam")))),
		treat("a deny for other data leaves the baseline", "permit", consent("c1", deny(class("CareTeam")))),
		treat("a deny prevails over the baseline", "deny", consent("c1", deny(class("CarePlan")))),
		treat("a Consent without a provision decides nothing", "permit", consent("c1", nil, policyRule("OPTOUT"))),
	}
}

func nestingRows() []row {
	p := func(says string, root doc, rs []doc, q doc, want doc, parts ...part) row {
		return row1(says, r4, "R4 Consent.provision.provision; IHE PCF appendix P", one(consent("c1", root, parts...)), rs, q, want)
	}
	two := []doc{plan("plan"), glucose("glu", "2026-03-12T09:00:00-05:00")}
	want := func(a, b string) doc { return doc{"CarePlan/plan": a, "Observation/glu": b} }
	toPD, forCrisis := recipient(agency), purpose("CRISIS")
	member := officer("CRISIS", fact("careTeams", []any{"CareTeam/crisis-team"}))
	mh := []doc{glucose("glu", "2026-03-12T09:00:00-05:00", labelled("R", "MH"))}
	three := permit(toPD, forCrisis, nested(deny(label("MH"), nested(permit(recipient("CareTeam/crisis-team"))))))
	return []row{
		p("an exception denies what it names", permit(toPD, nested(deny(class("Observation")))), two, officerAsks(), want("permit", "deny")),
		p("an exception from a deny permits what it names", deny(toPD, nested(permit(class("CarePlan")))), two, officerAsks(), want("permit", "deny")),
		p("an exception of an exception permits again", three, mh, member, doc{"Observation/glu": "permit"}),
		p("an exception of an exception is only for whom it names", three, mh, officerAsks(), doc{"Observation/glu": "deny"}),
		p("four levels deep", permit(toPD, nested(deny(class("CarePlan", "Observation"), nested(permit(class("CarePlan"), nested(deny(purpose("LAWENF")))))))), two, officerAsks(), want("permit", "deny")),
		p("four levels deep the last applies too", permit(toPD, nested(deny(class("CarePlan", "Observation"), nested(permit(class("CarePlan"), nested(deny(purpose("CRISIS")))))))), two, officerAsks(), want("deny", "deny")),
		p("an exception applies only where its parent matches", permit(toPD, class("Observation"), nested(deny(class("CarePlan")))), two, officerAsks(), want("deny", "permit")),
		p("a nested rule of the same type adds", permit(toPD, class("CarePlan"), nested(permit(class("Observation")))), two, officerAsks(), want("permit", "permit")),
		p("what it does not say it inherits", permit(toPD, forCrisis, class("CarePlan"), nested(permit(class("Observation")))), two, officer("LAWENF"), want("deny", "deny")),
		p("what it says it replaces", permit(toPD, forCrisis, class("CarePlan"), nested(permit(purpose("LAWENF"), class("Observation")))), two, officer("LAWENF"), want("deny", "permit")),
		p("a nested deny in a deny adds", deny(recipient("Organization/southfield-pd"), nested(deny(toPD, class("CarePlan")))), plans(), clinician("TREAT", as("Practitioner/x", agency)), planIs("deny")),
		p("of siblings a deny wins", permit(toPD, nested(permit(class("CarePlan")), deny(class("CarePlan")))), two, officerAsks(), want("deny", "permit")),
		p("an exception reaches what was added beside it", permit(toPD, class("CarePlan"), nested(permit(class("Observation")), deny(code(loinc, "2345-7")))), two, officerAsks(), want("permit", "deny")),
		p("an exception outside its period does not apply", permit(toPD, nested(deny(class("CarePlan"), period("2026-01-01", "2026-01-31")))), two, officerAsks(), want("permit", "permit")),
		p("a root without type is what opt-in says", rule(toPD, nested(deny(class("Observation")))), two, officerAsks(), want("permit", "deny"), policyRule("OPTIN")),
		p("a root without type is what opt-out says", rule(nested(permit(toPD, class("CarePlan")))), two, officerAsks(), want("permit", "deny"), policyRule("OPTOUTE")),
		p("only permits below a root without type imply a deny", rule(nested(permit(toPD, class("CarePlan")))), two, clinician("TREAT"), want("deny", "deny")),
		p("of a mixed root without type only the denies count", rule(nested(permit(class("CarePlan")), deny(class("Observation")))), two, clinician("TREAT"), want("permit", "deny")),
		p("and its permits do not", rule(nested(permit(class("CarePlan")), deny(class("Observation")))), two, officerAsks(), want("deny", "deny")),
		p("a nested rule keeps the custodian of its parent", permit(participant("CST", clinic), class("CareTeam"), nested(permit(toPD, class("CarePlan")))),
			[]doc{plan("plan", from(clinic)), plan("other", from(sudorg))}, officerAsks(), doc{"CarePlan/plan": "permit", "CarePlan/other": "deny"}),
	}
}
