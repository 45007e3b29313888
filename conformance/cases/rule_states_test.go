package cases

// Scenes of the states' overlays. The data are about mental health, of a
// custodian in that state, unless the scene says otherwise.

func stateRow(state string, want string, q doc) row {
	return row{
		packs: []string{"us-federal", "us-" + state}, resources: []doc{condition("mh", "F33.1", from(clinic))},
		request: with(q, set("jurisdiction", map[string]any{"tx": "US-TX", "ca": "US-CA", "ny": "US-NY", "il": "US-IL", "fl": "US-FL"}[state])),
		want:    doc{"Condition/mh": want},
	}
}

var (
	mhYes = doc{"Condition/mh": "permit"}
	mhNo  = doc{"Condition/mh": "deny"}
)

// onBasis is a request on a basis that covers what these scenes are about.
func onBasis(q doc, kind string, parts ...part) doc {
	q = deep(q)
	q["legalBasis"] = with(doc{"type": kind, "covers": []any{"Condition/mh", "CarePlan/plan", "Patient/ida", "Encounter/e"}}, parts...)
	return q
}

func lawful(kind string, parts ...part) doc { return onBasis(officer("LAWENF"), kind, parts...) }

func threatened(parts ...part) doc {
	return onBasis(officer("CRISIS"), "hipaa-512j-avert-threat", append([]part{set("attestedBy", "Practitioner/dr-osei"), set("attestedAt", "2026-08-05T15:00:00-05:00")}, parts...)...)
}

func jailed(parts ...part) doc {
	return onBasis(ask("custody-officer", "LAWENF", as("Practitioner/jail-1", "Organization/jail")), "hipaa-512k5-custody", append([]part{set("represented", []any{"provision-of-health-care"})}, parts...)...)
}

// mhPlan is a crisis plan about mental health: what the profile of a threat lets out.
func mhPlan(parts ...part) doc {
	return plan("plan", append([]part{labelled("R", "PSY"), from(clinic)}, parts...)...)
}

var (
	planYes = doc{"CarePlan/plan": "permit"}
	planNo  = doc{"CarePlan/plan": "deny"}
	// plain is data that are not about mental health.
	plain = condition("mh", "I10", from(clinic))
)

// in keeps the packs and the jurisdiction of the scene, and asks otherwise.
func in(q doc) change {
	return func(r *row) {
		j := r.request["jurisdiction"]
		r.request = with(deep(q), set("jurisdiction", j))
	}
}

// opened is a shot for an alternative of a gate: it lets through on this basis.
func opened(alternative string, q doc, want doc, rs ...doc) shot {
	c := in(q)
	if rs != nil {
		c = several(c, dataOf(rs...))
	}
	return shot{of: alternative, says: "lets it through", change: c, want: want}
}

// shutGate is the state's gate: a basis of federal law that the state does not
// list, and what makes the gate none of its business. Health facilities' records
// are its matter: of an agency's own it asks nothing, whatever they are about.
func shutGate(rule, state string, whens [2]string, shots ...shot) scene {
	r := stateRow(state, "deny", lawful("administrative-request", set("relevantAndMaterial", true), set("specificAndLimited", true), set("deidentifiedInsufficient", true)))
	if state == "ca" { // where police may not seek records so at all
		r.request = with(lawful("warrant"), set("jurisdiction", "US-CA"))
	}
	civilian := ask("attorney", "HLEGAL", as("Practitioner/attorney", "Organization/firm"))
	civilian["legalBasis"] = deep(r.request["legalBasis"].(doc))
	s := scene{rule: rule, row: r, shown: append(whens[:], "health-record")}
	s.shots = append(s.shots,
		shot{of: whens[0], change: in(civilian), want: mhYes},
		shot{of: whens[1], change: dataOf(plain), want: mhYes},
		agencyOwn(), agencyConsented(),
		shot{of: "health-record", says: "is not met by an agency's record", change: organizations(police(clinic)), want: mhYes},
		shot{of: whens[0], says: "is not asked of a custodian elsewhere", change: asks(set("jurisdiction", "US-ZZ")), want: mhYes},
		shot{of: whens[0], says: "is asked where the custodian's state is unknown", change: asks(without("jurisdiction")), want: mhNo},
	)
	s.shots = append(s.shots, shots...)
	return s
}

// police makes the organisation an agency.
func police(org string) doc { return doc{org: doc{"kind": "police"}} }

// agencyOwn is an officer's look at what the own agency has written down.
func agencyOwn() shot {
	return shot{of: "health-record", says: "lets an officer see the own agency's record", change: func(r *row) {
		r.orgs = police(agency)
		r.resources = deepAll(r.resources)
		with(r.resources[0], from(agency))
		in(with(officer("CRISIS"), set("ownRecords", true)))(r)
	}, want: mhYes}
}

