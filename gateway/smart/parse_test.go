package smart

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseScopeReadsBothVersions(t *testing.T) {
	cat := []Criterion{{"category", "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"}}
	tests := []struct {
		in   string
		want Scope
		out  string // as written again, if other than in
	}{
		{"system/Patient.rs", Scope{"system", "Patient", Read | Search, nil, false}, ""},
		{"system/*.cruds", Scope{"system", "*", everything, nil, false}, ""},
		{"user/Encounter.r", Scope{"user", "Encounter", Read, nil, false}, ""},
		{"patient/Observation.s", Scope{"patient", "Observation", Search, nil, false}, ""},
		{"system/Consent.cu", Scope{"system", "Consent", Create | Update, nil, false}, ""},
		{"system/Patient.read", Scope{"system", "Patient", Read | Search, nil, true}, ""},
		{"system/Patient.write", Scope{"system", "Patient", Create | Update | Delete, nil, true}, ""},
		{"system/*.*", Scope{"system", "*", everything, nil, true}, ""},
		{"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
			Scope{"patient", "Observation", Read | Search, cat, false}, ""},
		{"patient/Observation.rs?category=http%3A%2F%2Fterminology.hl7.org%2FCodeSystem%2Fobservation-category%7Claboratory",
			Scope{"patient", "Observation", Read | Search, cat, false},
			"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"},
		{"system/Observation.r?status=final&category=laboratory",
			Scope{"system", "Observation", Read, []Criterion{{"category", "laboratory"}, {"status", "final"}}, false},
			"system/Observation.r?category=laboratory&status=final"},
		{"system/*.rs?category=a%26b", Scope{"system", "*", Read | Search, []Criterion{{"category", "a&b"}}, false}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseScope(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("scope (-want +got):\n%s", d)
			}
			if tt.out == "" {
				tt.out = tt.in
			}
			if got.String() != tt.out {
				t.Errorf("String() = %q, want %q", got, tt.out)
			}
		})
	}
}

// refused are scopes that an authorization server must not grant.
var refused = []string{
	"", " ", "system", "system/", "system/Patient", "system/Patient.", "system/Patient.?category=x",
	"system/Patient.sr", "system/Patient.rr", "system/Patient.rsd", "system/Patient.dr", "system/Patient.x",
	"system/Patient.RS", "system/Patient.readwrite", "system/Patient.read.write", "system/Patient.rs.",
	"system/Patient.Read", "system/Patient.r*", "system/Patient.**",
	"system/NoSuchThing.rs", "system/patient.rs", "system/PATIENT.rs", "system/Resource.rs", "system/DomainResource.r",
	"system/Patient/1.rs", "system//Patient.rs", "system/.rs", "system/Pat*.rs", "system/**.rs",
	"System/Patient.rs", "admin/Patient.rs", "/Patient.rs", "systems/Patient.rs",
	"system/Patient.rs system/Encounter.rs", "system/Patient.rs\t", "system/Patient.rs\n", "system/Patient.rs\x00",
	"system/Pati\u0435nt.rs", "system/Patient.rs\u200b", "system\\Patient.rs", `system/Patient.rs"`, "system%2FPatient.rs",
	"system/Observation.rs?", "system/Observation.rs?category", "system/Observation.rs?category=", "system/Observation.rs?=x",
	"system/Observation.rs?category=a&", "system/Observation.rs?category=a,", "system/Observation.rs?category=%7C",
	"system/Observation.rs?category=%zz", "system/Observation.rs?category=%ff", "system/Observation.rs?category=%00",
	"system/Observation.rs?category:not=x", "system/Observation.rs?category:in=x", "system/Observation.rs?subject.name=x",
	"system/Observation.rs?_filter=x", "system/Observation.rs?_has:Group:member:_id=1", "system/Observation.rs?_include=x",
	"system/Observation.rs?nosuchparam=x", "system/Patient.rs?category=x", "system/Patient.read?gender=male",
	"system/Observation.rs??category=x", "system/Observation.rs#x",
	"launch", "launch/patient", "openid", "fhirUser", "profile", "offline_access", "online_access", "__ext", "https://example.org/scope",
}

