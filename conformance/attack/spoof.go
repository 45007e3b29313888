package attack

// spoofing is a request that says of itself more than its token does.
func spoofing() Family {
	claims := func(headers ...string) func(*Target) error {
		return func(t *Target) error {
			var changes []change
			for i := 0; i < len(headers); i += 2 {
				changes = append(changes, with(headers[i], t.fill(headers[i+1])))
			}
			if err := empty("officer", "Condition?patient={ada}", changes...)(t); err != nil {
				return err
			}
			return refused("officer", "{therapy}", changes...)(t)
		}
	}
	return Family{Area: Access, Name: "what a request says of itself", Control: allOf(sees("clinician", "Condition?patient={ada}"), sees("clinician", "{therapy}"), sees("officer", "{plan}")), Attacks: []Attack{
		{"purpose-header", "a purpose in a header opens nothing", "issue 4.4: never a header or body", nil, claims("X-Purpose-Of-Use", "TREAT", "X-Handoff-Purpose", "ETREAT", "Purpose", "TREAT", "X-POU", "BTG")},
		{"role-header", "a role in a header opens nothing", "issue 4.4", nil, claims("X-Role", "treating-clinician", "X-User-Role", "emergency-physician", "X-Roles", "admin")},
		{"organization-header", "an organisation in a header opens nothing", "issue 4.4", nil, claims("X-Organization", "Organization/clinic", "X-Tenant-Id", "clinic", "X-Client-Id", "clinician", "X-User", "admin")},
		{"scope-header", "scopes in a header open nothing", "Keycloak and Kong proxies pass them on", nil, claims("X-Scope", "system/*.cruds", "X-Auth-Request-Groups", "admin", "X-Forwarded-User", "clinician")},
		{"break-glass-header", "a broken glass in a header opens nothing", "decisions 2.6; peers' X-Break-Glass", nil, claims("X-Break-Glass", "true", "X-Emergency", "true", "Category", "btg; scheme=http://hl7.org/fhir/tag/security")},
		{"consent-header", "a consent in a header opens nothing", "SMART consent_reference is a claim", nil, claims("X-Consent", "{consent}", "X-Consent-Directive", "permit")},
		{"forwarded", "a forged forwarding header opens nothing", "smart.md 2.4: gin trusts X-Forwarded-For from everywhere", nil, claims("X-Forwarded-For", "127.0.0.1", "X-Real-IP", "127.0.0.1", "Forwarded", "for=127.0.0.1;host=admin;proto=https", "X-Forwarded-Host", "admin")},
		{"rewritten-path", "a path in a header is not the path", "CVE-2018-14773 (X-Original-URL, X-Rewrite-URL)", nil, func(t *Target) error {
			ref, err := t.record("therapy")
			if err != nil {
				return err
			}
			return leaks("officer", "{plan}", "{#therapy}", with("X-Original-URL", "/fhir/"+ref), with("X-Rewrite-URL", "/fhir/"+ref), with("X-HTTP-Path", "/fhir/"+ref))(t)
		}},
		{"method-override", "a method in a header is not the method", "X-HTTP-Method-Override, _method: a read that writes", nil, func(t *Target) error {
			if err := t.has("{consent}"); err != nil {
				return err
			}
			before, err := t.as("clinician", t.fill("{consent}"))
			if err != nil {
				return err
			}
			for _, m := range []string{"DELETE", "PUT", "PATCH"} {
				if _, err := t.as("clinician", t.fill("{consent}"), with("X-HTTP-Method-Override", m), with("X-HTTP-Method", m), with("X-Method-Override", m)); err != nil {
					return err
				}
			}
			after, err := t.as("clinician", t.fill("{consent}"))
			if err == nil && after.header.Get("Etag") != before.header.Get("Etag") {
				err = breach("the Consent changed from %s to %s", before.header.Get("Etag"), after.header.Get("Etag"))
			}
			return err
		}},
		{"purpose-parameter", "a purpose in a parameter opens nothing", "issue 4.4", nil, refused("officer", "Condition?patient={ada}&purpose=TREAT&_purpose=TREAT")},
		{"labels-asked-for", "a filter on security labels brings out nothing", "decisions 2.1, 3.1", nil, leaks("officer", "CarePlan?patient={ada}&_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R", "{#therapy}")},
	}}
}