// agencyConsented is one agency's record that another gets under a Consent.
func agencyConsented() shot {
	return shot{of: "health-record", says: "lets a Consent open one agency's record to another", change: several(organizations(police(clinic)), consented()), want: mhYes}
}

// closed adds for each alternative that the base, on an unlisted basis, shows it
// shut: with the alternative's condition gone it would let that through.
func (s scene) closed(conditions ...string) scene {
	s.shown = append(s.shown, conditions...)
	return s
}

func consented() change {
	return several(func(r *row) { r.consents = one(consent("c1", permit(recipient(agency)))) }, in(officer("CRISIS")))
}

func texasScenes() []scene {
	tx := "us-tx/"
	gate := [2]string{"to-police", "mental-health"}
	injury := set("determination", "imminent-physical-injury")
	exchange := onBasis(ask("case-manager", "COC", as("Practitioner/po", "Organization/probation")), "tx-614.017-special-needs-offender",
		set("subject", "special-needs-offender"), set("serves", "continuity-of-care-and-services"))
	agencies := doc{"Organization/probation": doc{"designations": []any{"tx-614.017-agency"}}, clinic: doc{"designations": []any{"tx-614.017-agency"}}}
	offender := stateRow("tx", "permit", exchange)
	offender.orgs, offender.duties = agencies, []string{"AOD", "NOREUSE"}
	threat := stateRow("tx", "permit", threatened(injury))
	threat.resources, threat.want = []doc{mhPlan()}, planYes
	return []scene{
		shutGate(tx+"gate/611.004", "tx", gate,
			shot{of: "written-consent", says: "lets it through", change: consented(), want: mhYes},
			opened("threat", threatened(injury), planYes, mhPlan()),
			opened("law", lawful("warrant"), mhYes),
			opened("custody", jailed(), mhYes),
		).closed("written-consent", "threat", "law", "custody"),
		{rule: tx + "require/611.004(a)(2)", row: threat, shown: []string{"determined"}, shots: []shot{
			{of: "determined", change: attribute("determination", "worry"), want: planNo},
			{of: "threat", says: "is another basis", change: several(in(lawful("warrant"))), want: planYes},
			{of: "mental-health", says: "is not the matter", change: several(attribute("determination", nil), dataOf(plan("plan", from(clinic)))), want: planYes},
			{of: "threat", also: []string{"mental-health"}, says: "without a determination", change: attribute("determination", nil), want: planNo},
		}},
		{rule: tx + "require/611.004(a)(9)", row: stateRow("tx", "permit", jailed()), shown: []string{"sole-purpose"}, shots: []shot{
			{of: "sole-purpose", change: attribute("represented", []any{"provision-of-health-care", "transport"}), want: mhNo},
			{of: "custody", says: "is another basis", change: in(lawful("warrant")), want: mhYes},
			{of: "mental-health", says: "is not the matter", change: several(attribute("represented", []any{"transport"}), dataOf(plain)), want: mhYes},
			{of: "custody", also: []string{"mental-health"}, says: "for transport", change: attribute("represented", []any{"transport"}), want: mhNo},
		}},
		{rule: tx + "basis/614.017", row: offender, shown: []string{"agency", "offender", "continuity-of-care"}, shots: []shot{
			{of: "agency", change: organizations(doc{clinic: doc{"designations": []any{"tx-614.017-agency"}}}), want: mhNo},
			{of: "offender", change: attribute("subject", "suspect"), want: mhNo},
			{of: "continuity-of-care", change: attribute("serves", "prosecution"), want: mhNo},
		}},
		{rule: tx + "require/614.017-custodian", row: offender, shown: []string{"agency"}, shots: []shot{
			{of: "agency", also: []string{"exchange"}, change: organizations(doc{"Organization/probation": doc{"designations": []any{"tx-614.017-agency"}}}), want: mhNo},
			{of: "exchange", says: "is another basis", change: several(organizations(doc{}), in(lawful("warrant"))), want: mhYes},
		}},
	}
}

