package cases

// These families are about the answer: what is cut out of a resource, and what
// a search over visible data finds.

func redactCorners() []row {
	hide := one(consent("c1", permit(recipient(agency), nested(deny(label("SUD"))))))
	visit := func(parts ...part) []doc {
		return []doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", parts...)}
	}
	mk := func(says string, rs []doc, want doc) row {
		return row1(says, safe, "redact or deny", hide, rs, officerAsks(), want)
	}
	e := func(remove string, keep ...string) doc {
		return doc{"Encounter/e": redacted([]string{remove, "Encounter.text"}, append(keep, "Encounter.status", "Encounter.class"))}
	}
	sud := concept(icd10, "F11.20")
	inline := []any{doc{"url": "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label", "valueCoding": labelCode("SUD")}}
	process := labelled("PROCESSINLINELABEL")
	held := doc{"resourceType": "Condition", "id": "k", "code": sud, "subject": reference(person)}
	return []row{
		mk("one of two reasons goes", visit(set("reasonCode", []any{concept(icd10, "I10"), sud})), doc{"Encounter/e": redacted([]string{"Encounter.reasonCode.where(coding.code='F11.20')"}, []string{"Encounter.reasonCode.where(coding.code='I10')"})}),
		mk("a reason that refers to a denied resource goes", append(visit(set("reasonReference", []any{reference("Condition/oud")}), narrative("opioid dependence")), condition("oud", "F11.20")),
			doc{"Encounter/e": e("Encounter.reasonReference")["Encounter/e"], "Condition/oud": "deny"}),
		mk("what is contained goes with what points at it", visit(set("contained", []any{held}), set("reasonReference", []any{reference("#k")})), e("Encounter.contained", "Encounter.period")),
		mk("a type that names substance use goes", visit(set("type", []any{sud})), e("Encounter.type")),
		mk("a plan loses what it addresses", []doc{plan("plan", set("addresses", []any{reference("Condition/oud")})), condition("oud", "F11.20")},
			doc{"CarePlan/plan": redacted([]string{"CarePlan.addresses"}, []string{"CarePlan.title"}), "Condition/oud": "deny"}),
		mk("a plan loses an activity about substance use", []doc{plan("plan", set("activity", []any{doc{"detail": doc{"status": "scheduled", "code": sud}}, doc{"detail": doc{"status": "scheduled", "description": "walk"}}}))},
			doc{"CarePlan/plan": redacted([]string{"CarePlan.descendants().where(code = 'F11.20')"}, []string{"CarePlan.activity"})}),
		mk("an order loses its reason", []doc{{"resourceType": "ServiceRequest", "id": "s", "status": "active", "intent": "order", "subject": reference(person), "code": concept(loinc, "2345-7"), "reasonCode": []any{sud}}},
			doc{"ServiceRequest/s": redacted([]string{"ServiceRequest.reasonCode"}, []string{"ServiceRequest.code"})}),
		mk("an element with an inline label is judged by it", []doc{condition("bp", "I10", process, set("note", []any{doc{"extension": inline, "text": "drinks"}, doc{"text": "salt"}}))},
			doc{"Condition/bp": redacted([]string{"Condition.note.where(text='drinks')"}, []string{"Condition.note", "Condition.code"})}),
		mk("another element with an inline label that is not denied stays", []doc{condition("bp", "I10", process, set("note", []any{doc{"extension": []any{doc{"url": "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label", "valueCoding": labelCode("HIV")}}, "text": "test"}}))},
			doc{"Condition/bp": "permit"}),
		mk("a resource of the denied kind goes whole", []doc{condition("oud", "F11.20", narrative("no more"))}, doc{"Condition/oud": "deny"}),
		mk("a resource that is itself denied leaves nothing behind in the list of another", []doc{
			{"resourceType": "List", "id": "l", "status": "current", "mode": "working", "subject": reference(person), "entry": []any{doc{"item": reference("Condition/oud")}, doc{"item": reference("Condition/bp")}}},
			condition("oud", "F11.20"), condition("bp", "I10")},
			doc{"List/l": redacted([]string{"List.entry.where(item.reference='Condition/oud')"}, []string{"List.entry.where(item.reference='Condition/bp')"}), "Condition/oud": "deny", "Condition/bp": "permit"}),
	}
}

