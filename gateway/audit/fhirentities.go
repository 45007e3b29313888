package audit

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

func entities(e *Event) []entity {
	var out []entity
	if e.ID != "" {
		out = append(out, entity{
			Type: &coding{balp + "BasicAuditEntityType", "XrequestId", ""},
			What: &reference{Identifier: &identifier{Value: e.ID}}, Detail: circumstances(e),
		})
	}
	for _, p := range e.Patients {
		out = append(out, entity{What: who(p), Type: &coding{entityType, "1", "Person"}, Role: &coding{objectRole, "1", "Patient"}})
	}
	if e.Query != "" || strings.HasPrefix(e.Interaction, "search") {
		asked := e.Path
		if e.Query != "" {
			asked += "?" + e.Query
		}
		out = append(out, entity{
			Type: &coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "24", "Query"},
			Query: base64.StdEncoding.EncodeToString([]byte(asked)),
		})
	}
	for i := range e.Resources {
		out = append(out, judged(&e.Resources[i]))
	}
	for _, c := range consentsOf(e) {
		out = append(out, entity{What: who(c), Type: &coding{"http://hl7.org/fhir/resource-types", "Consent", "Consent"}})
	}
	for _, b := range basesOf(e) {
		out = append(out, entity{What: who(b), Type: &coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "13", "Security Resource"}})
	}
	if e.TokenID != "" {
		out = append(out, entity{
			Type: &coding{balp + "UserAgentTypes", "UserOauthAgent", ""},
			What: &reference{Identifier: &identifier{Value: tokenURN(e.TokenID)}},
		})
	}
	return slices.DeleteFunc(out, func(n entity) bool { return n.What == nil && n.Query == "" })
}

func judged(j *Judged) entity {
	out := entity{What: who(j.Reference), Type: &coding{entityType, "2", "System Object"}, Role: &coding{objectRole, "4", "Domain Resource"}}
	for _, l := range j.Labels {
		if l != "" {
			out.SecurityLabel = append(out.SecurityLabel, codeOf(l, "cji-label"))
		}
	}
	if j.Decision != "" {
		out.Detail = append(out.Detail, detail{"decision", j.Decision})
	}
	if j.Policy != "" {
		out.Detail = append(out.Detail, detail{"decided", j.Policy})
	}
	if j.Unsent {
		out.Detail = append(out.Detail, detail{"sent", "no"})
	}
	for _, o := range j.Obligations {
		out.Detail = append(out.Detail, detail{"obligation", o})
	}
	if j.Origin.Custodian != "" {
		out.Detail = append(out.Detail, detail{"custodian", j.Origin.Custodian})
	}
	if j.Digest != "" {
		out.Detail = append(out.Detail, detail{"digest", j.Digest})
	}
	for _, r := range j.Reasons {
		text := strings.TrimSpace(strings.Join([]string{r.Rule, r.Effect, r.Pack, r.Consent, r.Path, r.Basis, r.Citation}, " "))
		if text != "" {
			out.Detail = append(out.Detail, detail{"reason", strings.Join(strings.Fields(text), " ")})
		}
	}
	return out
}

// circumstances are what BALP has no element for.
func circumstances(e *Event) []detail {
	var out []detail
	add := func(name, value string) {
		if value != "" {
			out = append(out, detail{name, value})
		}
	}
	add("request", strings.TrimSpace(e.Operation+" "+e.Path))
	add("systems", strings.Join(e.Systems, " "))
	add("obligations", strings.Join(e.Obligations, " "))
	if e.Duration > 0 {
		add("duration", e.Duration.String())
	}
	if e.BytesOut > 0 {
		add("bytesOut", fmt.Sprint(e.BytesOut))
	}
	if e.ConsentEpoch > 0 {
		add("consentEpoch", fmt.Sprint(e.ConsentEpoch))
	}
	if e.Unlisted > 0 {
		add("unlisted", fmt.Sprint(e.Unlisted))
	}
	if e.Facts != nil {
		for _, l := range e.Facts.Laws {
			add("law", l)
		}
		add("labelSet", e.Facts.LabelSet)
	}
	return out
}

// basesOf lists the accepted legal bases that were grounds, each once.
func basesOf(e *Event) []string {
	var out []string
	for i := range e.Resources {
		for _, r := range e.Resources[i].Reasons {
			if r.Basis != "" && !slices.Contains(out, r.Basis) {
				out = append(out, r.Basis)
			}
		}
	}
	return out
}

// consentsOf lists the consents that spoke, each once.
func consentsOf(e *Event) []string {
	var out []string
	for i := range e.Resources {
		for _, r := range e.Resources[i].Reasons {
			if r.Consent != "" && !slices.Contains(out, r.Consent) {
				out = append(out, r.Consent)
			}
		}
	}
	return out
}