func californiaScenes() []scene {
	ca := "us-ca/"
	hospital := doc{clinic: doc{"designations": []any{"ca-state-hospital"}}}
	findings := []part{set("confinedAs", "penal-code-1026"), set("probableCause", true), set("interestsWeighed", true), set("materialEvidenceLikely", true), set("lifeOrSeriousInjury", true), set("goodCause", true)}
	forensic := lawful("ca-5328.01-forensic-order", findings...)
	order := stateRow("ca", "permit", forensic)
	order.orgs, order.duties = hospital, []string{"AOD"}
	danger := threatened(set("profession", "psychotherapist"), set("seriousDangerOfViolence", true), set("foreseeableVictim", true))
	danger["legalBasis"].(doc)["type"] = "ca-5328-psychotherapist-danger"
	crime := lawful("ca-5328.4-crime-at-facility", set("crime", "by-patient"), set("onPremises", true), set("evidenceInGoodFaith", true), set("reportedBy", "Practitioner/nurse-ames"))
	on := func(id string) change { return func(r *row) { r.enable = []string{ca + id} } }
	psycho := stateRow("ca", "permit", danger)
	psycho.resources, psycho.want, psycho.enable = []doc{mhPlan()}, planYes, []string{ca + "basis/5328(a)(18)"}
	facility := stateRow("ca", "permit", crime)
	facility.enable = []string{ca + "basis/5328.4"}
	civilian := ask("attorney", "HLEGAL", as("Practitioner/attorney", "Organization/firm"))
	seeks := stateRow("ca", "deny", lawful("grand-jury-subpoena"))
	seeks.resources = []doc{plain}
	ordered := stateRow("ca", "permit", lawful("court-order", set("goodCause", true)))
	ordered.resources = []doc{plain}
	agencyRecord := doc{clinic: doc{"kind": "police"}}
	return []scene{
		shutGate(ca+"gate/5328", "ca", [2]string{"to-police", "mental-health"},
			shot{of: "consent", says: "lets it through", change: consented(), want: mhYes},
			shot{of: "order", says: "lets it through", change: several(organizations(hospital), in(forensic)), want: mhYes},
			shot{of: "psychotherapist", says: "lets it through", change: several(on("basis/5328(a)(18)"), dataOf(mhPlan()), in(danger)), want: planYes},
			shot{of: "crime", says: "lets it through", change: several(on("basis/5328.4"), in(crime)), want: mhYes},
		).closed("consent", "order", "psychotherapist", "crime"),
		{rule: ca + "basis/5328.01", row: order, shown: []string{"agency", "forensic-patient", "probable-cause", "weighed", "evidence", "serious-crime"}, shots: []shot{
			{of: "agency", change: in(onBasis(civilian, "ca-5328.01-forensic-order", findings...)), want: mhNo},
			{of: "forensic-patient", change: attribute("confinedAs", "voluntary"), want: mhNo},
			{of: "probable-cause", change: attribute("probableCause", false), want: mhNo},
			{of: "weighed", change: attribute("interestsWeighed", nil), want: mhNo},
			{of: "evidence", change: attribute("materialEvidenceLikely", false), want: mhNo},
			{of: "serious-crime", change: attribute("lifeOrSeriousInjury", false), want: mhNo},
		}},
		{rule: ca + "require/5328.01-state-hospital", row: order, shown: []string{"state-hospital"}, shots: []shot{
			{of: "state-hospital", also: []string{"forensic"}, change: organizations(doc{}), want: mhNo},
			{of: "forensic", says: "is another basis", change: several(organizations(doc{}), dataOf(plain), in(lawful("court-order", set("goodCause", true)))), want: mhYes},
		}},
		{rule: ca + "basis/5328(a)(18)", row: psycho, shown: []string{"psychotherapist", "danger", "victim"}, shots: []shot{
			{of: "psychotherapist", change: attribute("profession", "receptionist"), want: planNo},
			{of: "danger", change: attribute("seriousDangerOfViolence", false), want: planNo},
			{of: "victim", change: attribute("foreseeableVictim", nil), want: planNo},
			{of: "danger", says: "is off as long as nobody turns the rule on", change: func(r *row) { r.enable = nil }, want: planNo},
		}},
		{rule: ca + "basis/5328.4", row: facility, shown: []string{"crime"}, shots: []shot{
			{of: "crime", change: attribute("crime", "elsewhere"), want: mhNo},
			{of: "crime", says: "is off as long as nobody turns the rule on", change: func(r *row) { r.enable = nil }, want: mhNo},
		}},
		{rule: ca + "deny/1543", row: seeks, shown: []string{"to-police", "health-record", "sought"}, shots: []shot{
			{of: "to-police", change: in(onBasis(civilian, "grand-jury-subpoena")), want: mhYes},
			{of: "health-record", change: organizations(agencyRecord), want: mhYes},
			{of: "sought", change: in(lawful("warrant")), want: mhYes},
		}},
		{rule: ca + "require/1543-good-cause", row: ordered, shown: []string{"good-cause"}, shots: []shot{
			{of: "good-cause", also: []string{"to-police", "health-record", "ordered"}, change: attribute("goodCause", false), want: mhNo},
			{of: "to-police", says: "is not asked of others", change: in(onBasis(civilian, "court-order")), want: mhYes},
			{of: "health-record", says: "is not asked of an agency's record", change: several(organizations(agencyRecord), attribute("goodCause", nil)), want: mhYes},
			{of: "ordered", says: "is not asked of a warrant", change: in(lawful("warrant")), want: mhYes},
		}},
	}
}