func searchCorners() []row {
	hide := one(consent("c1", permit(recipient(agency), nested(deny(label("SUD"))))))
	rs := []doc{ida(), condition("oud", "F11.20"), condition("bp", "I10", set("recordedDate", "2026-03-13")), plan("plan", set("addresses", []any{reference("Condition/oud")}))}
	mk := func(says, query string, n int, want doc) row {
		return row{says: says, semantics: safe, source: "search over visible data", consents: hide, resources: rs, request: officer("CRISIS", search(query)), want: want,
			bundle: doc{"total": n, "entry": n, "issueRevealingWithholding": false, "metaSecurityMustNotContain": []any{"SUD", "REDACT"}}}
	}
	bp := doc{"Condition/bp": "permit", "Condition/oud": "deny"}
	return []row{
		mk("a search counts what is visible", "Condition?patient=ida", 1, bp),
		mk("a sort does not tell of what is hidden", "Condition?patient=ida&_sort=-recorded-date", 1, bp),
		mk("a search for what is hidden finds nothing", "Condition?patient=ida&code=F11.20", 0, doc{"Condition/oud": "deny"}),
		mk("a search for everything but what is hidden", "Condition?patient=ida&code:not=F11.20", 1, bp),
		mk("a search for what a removed element held finds nothing", "CarePlan?condition=Condition/oud", 0, doc{"CarePlan/plan": "deny"}),
		mk("a search for a missing element goes by the returned form", "CarePlan?condition:missing=true", 1, doc{"CarePlan/plan": redacted([]string{"CarePlan.addresses"}, []string{"CarePlan.title"})}),
		mk("a reverse include brings only what is visible", "Patient?_id=ida&_revinclude=Condition:patient", 2, bp),
		{says: "a post is a get", semantics: safe, source: "search over visible data", consents: hide, resources: rs,
			request: officer("CRISIS", set("interaction", doc{"type": "search", "method": "POST", "query": "Condition?patient=ida"})), want: bp, bundle: doc{"total": 1, "entry": 1}},
		{says: "reading a hidden resource is reading nothing", semantics: safe, source: "reads", consents: hide, resources: rs,
			request: officer("CRISIS", set("interaction", doc{"type": "read", "query": "Condition/oud"})), want: doc{"Condition/oud": "deny"}},
	}
}

func requestCorners() []row {
	open := func(parts ...part) []doc { return one(consent("c1", permit(recipient(agency)), parts...)) }
	mk := func(says, decision string, cs []doc, q doc) row {
		return row1(says, safe, "request", cs, plans(), q, planIs(decision))
	}
	cache := func(decision, at, updated string) part {
		return set("cache", doc{"previousDecision": decision, "previousDecisionAt": at, "consentLastUpdated": updated})
	}
	manager := func(parts ...part) doc {
		return ask("case-manager", "COC", append([]part{as("Practitioner/mgr", clinic), fact("treatingProvider", true), set("direction", "police-to-bh")}, parts...)...)
	}
	contact := func(parts ...part) []doc {
		return []doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", append([]part{from(agency)}, parts...)...)}
	}
	share := set("agreements", []any{"mou-7"})
	police := func(says, decision string, cs, rs []doc, q doc) row {
		return row1(says, reg, "28 CFR 20.3, 20.20, 20.33", cs, rs, q, doc{"Encounter/e": decision})
	}
	return []row{
		mk("a cached permit does not outlive a revocation", "deny", open(set("status", "inactive")), officer("CRISIS", cache("permit", "2026-08-05T10:00:00-05:00", "2026-08-05T15:00:00-05:00"))),
		mk("a cached deny does not outlive a new Consent", "permit", open(), officer("CRISIS", cache("deny", "2026-08-05T10:00:00-05:00", "2026-08-05T15:00:00-05:00"))),
		mk("without an action access is asked", "permit", one(consent("c1", permit(recipient(agency), action("access")))), officer("CRISIS", without("action"))),
		mk("an action that is not covered", "deny", one(consent("c1", permit(recipient(agency), action("access")))), officer("CRISIS", set("action", "disclose"))),
		mk("an agency without an officer is a requester too", "permit", open(), officer("CRISIS", set("actor", doc{"organization": agency}))),
		mk("nobody is covered by no name", "deny", open(), officer("CRISIS", set("actor", doc{}))),
		mk("two roles of which one is law enforcement is law enforcement", "deny", nil, clinician("TREAT", set("role", []any{coding(own+"actor-role", "treating-clinician"), coding(own+"actor-role", "dispatcher")}))),
		mk("an unknown role is not taken for police", "permit", nil, clinician("TREAT", set("role", []any{}))),
		mk("an empty list of scopes covers nothing", "deny", open(), officer("CRISIS", scopes())),
		mk("a patient scope covers the one person asked about", "permit", open(), officer("CRISIS", scopes("patient/CarePlan.rs"))),
		mk("a system scope covers too", "permit", open(), officer("CRISIS", scopes("system/CarePlan.r"))),
		mk("a scope of another type covers nothing", "deny", open(), officer("CRISIS", scopes("user/Condition.rs"))),
		mk("a scope to create covers nothing returned", "deny", open(), officer("CRISIS", scopes("user/CarePlan.c"))),
		police("an agreement does not reach a record with a sensitivity", "deny", nil, contact(labelled("R", "MH")), manager(share)),
		police("an agreement serves even who does not treat", "permit", nil, contact(), manager(share, fact("treatingProvider", false))),
		police("an empty list of agreements is none", "deny", nil, contact(), manager(set("agreements", []any{}))),
		police("a criminal history in a Consent to all stays", "deny", one(consent("c1", permit())), contact(labelled("R", "CHRI")), manager(share)),
		police("a deny of the agency's data", "deny", one(consent("c1", deny(participant("CST", agency)))), contact(), manager(share)),
		police("another agency gets a criminal history under a Consent", "permit", one(consent("c1", permit(recipient("Organization/southfield-pd")))), contact(labelled("R", "CHRI")),
			ask("law-enforcement-officer", "LAWENF", as("Practitioner/s", "Organization/southfield-pd"))),
	}
}
