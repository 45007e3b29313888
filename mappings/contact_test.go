package mappings_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/mappings"
)

const consented = "ConsentAsked=Y\nConsentResult=GRANTED\nConsentMethod=VERBAL-BWC\nConsentExpires=72 HRS\n"

// applied maps a contact.
func applied(t *testing.T, m *mappings.Map, lines string) *mappings.Result {
	t.Helper()
	res, err := m.Apply(contact(t, m, lines), mappings.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// only returns the resources of a type, decoded.
func only(t *testing.T, res *mappings.Result, typ string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, r := range res.Resources {
		if r.Type != typ {
			continue
		}
		var v map[string]any
		if err := json.Unmarshal(r.Raw, &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// consentOf is the status of the Consent and the names of its recipients.
func consentOf(t *testing.T, res *mappings.Result) string {
	t.Helper()
	consents := only(t, res, "Consent")
	if len(consents) == 0 {
		return "none"
	}
	out := fmt.Sprint(consents[0]["status"])
	provision, _ := consents[0]["provision"].(map[string]any)
	actors, _ := provision["actor"].([]any)
	for _, a := range actors {
		out += " " + fmt.Sprint(a.(map[string]any)["reference"].(map[string]any)["display"])
	}
	return out
}

func labelsOf(t *testing.T, res *mappings.Result, typ string) string {
	t.Helper()
	var out []string
	for _, r := range only(t, res, typ) {
		meta, _ := r["meta"].(map[string]any)
		security, _ := meta["security"].([]any)
		for _, s := range security {
			out = append(out, fmt.Sprint(s.(map[string]any)["code"]))
		}
	}
	return strings.Join(out, " ")
}

func TestConsentIsActiveOnlyIfNothingSpeaksAgainstIt(t *testing.T) {
	m := load(t, riverton)
	ccbh := " Cedar County Behavioral Health"
	for lines, want := range map[string]string{
		"":                                    "active" + ccbh,
		"ConsentScope=Cedar County BH":        "active" + ccbh,
		"ConsentScope=Treatment team contact": "active" + ccbh,
		"ConsentScope=Cedar County BH; case mgmt follow-up": "active" + ccbh,
		// nobody is named
		"ConsentScope=case management": "proposed",
		// a phrase that is not known whole
		"ConsentScope=NOT Cedar County BH; case management":             "proposed",
		"ConsentScope=Do not share with Cedar County BH; mobile crisis": "proposed",
		"ConsentScope=Lakeside Clinic; case management":                 "proposed",
		"ConsentScope=mother only; case management":                     "proposed",
		"ConsentScope=Cedar County BH; not my sister":                   "proposed" + ccbh,
		"ConsentScope=NONE":                       "proposed",
		"ConsentScope=Cedar County BH; NONE":      "proposed" + ccbh,
		"ConsentMethod=VERBAL (by mother)":        "proposed" + ccbh,
		"Narrative=Subject refused to sign.":      "proposed" + ccbh,
		"Narrative=Later withdrew her consent.":   "proposed" + ccbh,
		"Narrative=Refused transport. Consented.": "active" + ccbh,
		// capacity, in any column
		"Narrative=semi-conscious":                   "proposed" + ccbh,
		"Narrative=Not armed and unconscious":        "proposed" + ccbh,
		"FinalCallType=UNCONSCIOUS PERSON":           "proposed" + ccbh,
		"InitialCallType=UNCON":                      "proposed" + ccbh,
		"TransportMode=AMR (unresponsive)":           "proposed" + ccbh,
		"SuicideRisk=Attempt, now unconcious":        "proposed" + ccbh,
		"ConsentMethod=VERBAL (unconscious)":         "proposed" + ccbh,
		"DestFacility=County Medical Examiner":       "proposed" + ccbh,
		"Narrative=denies any loss of consciousness": "active" + ccbh,
		// minors
		"DOB=\nAgeEst=15":           "proposed" + ccbh,
		"DOB=\nAgeEst=15-20":        "proposed" + ccbh,
		"DOB=\nAgeEst=JUV":          "proposed" + ccbh,
		"DOB=\nAgeEst=teens":        "proposed" + ccbh,
		"DOB=\nAgeEst=under 18":     "proposed" + ccbh,
		"DOB=01/01/2000\nAgeEst=15": "proposed" + ccbh,
		"AgeEst=40ish":              "active" + ccbh,
		// nobody was met
		"Disposition=GOA/UTL": "proposed" + ccbh,
	} {
		if got := consentOf(t, applied(t, m, consented+lines)); got != want {
			t.Errorf("%q: got %q, want %q", lines, got, want)
		}
	}
}

func TestMinorsAreRestrictedAndOnlyMarkedRecordsAreJuvenile(t *testing.T) {
	m := load(t, riverton)
	for lines, want := range map[string]string{
		"":                            "",
		"DOB=03/17/2010":              "R",
		"DOB=\nAgeEst=15":             "R",
		"DOB=\nAgeEst=35-40":          "",
		"RecStatus=JUV":               "R JUVENILE",
		"RecStatus=S":                 "V",
		"DOB=03/17/2010\nRecStatus=S": "V",
	} {
		res := applied(t, m, lines)
		if got := labelsOf(t, res, "Encounter"); got != want {
			t.Errorf("%q: got %q, want %q", lines, got, want)
		}
	}
}

func TestRecordsThatTakeAwayActByTheirKey(t *testing.T) {
	m := load(t, riverton)
	key := "rms|ZZ0010100|25-100000|R100001"
	for _, c := range []struct{ lines, want string }{
		{"RecStatus=S\nContactDT=", "seal record-sealed " + key + " scope= resources=0"},
		{"RecStatus=SEALED\nIncLocation=01/04/2025 05:13", "seal record-sealed " + key + " scope= resources=0"},
		{"RecStatus=D\nContactDT=1/1/1900 0:00", "seal record-voided " + key + " scope= resources=0"},
		{"RecStatus=JUV\nContactDT=", "seal record-juvenile " + key + " scope= resources=0"},
		{"ConsentResult=REVOKED\nContactDT=", "seal consent-revoked " + key + " scope= resources=0"},
		{"RecStatus=X\nContactDT=", "expunge record-expunged " + key + " scope= resources=0"},
		{"RecStatus=X\nLastName=\nFirstName=", "expunge record-expunged " + key + " scope= resources=0"},
		{"RecStatus=X\nIncidentNo= 25-100000 \nMNI=r100001 ", "expunge record-expunged " + key + " scope= resources=0"},
		{"RecStatus=X\nLastName=ZZTEST", "expunge record-expunged " + key + " scope= resources=0"},
		{"RecStatus=X\nMNI=\nLastName=\nFirstName=", "expunge incident-expunged * scope=rms|ZZ0010100|25-100000 resources=0"},
		{"RecStatus=X\nMNI=", "expunge incident-expunged * scope=rms|ZZ0010100|25-100000 resources=0"},
		{"RecStatus=X\nMNI=\nLastName=DOE\nFirstName=JOHN", "expunge incident-expunged * scope=rms|ZZ0010100|25-100000|unidentified resources=0"},
		{"RecStatus=S\nMNI=R000000", "seal incident-sealed * scope=rms|ZZ0010100|25-100000 resources=0"},
		{"RecStatus=D\nMNI=", "seal incident-sealed * scope=rms|ZZ0010100|25-100000 resources=0"},
		{"MNI=", "reject person-key-missing * scope= resources=0"},
	} {
		res := applied(t, m, c.lines)
		k := res.Key
		if strings.Contains(c.want, " * ") {
			k = "*"
		}
		if got := fmt.Sprintf("%s %s %s scope=%s resources=%d", res.Action, res.Reason, k, res.Scope, len(res.Resources)); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.lines, got, c.want)
		}
		if len(res.Issues) == 0 || res.Issues[len(res.Issues)-1].Pos.Line != 7 {
			t.Errorf("%q: the issue has no place: %+v", c.lines, res.Issues)
		}
	}
}

func TestPlaceholdersAreNobodysKey(t *testing.T) {
	m := load(t, riverton)
	for _, mni := range []string{"R000000", "0", "000000", "999999", "R999999", "PENDING", "NEW", "pending", "UNK", "N/A", "TBD"} {
		if res := applied(t, m, "MNI="+mni); res.Action != mappings.Reject || res.Reason != "person-key-missing" {
			t.Errorf("%q: got %s %s", mni, res.Action, res.Reason)
		}
	}
	for _, mni := range []string{"R100000", "R9", "5550", "M-1020", "R123456"} {
		if res := applied(t, m, "MNI="+mni); res.Action != mappings.Upsert {
			t.Errorf("%q: got %s %s", mni, res.Action, res.Reason)
		}
	}
}

func TestUnidentifiedPeopleOfOneIncidentStayTwo(t *testing.T) {
	m := load(t, riverton)
	doe := "LastName=DOE\nFirstName=JOHN\nDOB=\n"
	for _, mni := range []string{"MNI=\n", "MNI=R000000\n"} {
		a, again := applied(t, m, doe+mni+"Sex=M"), applied(t, m, doe+mni+"Sex=M\nLastModified=2025-02-05 21:13:00\nDisposition=SHELTER")
		b := applied(t, m, doe+mni+"Sex=F")
		c := applied(t, m, doe+mni+"Sex=M\nNarrative=The second man.")
		if a.Key != again.Key {
			t.Errorf("a re-send is another record: %s, %s", a.Key, again.Key)
		}
		if a.Key == b.Key || a.Key == c.Key || b.Key == c.Key {
			t.Errorf("two people share a key: %s, %s, %s", a.Key, b.Key, c.Key)
		}
		if !slices.Contains(a.Groups, "rms|ZZ0010100|25-100000|unidentified") || !slices.Contains(a.Groups, "rms|ZZ0010100|25-100000") {
			t.Errorf("groups: %q", a.Groups)
		}
	}
}

func TestNoPatientIsMadeOfWhatMayBeNoPerson(t *testing.T) {
	m := load(t, riverton)
	for lines, want := range map[string]int{
		"":                                       1,
		"FirstName=":                             1, // a birth date and a sex
		"LastName=SHELL\nFirstName=\nDOB=\nSex=": 0,
		"LastName=HOME DEPOT\nFirstName=\nDOB=\nSex=U":     0,
		"LastName=7-11\nFirstName=\nDOB=\nSex=":            0,
		"LastName=DR SMITH DDS PC\nFirstName=\nDOB=\nSex=": 0,
		"LastName=Unknown Male\nFirstName=\nMNI=":          0,
		"LastName=DOE\nFirstName=MICHAEL":                  0,
	} {
		res := applied(t, m, lines)
		if got := len(only(t, res, "Patient")); got != want || res.Action != mappings.Upsert {
			t.Errorf("%q: %d Patients, want %d (%s %s)", lines, got, want, res.Action, res.Reason)
		}
	}
}

func TestTestRecordsAreToldFromPeople(t *testing.T) {
	m := load(t, riverton)
	for lines, want := range map[string]mappings.Action{
		"LastName=TEST\nFirstName=PATIENT":                                 mappings.Test,
		"LastName=TESTPATIENT\nFirstName=ONE":                              mappings.Test,
		"LastName=DEMO\nFirstName=USER":                                    mappings.Test,
		"LastName=TRAINING\nFirstName=RECORD":                              mappings.Test,
		"Narrative=***TEST***":                                             mappings.Test,
		"Narrative=THIS IS A TEST":                                         mappings.Test,
		"Narrative=TRAINING DO NOT USE":                                    mappings.Test,
		"Narrative=Training record, ignore":                                mappings.Test,
		"LastName=TEST\nFirstName=ANA":                                     mappings.Upsert,
		"Narrative=Subject was training for a marathon, do not use force.": mappings.Upsert,
		"Narrative=Subject said this is a test from God.":                  mappings.Upsert,
		"Narrative=Refused the breath test.":                               mappings.Upsert,
	} {
		if res := applied(t, m, lines); res.Action != want {
			t.Errorf("%q: got %s %s, want %s", lines, res.Action, res.Reason, want)
		}
	}
}

func TestNoChargeAndNoCriminalHistoryLeaves(t *testing.T) {
	m := load(t, riverton)
	for _, lines := range []string{
		"Disposition=ARREST - JAIL; Assault 4", "Disposition=CITED Assault 4", "Disposition=BOOKED FOR Assault", "Disposition=Booking 876543",
		"FinalCallType=State ID 87654321", "IncLocation=WA87654321 (SID)", "CallNo=S I D 87654321", "OLN=SID ZZ87654321", "ReferralTo=probation officer",
		"HoldFlag=Y\nHoldStatute=PCN 876543", "TransportMode=Known felon", "DestFacility=F.B.I. # 876543AB2", "Behaviors=criminal hx",
	} {
		res := applied(t, m, lines)
		for _, r := range res.Resources {
			for _, bad := range []string{"Assault", "87654", "felon", "probation", "criminal"} {
				if strings.Contains(string(r.Raw), bad) {
					t.Errorf("%q: %s says %q: %s", lines, r.Type, bad, r.Raw)
				}
			}
		}
		for _, u := range res.Unmapped {
			if strings.Contains(u.Code, "ssault") || strings.Contains(u.Code, "87654") || strings.Contains(u.Code, "felon") {
				t.Errorf("%q: the tally says %q", lines, u.Code)
			}
		}
	}
}

func TestDispositionSaysWhereADetentionLed(t *testing.T) {
	m := load(t, riverton)
	for facility, want := range map[string]string{
		"Harborview Crisis Stabilization Unit": "psy emergency-detention",
		"Cedar Regional Medical Center ED":     "other-hcf emergency-detention",
		"Cedar County Jail":                    "oth emergency-detention",
		"Riverton Sobering Center":             "oth emergency-detention",
		"":                                     "emergency-detention",
	} {
		res := applied(t, m, "Disposition=EMERGENCY DETENTION\nHoldFlag=Y\nDestFacility="+facility)
		got := []string{}
		concept := only(t, res, "Encounter")[0]["hospitalization"].(map[string]any)["dischargeDisposition"].(map[string]any)
		for _, c := range concept["coding"].([]any) {
			got = append(got, fmt.Sprint(c.(map[string]any)["code"]))
		}
		if s := strings.Join(got, " "); s != want || concept["text"] != "EMERGENCY DETENTION" {
			t.Errorf("%q: got %q %q, want %q", facility, s, concept["text"], want)
		}
	}
}

func TestPatientTellsWhatTheTablesSay(t *testing.T) {
	m := load(t, riverton)
	for lines, want := range map[string]string{
		"Ethnicity=U":                   `"code":"UNK"`,
		"Race=1\nEthnicity=":            `"code":"2135-2"`,
		"Race=UNK":                      `"code":"UNK"`,
		"Disposition=DECEASED":          `"deceasedBoolean":true`,
		"OLN=ZZ 123 4567":               `"value":"ZZ1234567"`,
		"HomeAddr=GENERAL DELIVERY":     `"line":["GENERAL DELIVERY"]`,
		"HomeAddr=Transient Way 5":      `"line":["Transient Way 5"]`,
		"HomeAddr=TRANSIENT - downtown": `"text":"TRANSIENT - downtown"`,
	} {
		res := applied(t, m, lines)
		if i := slices.IndexFunc(res.Resources, func(r mappings.Resource) bool { return r.Type == "Patient" }); i < 0 || !strings.Contains(string(res.Resources[i].Raw), want) {
			t.Errorf("%q: no %s in %s", lines, want, res.Resources[max(i, 0)].Raw)
		}
	}
	res := applied(t, m, "LastName=DOE\nFirstName=JOHN\nAKA=MOOKIE\nOLN=ZZ1234567")
	if !slices.ContainsFunc(res.Issues, func(i mappings.Issue) bool { return i.Code == "person-details-not-kept" }) {
		t.Errorf("what is left out of an unknown person must be said: %+v", res.Issues)
	}
}

func TestTimeOfContactMustBeOne(t *testing.T) {
	m := load(t, riverton)
	for in, want := range map[string]string{
		"1/1/1900 0:00": "reject contact-time-unreadable", "01/01/1970 00:00": "reject contact-time-unreadable", "": "reject contact-time-unreadable",
		"1/4/25 5:13": "upsert ", "14/01/2025 05:13": "upsert time-day-month-swapped",
	} {
		res := applied(t, m, "ContactDT="+in)
		got := res.Action.String() + " " + res.Reason
		for _, i := range res.Issues {
			if i.Code == "time-day-month-swapped" {
				got += i.Code
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestRecipientsAreTheOrganizationsOfTheConfiguration(t *testing.T) {
	profile := func(text string) (*mappings.Profile, error) {
		return mappings.ParseProfile("p.yaml", []byte("profile: p\ntimezone: America/Chicago\n"+text))
	}
	for text, want := range map[string]string{
		"consent: {default-recipients: [{name: Lakeside, organization: lakeside}]}":                        "Organization/lakeside",
		"organizations: {lakeside: lakeside}\nconsent: {default-recipients: [Lakeside]}":                   "Organization/lakeside",
		"organizations: {LAKESIDE: lakeside}\nconsent: {default-recipients: [{name: Lakeside}]}":           "Organization/lakeside",
		"consent: {default-recipients: [Lakeside]}":                                                        "made",
		"organizations: {Lakeside: a b}":                                                                   "error p.yaml:3:",
		"organizations: {Lakeside: a}\nconsent: {default-recipients: [{name: Lakeside, organization: b}]}": "error p.yaml:4:",
		"consent: {default-recipients: [{organization: lakeside}]}":                                        "error p.yaml:3:",
		"consent: {default-recipients: [{name: Lakeside, id: lakeside}]}":                                  "error p.yaml:3:",
	} {
		p, err := profile(text)
		if want, failed := strings.CutPrefix(want, "error "); failed {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		m, err := mappings.Load(mappings.Files(), riverton, p)
		if err != nil {
			t.Fatal(err)
		}
		res := applied(t, m, consented)
		made := slices.ContainsFunc(res.Resources, func(r mappings.Resource) bool {
			return r.Type == "Organization" && strings.Contains(string(r.Raw), "Lakeside")
		})
		i := slices.IndexFunc(res.Resources, func(r mappings.Resource) bool { return r.Type == "Consent" })
		if made != (want == "made") || !made && !strings.Contains(string(res.Resources[i].Raw), `"reference":"`+want+`","display":"Lakeside"`) {
			t.Errorf("%s: %s", text, res.Resources[i].Raw)
		}
	}
	p, err := profile("organizations: {Lakeside Clinic: lakeside, Cedar County BH: ccbh}")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), riverton, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := consentOf(t, applied(t, m, consented+"ConsentScope=lakeside clinic; case management")); got != "active lakeside clinic" {
		t.Errorf("a name of the profile is a recipient: %q", got)
	}
	res := applied(t, m, "DestFacility=Lakeside Clinic")
	if i := slices.IndexFunc(res.Resources, func(r mappings.Resource) bool { return r.Type == "Encounter" }); !strings.Contains(string(res.Resources[i].Raw), `"destination":{"reference":"Organization/lakeside"`) {
		t.Errorf("the destination: %s", res.Resources[i].Raw)
	}
}
