package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/mappings"
)

// What HL7 v2 says about disclosure must reach the decision point: the Consents
// that messages make are asked as those of any other source, by police for
// emergency treatment purposes or others.
func TestConsentsOfMessagesDenyAndPermit(t *testing.T) {
	const head = "MSH|^~\\&|ADT|CLINIC|GW|HANDOFF|20260110120000-0500||ADT^A04^ADT_A01|M1|P|2.6\rEVN||20260110120000-0500\rPID|1||MRN1^^^CLINIC^MR||Rivera^Ana||19800317|F\r"
	const visit = "PV1|1|O|||||||||||||||||V1^^^CLINIC^VN\r"
	con := func(typ, limits, status, decided, start, end, level, why string) string {
		return "CON|1|" + typ + "||F-1^CLINIC|||||" + limits + "|W|" + status + "||" + decided + "|" + start + "|" + end + "||||||" + level + "|" + why + "\r"
	}
	later := strings.NewReplacer("20260110", "20260111", "|M1|", "|M2|").Replace
	for name, c := range map[string]struct {
		messages []string
		want     consent.Effect
	}{
		"nothing said":                        {[]string{head + visit}, consent.None},
		"released":                            {[]string{head + visit + con("001", "", "A", "20260110", "", "", "F", "")}, consent.Permit},
		"released until last year":            {[]string{head + visit + con("001", "", "A", "20250110", "20250110", "20251231", "", "")}, consent.None},
		"released, level none":                {[]string{head + visit + con("001", "", "A", "20260110", "", "", "N", "")}, consent.Deny},
		"released, a reason not to disclose":  {[]string{head + visit + con("001", "", "A", "20260110", "", "", "", "PR")}, consent.Deny},
		"released in part":                    {[]string{head + visit + con("001", "", "A", "20260110", "", "", "P", "")}, consent.Deny},
		"limited in words":                    {[]string{head + visit + con("001", "not to my employer", "L", "20260110", "", "", "", "")}, consent.Deny},
		"limited by codes, of other data":     {[]string{head + visit + con("001", "HIV,DRG", "L", "20260110", "", "", "", "")}, consent.Permit},
		"released by word of mouth":           {[]string{head + visit + strings.Replace(con("001", "", "A", "20260110", "", "", "F", ""), "|W|", "|V|", 1)}, consent.Residual},
		"released, the end not readable":      {[]string{head + visit + con("001", "", "A", "20260110", "20260110", "someday", "", "")}, consent.Deny},
		"released, the end before the start":  {[]string{head + visit + con("001", "", "A", "20260110", "20260120", "20260110", "", "")}, consent.Deny},
		"refused, the end before the start":   {[]string{head + visit + con("001", "", "R", "20260110", "20260110", "20250101", "", "")}, consent.Deny},
		"released, a level that is not known": {[]string{head + visit + con("001", "", "A", "20260110", "", "", "Q", "")}, consent.Deny},
		"released and refused at once":        {[]string{head + visit + con("001", "", "A", "20260110", "", "", "", "") + con("001", "", "R", "20260110", "", "", "", "")}, consent.Deny},
		"refused":                             {[]string{head + visit + con("001", "", "R", "20260110", "", "", "", "")}, consent.Deny},
		"pending":                             {[]string{head + visit + con("001", "", "P", "", "", "", "", "")}, consent.None},
		"bypassed":                            {[]string{head + visit + con("001", "", "B", "", "", "", "", "")}, consent.None},
		"a status that is not known":          {[]string{head + visit + con("001", "", "Q", "20260110", "", "", "", "")}, consent.Deny},
		"a type that is not known, granted":   {[]string{head + visit + con("X9", "", "A", "20260110", "", "", "", "")}, consent.None},
		"a type that is not known, refused":   {[]string{head + visit + con("X9", "", "R", "20260110", "", "", "", "")}, consent.Deny},
		"an operation agreed to":              {[]string{head + visit + con("002", "", "A", "20260110", "", "", "", "")}, consent.None},
		"a restriction asked for":             {[]string{head + visit + con("110", "", "A", "20260110", "", "", "", "")}, consent.Deny},
		"released, then rescinded": {[]string{head + visit + con("001", "", "A", "20260110", "", "", "", ""),
			later(head) + visit + con("001", "", "X", "20260111", "", "", "", "")}, consent.None},
		"refused, then released": {[]string{head + visit + con("001", "", "R", "20260110", "", "", "", ""),
			later(head) + visit + con("001", "", "A", "20260111", "", "", "", "")}, consent.Permit},
		"released, then refused, out of order": {[]string{later(head) + visit + con("001", "", "R", "20260111", "", "", "", ""),
			head + visit + con("001", "", "A", "20260110", "", "", "", "")}, consent.Deny},
		"protected":                       {[]string{head + "PD1||||||||||||Y\r" + visit}, consent.Deny},
		"protected, unreadable":           {[]string{head + "PD1||||||||||||X\r" + visit}, consent.Deny},
		"protected, then no more":         {[]string{head + "PD1||||||||||||Y\r" + visit, later(head) + "PD1||||||||||||N\r" + visit}, consent.None},
		"opted out":                       {[]string{head + "ARV|1|A|OO\r" + visit}, consent.Deny},
		"no consent":                      {[]string{head + "ARV|1|A|NOCONSENT\r" + visit}, consent.Deny},
		"none":                            {[]string{head + "ARV|1|A|NO\r" + visit}, consent.Deny},
		"opted out, taken back":           {[]string{head + "ARV|1|A|OO\r" + visit, later(head) + "ARV|1|D|OO\r" + visit}, consent.None},
		"opted out twice, one taken back": {[]string{head + "ARV|1|A|NO~OO\r" + visit, later(head) + "ARV|1|D|OO\r" + visit}, consent.Deny},
		"opted out, all taken back":       {[]string{head + "ARV|1|A|NO~OO\r" + visit, later(head) + "ARV|1|D|ALL\r" + visit}, consent.None},
		"opted out, then in":              {[]string{head + "ARV|1|A|OPTOUT\r" + visit, later(head) + "ARV|1|A|OPTIN\r" + visit}, consent.Permit},
		"opted in, then out":              {[]string{head + "ARV|1|A|OPTIN\r" + visit, later(head) + "ARV|1|A|OO\r" + visit}, consent.Deny},
		"opted in, out, the latter taken back": {[]string{head + "ARV|1|A|OPTIN\r" + visit, later(head) + "ARV|1|A|OO\r" + visit,
			strings.NewReplacer("20260110", "20260112", "|M1|", "|M3|").Replace(head) + "ARV|1|D|OO\r" + visit}, consent.None},
		"no consent, then in":                          {[]string{head + "ARV|1|A|NOCONSENT\r" + visit, later(head) + "ARV|1|A|OPTIN\r" + visit}, consent.Deny},
		"opted in":                                     {[]string{head + "ARV|1|A|OPTIN\r" + visit}, consent.Permit},
		"opted out and in":                             {[]string{head + "ARV|1|A|OPTIN~NOCONSENT\r" + visit}, consent.Deny},
		"opted in, the end not readable":               {[]string{head + "ARV|1|A|OPTIN|||20260101^later\r" + visit}, consent.None},
		"opted in until last year, and something else": {[]string{head + "ARV|1|A|OPTIN|||20250101^20251231\rARV|2|A|PSY\r" + visit}, consent.None},
		"emergencies only":                             {[]string{head + "ARV|1|A|EMRGONLY\r" + visit}, consent.Deny},
		"opted out of this visit":                      {[]string{head + visit + "ARV|1|A|NOCONSENT\r"}, consent.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			if got := decideVisit(t, strings.Join(c.messages, ""), "TREAT"); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if got := decideVisit(t, head+"ARV|1|A|EMRGONLY\r"+visit, "ETREAT"); got != consent.Permit {
		t.Errorf("emergencies only, in an emergency: got %v", got)
	}
	if got := decideVisit(t, head+"ARV|1|A|EMRGONLY~NO\r"+visit, "ETREAT"); got != consent.Deny {
		t.Errorf("emergencies only and nothing at all, in an emergency: got %v", got)
	}
}

// decideVisit asks the Consents that messages make about the Encounter that they
// make.
func decideVisit(t *testing.T, messages, purpose string) consent.Effect {
	t.Helper()
	f, err := all.Find("ehr/hl7v2")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out, rejects bytes.Buffer
	job := convert.Job{Format: f, Options: adapters.Options{Profile: m.Profile(), Kinds: m.Kinds()}, Mapper: m, Mapping: mappings.Options{IDs: mappings.TestIDs}, Out: &out, Rejects: &rejects}
	_, err = job.Run(context.Background(), []convert.Path{{Name: "m", Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: "m", Reader: strings.NewReader(messages)}, io.NopCloser(nil), nil
	}}})
	if err != nil || rejects.Len() > 0 {
		t.Fatalf("%v %s", err, rejects.String())
	}
	var cs []*consent.Consent
	var visit *resource.Resource
	patient := ""
	for _, line := range bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")) {
		for _, is := range validate.Bytes(line) {
			t.Errorf("not valid: %+v in %s", is, line)
		}
		r, err := resource.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		switch r.Type() {
		case "Consent":
			cs = append(cs, consent.Parse(r, consent.Source{Entitled: true}))
		case "Encounter":
			visit = r
			var x struct {
				Subject struct{ Reference string }
			}
			if err := json.Unmarshal(line, &x); err != nil {
				t.Fatal(err)
			}
			patient = x.Subject.Reference
		}
	}
	if visit == nil {
		t.Fatalf("no Encounter in %s", out.String())
	}
	set := consent.Compile(cs, consent.Question{
		At: time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC), Action: "access", Person: []string{patient},
		Purpose: label.Code{System: "http://terminology.hl7.org/CodeSystem/v3-ActReason", Code: purpose},
		Actor:   &consent.Actor{Reference: "Practitioner/officer", Organization: "Organization/police"},
	})
	d := consent.NewDatum(visit, &label.Labels{Version: "t"}, patient, "Organization/clinic", nil)
	effect := consent.None
	for i := range set.Len() {
		effect = max(effect, set.Judge(i, &d, 0).Effect)
	}
	return effect
}