func TestParseScopeRefuses(t *testing.T) {
	for _, s := range append(refused, "system/Patient."+strings.Repeat("r", 2000),
		"system/Observation.r?"+strings.Repeat("category=x&", 8)+"category=x") {
		if got, err := ParseScope(s); err == nil {
			t.Errorf("ParseScope(%.80q) = %v, want an error", s, got)
		}
	}
}

func TestNoBadScopeIsGranted(t *testing.T) {
	for _, s := range refused {
		for _, got := range ParseGranted(s) {
			// Splitting at space leaves good scopes of their own.
			if !strings.Contains(s, got.String()) || len(strings.Fields(s)) == 1 && got.String() != strings.TrimSpace(s) {
				t.Errorf("ParseGranted(%q) has %v", s, got)
			}
		}
	}
}

func TestGrantedLeavesOutWhatItDoesNotKnow(t *testing.T) {
	in := "openid fhirUser launch/patient system/Patient.rs system/Patient.sr system/NoSuchThing.rs user/*.read __x http://smarthealthit.org/fhir/scopes/patient/Observation.r system/Observation.rs?foo=bar"
	want := Scopes{
		{Context: "system", ResourceType: "Patient", Permissions: Read | Search},
		{Context: "user", ResourceType: "*", Permissions: Read | Search, V1: true},
		{Context: "patient", ResourceType: "Observation", Permissions: Read},
	}
	if d := cmp.Diff(want, ParseGranted(in)); d != "" {
		t.Errorf("granted (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"openid", "fhirUser", "launch/patient", "__x"}, OtherScopes(in)); d != "" {
		t.Errorf("other (-want +got):\n%s", d)
	}
	if n := len(ParseGranted(strings.Repeat("system/Patient.r ", 2*MaxScopes))); n != MaxScopes {
		t.Errorf("%d scopes read, want at most %d", n, MaxScopes)
	}
}

func TestRequestedIsStrict(t *testing.T) {
	got, err := ParseRequested("system/Patient.rs  system/Encounter.r")
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, s := range []string{"", "  ", "system/Patient.rs\tsystem/Encounter.r", "system/Patient.rs system/Patient.sr", strings.Repeat("system/Patient.r ", MaxScopes+1)} {
		if got, err := ParseRequested(s); err == nil {
			t.Errorf("ParseRequested(%.60q) = %v, want an error", s, got)
		}
	}
	if _, err := ParseRequested("openid"); !errors.Is(err, ErrNotResourceScope) {
		t.Errorf("openid: %v, want ErrNotResourceScope", err)
	}
	if _, err := ParseRequested("system/Observation.rs?foo=bar"); !errors.Is(err, ErrUnsupportedCriterion) {
		t.Errorf("foo=bar: %v, want ErrUnsupportedCriterion", err)
	}
}

func TestTypesAreThoseOfR4(t *testing.T) {
	if n := len(r4Types); n != 146 {
		t.Errorf("%d types, want 146", n)
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range refused {
		f.Add(s)
	}
	f.Add("system/Observation.rs?category=http://x|y,z&status=final")
	f.Add(`system/Observation.rs?category=a%5C,b`)
	f.Fuzz(func(t *testing.T, in string) {
		granted := ParseGranted(in)
		if asked, err := ParseRequested(in); err == nil && asked.String() != granted.String() {
			t.Fatalf("%q is asked as %q and granted as %q", in, asked, granted)
		}
		if again := ParseGranted(granted.String()); again.String() != granted.String() {
			t.Fatalf("%q is granted as %q, and read again as %q", in, granted, again)
		}
		s, err := ParseScope(in)
		if err != nil {
			return
		}
		if s.Permissions == 0 || s.Permissions > everything {
			t.Fatalf("%q gives permissions %v", in, s.Permissions)
		}
		again, err := ParseScope(s.String())
		if err != nil {
			t.Fatalf("%q is written %q, which is refused: %v", in, s, err)
		}
		if d := cmp.Diff(s, again); d != "" {
			t.Fatalf("%q is written %q and read otherwise:\n%s", in, s, d)
		}
	})
}
