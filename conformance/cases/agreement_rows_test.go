package cases

// Sharing agreements as packs: who gets what, for which purposes, until when.
// They fill a federal rule or accept a basis in advance; they restrict
// themselves and nothing else.

func agreementPack(rules ...doc) doc {
	return doc{
		"id": "mou-7", "version": "2026.08", "title": "Northfield and Lakeside", "kind": "agreement", "jurisdiction": "US", "combining": "deny-overrides",
		"sources": []any{doc{"id": "mou-7", "title": "Memorandum of understanding 7"}}, "period": doc{"start": "2026-01-01", "end": "2026-12-31"}, "rules": list(rules),
	}
}

func agreementRule(id, effect string, parts ...part) doc {
	return with(doc{"id": id, "effect": effect, "citation": "MOU 7, section " + id, "verified": doc{"where": "mou-7", "on": "2026-08-01"}}, parts...)
}

// when are conditions, numbered.
func when(conditions ...doc) part {
	return func(d doc) {
		var all []any
		for i, c := range conditions {
			c["id"] = "c" + string(rune('1'+i))
			all = append(all, c)
		}
		d["when"] = all
	}
}

func agreed(p doc) part { return set("agreements", []any{p}) }

func agreementRows() []row {
	contact := func(parts ...part) []doc {
		return []doc{encounter("e", "2026-03-12T09:00:00-05:00", "2026-03-12T10:00:00-05:00", append([]part{from(agency)}, parts...)...)}
	}
	manager := func(parts ...part) doc {
		return ask("case-manager", "COC", append([]part{as("Practitioner/mgr", clinic), set("direction", "police-to-bh")}, parts...)...)
	}
	is := func(d any) doc { return doc{"Encounter/e": d} }
	mk := func(says string, cs, rs []doc, q doc, want doc) row {
		return row1(says, reg, "sharing agreements; 28 CFR 20.3", cs, rs, q, want)
	}
	share := func(parts ...part) doc {
		return agreementRule("share", "permit", append([]part{set("within", "baseline/agreement")}, parts...)...)
	}
	toClinic := when(doc{"organization": []any{clinic}}, doc{"purpose": doc{"within": []any{"TREAT"}}})
	whole := agreementPack(share(toClinic))
	until := func(end string) doc { return with(deep(whole), set("period", doc{"end": end})) }
	visible := set("extent", doc{"elements": []any{doc{"type": "Encounter", "only": []any{"status", "class", "subject"}}}})
	accepts := func(parts ...part) doc {
		return agreementPack(agreementRule("threat", "accept", append([]part{set("basis", []any{"hipaa-512j-avert-threat"}), when(doc{"organization": []any{agency}}, doc{"role": []any{"law-enforcement-officer"}})}, parts...)...))
	}
	threat := func(p doc, by string, parts ...part) doc {
		return officer("CRISIS", append([]part{agreed(p), basis("hipaa-512j-avert-threat", covers("CarePlan/plan"),
			set("attestedBy", "Practitioner/dr-osei"), set("attestedAt", "2026-08-05T15:00:00-05:00"), set("acceptedBy", by))}, parts...)...)
	}
	crisisPlan := []doc{plan("plan", from(clinic))}
	return []row{
		mk("an agreement opens to whom it names", nil, contact(), manager(agreed(whole)), is("permit")),
		mk("an agreement of words opens nothing to another organisation", nil, contact(), manager(agreed(whole), fact("organization", "Organization/county-hospital")), is("deny")),
		mk("nor for another purpose", nil, contact(), manager(agreed(whole), purposes("HRESCH")), is("deny")),
		mk("nor for a purpose beside it", nil, contact(), manager(agreed(whole), purposes("TREAT", "HRESCH")), is("deny")),
		mk("an agreement lasts to the end of its last day", nil, contact(), manager(agreed(until("2026-08-05")), set("at", "2026-08-05T23:59:59-05:00")), is("permit")),
		mk("and not a second longer", nil, contact(), manager(agreed(until("2026-08-05")), set("at", "2026-08-06T00:00:00-05:00")), is("deny")),
		mk("an agreement does not hold before its first day", nil, contact(), manager(agreed(whole), set("at", "2025-12-31T23:59:59-05:00")), is("deny")),
		mk("an agreement opens no criminal history", nil, contact(labelled("R", "CHRI")), manager(agreed(whole)), is("deny")),
		mk("an agreement opens nothing that is labelled", nil, contact(labelled("R", "MH")), manager(agreed(whole)), is("deny")),
		mk("an agreement overrides no deny", one(consent("c1", deny(recipient(clinic)))), contact(), manager(agreed(whole)), is("deny")),
		mk("an agreement may let some elements out", nil, contact(), manager(agreed(agreementPack(share(toClinic, visible)))), is(redacted([]string{"Encounter.period"}, []string{"Encounter.status"}))),
		mk("an agreement may keep types back", nil, contact(), manager(agreed(agreementPack(share(toClinic), agreementRule("no-encounters", "deny", when(doc{"type": []any{"Encounter"}}))))), is("deny")),
		mk("an agreement is for its custodian's data alone", nil, contact(), manager(agreed(agreementPack(share(when(doc{"custodian": []any{"Organization/southfield-pd"}}))))), is("deny")),
		mk("an agreement opens no health data to police", nil, crisisPlan, officer("CRISIS", agreed(whole)), planIs("deny")),
		mk("an agreement accepts a threat in advance", nil, crisisPlan, threat(accepts(), "mou-7/threat"), planIs("permit")),
		mk("not for another agency", nil, crisisPlan, threat(accepts(), "mou-7/threat", as("Practitioner/s", "Organization/southfield-pd")), planIs("deny")),
		mk("not for another role", nil, crisisPlan, threat(accepts(), "mou-7/threat", set("role", []any{coding(own+"actor-role", "dispatcher")})), planIs("deny")),
		mk("not by a rule that it does not have", nil, crisisPlan, threat(accepts(), "mou-7/anything"), planIs("deny")),
		mk("not after it has run out", nil, crisisPlan, threat(with(accepts(), set("period", doc{"end": "2026-08-04"})), "mou-7/threat"), planIs("deny")),
		mk("not of other elements than it says", nil, crisisPlan, threat(accepts(set("extent", doc{"elements": []any{doc{"type": "CarePlan", "only": []any{"status", "intent", "subject", "title"}}}})), "mou-7/threat"),
			doc{"CarePlan/plan": redacted([]string{"CarePlan.created"}, []string{"CarePlan.title"})}),
		mk("another basis is not accepted with it", nil, crisisPlan, officer("LAWENF", agreed(accepts()), basis("warrant", covers("CarePlan/plan"), set("acceptedBy", "mou-7/threat"))), planIs("deny")),
	}
}
