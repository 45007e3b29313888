package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
)

var ofClinic = resource.Origin{System: "adt", Custodian: "Organization/clinic"}

// signIn makes the token of a person of the clinic who signed in to an app.
func (c *county) signIn(name, patient, scopes string) *auth.Principal {
	c.login(name, "clinic", false, "treating-clinician", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", scopes)
	p := c.tokens[name]
	p.Client = "clinician" // which the directory knows
	p.Requester.Client = "clinician"
	p.Authorization, p.Session, p.Patient = "auth-"+name, "sid-"+name, patient
	p.User = auth.User{ID: "u-" + name, Name: "Ana Ortiz", Subject: "sub-" + name}
	return p
}

// ward is the county with a second patient of the clinic in the own store.
func ward(t *testing.T) *county {
	c := newCounty(t)
	c.populate()
	for _, raw := range []string{
		`{"resourceType":"Patient","id":"p2","name":[{"family":"Other"}]}`,
		`{"resourceType":"Observation","id":"o1","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"text":"sodium"},"subject":{"reference":"Patient/p1"}}`,
		`{"resourceType":"Observation","id":"o1v","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"text":"pulse"},"subject":{"reference":"Patient/p1"}}`,
		`{"resourceType":"Observation","id":"o2","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"text":"sodium"},"subject":{"reference":"Patient/p2"},"performer":[{"reference":"Patient/p1"}]}`,
		`{"resourceType":"Organization","id":"ward","name":"Ward 4"}`,
	} {
		c.putAs(raw, ofClinic)
	}
	return c
}

func TestEachLevelOpensByItself(t *testing.T) {
	c := ward(t)
	for _, tt := range []struct {
		note, scopes, patient, path string
		status                      int
		ids                         []string // of a search
	}{
		{"user/ sees what the user's organisation may", "user/*.rs", "", "Observation", 200, []string{"o1", "o1v", "o2"}},
		{"user/ reads", "user/Observation.r", "", "Observation/o2", 200, nil},
		{"r does not search", "user/Observation.r", "", "Observation", 403, nil},
		{"s does not read", "user/Observation.s", "", "Observation/o2", 403, nil},
		{"s finds", "user/Observation.s", "", "Observation", 200, []string{"o1", "o1v", "o2"}},
		{"s does not read a version", "user/Observation.s", "", "Observation/o2/_history/1", 403, nil},
		{"system/ is no person's", "system/*.rs", "", "Observation", 403, nil},
		{"patient/ without a patient", "patient/*.rs", "", "Observation", 403, nil},
		{"patient/ without a patient reads nothing", "patient/*.rs", "", "Observation/o1", 403, nil},
		{"patient/ with what is no Patient", "patient/*.rs", "Group/g1", "Observation/o1", 403, nil},
		{"patient/ is narrowed", "patient/*.rs", "Patient/p1", "Observation", 200, []string{"o1", "o1v"}},
		{"patient/ with the patient named", "patient/*.rs", "Patient/p1", "Observation?patient=p1", 200, []string{"o1", "o1v"}},
		{"patient/ with another named", "patient/*.rs", "Patient/p1", "Observation?patient=Patient/p2", 200, []string{}},
		{"patient/ with criteria", "patient/Observation.rs?category=laboratory", "Patient/p1", "Observation", 200, []string{"o1"}},
		{"patient/ finds its Patients alone", "patient/Patient.rs", "Patient/p1", "Patient?name=Other", 200, []string{}},
		{"patient/ reads its patient's", "patient/*.rs", "Patient/p1", "Observation/o1", 200, nil},
		{"patient/ does not read another's", "patient/*.rs", "Patient/p1", "Observation/o2", 404, nil},
		{"patient/ does not read another", "patient/*.rs", "Patient/p1", "Patient/p2", 404, nil},
		{"patient/ reads the directory", "patient/*.rs", "Patient/p1", "Organization/ward", 200, nil},
		{"patient/ reads no type it has not", "patient/Observation.rs", "Patient/p1", "Organization/ward", 403, nil},
		{"a patient who is gone", "patient/*.rs", "Patient/p9", "Observation", 200, []string{}},
		{"a patient who is gone, read", "patient/*.rs", "Patient/p9", "Patient/p9", 404, nil},
		{"a bare id and a URL are the same patient", "patient/*.rs", "p1", "Observation/o1", 200, nil},
		{"letters of two levels do not add up", "user/Observation.r patient/Patient.s", "Patient/p1", "Observation", 403, nil},
		{"criteria of one level, patient of the other", "user/Observation.rs?category=vital-signs patient/Observation.rs?category=laboratory", "Patient/p2", "Observation", 200, []string{"o1v", "o2"}},
		{"user/ may search, patient/ may not", "user/Observation.s?category=vital-signs patient/Observation.r", "Patient/p1", "Observation", 200, []string{"o1v"}},
		{"patient/ may search, user/ may not", "user/Observation.r patient/Observation.s", "Patient/p1", "Observation", 200, []string{"o1", "o1v"}},
	} {
		t.Run(tt.note, func(t *testing.T) {
			c.signIn("nurse", tt.patient, tt.scopes)
			a := c.get("nurse", tt.path)
			if a.status != tt.status {
				t.Fatalf("%s", a)
			}
			if tt.ids == nil {
				return
			}
			got := a.ids(t)
			for i := range got {
				_, got[i], _ = strings.Cut(got[i], "/")
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.ids) {
				t.Errorf("found %v, want %v", got, tt.ids)
			}
		})
	}
}

func TestAnotherPatientIsAsIfThereWereNone(t *testing.T) {
	c := ward(t)
	c.signIn("nurse", "Patient/p1", "patient/*.cruds")
	for _, pair := range [][2]string{
		{"Patient/p2", "Patient/p8"}, {"Observation/o2", "Observation/o8"}, {"Observation/o2/_history/1", "Observation/o8/_history/1"},
		{"Patient/p2/$crisis-summary", "Patient/p8/$crisis-summary"},
	} {
		a, b := c.get("nurse", pair[0]), c.get("nurse", pair[1])
		if a.status != b.status || a.body != b.body {
			t.Errorf("%s: %s\n%s: %s", pair[0], a, pair[1], b)
		}
	}
	a, b := c.get("nurse", "Observation?patient=Patient/p2"), c.get("nurse", "Observation?patient=Patient/p8")
	if strings.ReplaceAll(a.body, "p2", "p8") != b.body {
		t.Errorf("%s\n%s", a, b)
	}
	write := func(patient string) answer {
		return c.do("nurse", http.MethodPost, "Consent", strings.ReplaceAll(release, "Patient/p1", patient), asFHIR)
	}
	if a, b := write("Patient/p2"), write("Patient/p8"); a.status != http.StatusUnprocessableEntity || a.body != b.body {
		t.Errorf("a Consent of another patient: %s\nof nobody: %s", a, b)
	}
	if a := write("Patient/p1"); a.status != http.StatusCreated {
		t.Errorf("a Consent of the patient: %s", a)
	}
}

// Who is linked to the patient in context is the same person; systems are asked
// for this person alone.
func TestPatientScopesReachLinkedPatients(t *testing.T) {
	c := ward(t)
	c.link("Patient/p2", "ehr", "r2")
	c.signIn("nurse", "Patient/p1", "patient/*.rs")
	if got := c.get("nurse", "Condition").ids(t); len(got) != 2 {
		t.Errorf("%v of the linked Patient, want two", got)
	}
	if got := c.get("nurse", "Patient").ids(t); len(got) != 2 {
		t.Errorf("%v, want the Patient here and the one of the clinic", got)
	}
	before := len(c.ehr.requests())
	if got := c.get("nurse", "Condition?patient=Patient/p2").ids(t); len(got) != 0 {
		t.Errorf("%v of another patient", got)
	}
	if asked := c.ehr.requests()[before:]; len(asked) > 0 {
		t.Errorf("the clinic was asked about another patient: %v", asked)
	}
}

// What a resource contains goes out only if the level that covers the resource
// covers it too; a contained Medication or Practitioner says of nobody anything.
func TestContainedResourcesAreCoveredToo(t *testing.T) {
	c := ward(t)
	c.putAs(`{"resourceType":"Observation","id":"box","status":"final","category":[{"coding":[{"code":"laboratory"}]}],"code":{"text":"sodium"},"subject":{"reference":"Patient/p1"},
	 "contained":[{"resourceType":"Condition","id":"c","code":{"text":"asthma"},"subject":{"reference":"Patient/p1"}},
	  {"resourceType":"Observation","id":"v","status":"final","category":[{"coding":[{"code":"vital-signs"}]}],"code":{"text":"tachycardia"},"subject":{"reference":"Patient/p1"}},
	  {"resourceType":"Condition","id":"other","code":{"text":"measles"},"subject":{"reference":"Patient/p2"}},
	  {"resourceType":"Practitioner","id":"d","name":[{"family":"Hale"}]}],
	 "hasMember":[{"reference":"#v"}],"performer":[{"reference":"#d"}],"extension":[{"url":"http://x","valueReference":{"reference":"#c"}},{"url":"http://x","valueReference":{"reference":"#other"}}]}`, ofClinic)
	for _, tt := range []struct{ scopes, has, hasNot string }{
		{"user/*.rs", "asthma tachycardia Hale", "measles"},
		{"user/Observation.rs", "tachycardia Hale sodium", "asthma measles #c #other"},
		{"user/Observation.rs?category=laboratory", "Hale sodium", "tachycardia asthma measles #v"},
		{"user/Observation.rs patient/Condition.rs", "tachycardia Hale", "asthma measles"},
		{"patient/Observation.rs patient/Condition.rs", "tachycardia asthma Hale", "measles #other"},
		{"patient/Observation.rs?category=laboratory user/Observation.rs?category=vital-signs", "sodium", "tachycardia asthma"},
	} {
		c.signIn("nurse", "Patient/p1", tt.scopes)
		for _, path := range []string{"Observation/box", "Observation?patient=p1"} {
			a := c.get("nurse", path)
			if a.status != http.StatusOK {
				t.Fatalf("%s with %s: %s", path, tt.scopes, a)
			}
			for _, word := range strings.Fields(tt.has) {
				if !strings.Contains(a.body, word) {
					t.Errorf("%s with %s lacks %s: %s", path, tt.scopes, word, a)
				}
			}
			for _, word := range strings.Fields(tt.hasNot) {
				if strings.Contains(a.body, word) {
					t.Errorf("%s with %s has %s: %s", path, tt.scopes, word, a)
				}
			}
		}
	}
}

// What a resource holds deeper inside needs the same: a Condition does not go out
// in the Practitioner that a resource contains, nor in the entry of a Bundle.
func TestResourcesWithinResourcesAreCoveredToo(t *testing.T) {
	c := ward(t)
	inner := func(patient string) string {
		return `{"resourceType":"Condition","id":"c","code":{"text":"asthma"},"subject":{"reference":"` + patient + `"}}`
	}
	box := func(id, contained string) {
		c.putAs(`{"resourceType":"Observation","id":"`+id+`","status":"final","code":{"text":"sodium"},"subject":{"reference":"Patient/p1"},"contained":[`+contained+`]}`, ofClinic)
	}
	box("staff", `{"resourceType":"Practitioner","id":"d","name":[{"family":"Hale"}],"contained":[`+inner("Patient/p1")+`]}`)
	box("other", `{"resourceType":"Practitioner","id":"d","name":[{"family":"Hale"}],"contained":[`+inner("Patient/p2")+`]}`)
	box("bundle", `{"resourceType":"Bundle","id":"b","type":"collection","entry":[{"resource":`+inner("Patient/p1")+`}]}`)
	box("parameters", `{"resourceType":"Parameters","id":"b","parameter":[{"name":"x","resource":`+inner("Patient/p1")+`}]}`)
	box("file", `{"resourceType":"Binary","id":"b","contentType":"text/plain","data":"asthma"}`)
	c.putAs(`{"resourceType":"Bundle","id":"whole","type":"collection","entry":[{"resource":{"resourceType":"Condition","code":{"text":"asthma"}}}]}`, ofClinic)
	for _, tt := range []struct {
		scopes, path string
		has          bool
	}{
		{"user/Observation.rs", "Observation/staff", false},
		{"patient/Observation.rs", "Observation/staff", false},
		{"patient/Observation.rs patient/Condition.rs", "Observation/staff", true},
		{"patient/Observation.rs patient/Condition.rs", "Observation/other", false},
		{"user/Observation.rs", "Observation/bundle", false},
		{"user/Observation.rs user/Bundle.rs", "Observation/bundle", false},
		{"user/Observation.rs", "Observation/parameters", false},
		{"user/Observation.rs", "Observation/file", false},
		{"user/*.rs", "Observation/file", true},
		{"user/Bundle.rs", "Bundle/whole", false},
		{"user/Bundle.rs user/Condition.rs", "Bundle/whole", true},
	} {
		c.signIn("nurse", "Patient/p1", tt.scopes)
		if a := c.get("nurse", tt.path); strings.Contains(a.body, "asthma") != tt.has {
			t.Errorf("%s with %s: %s", tt.path, tt.scopes, a)
		}
	}
}
