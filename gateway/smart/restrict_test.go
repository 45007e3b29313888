package smart

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/resource"
)

func TestRestrictGrantsTheIntersection(t *testing.T) {
	tests := []struct{ note, requested, registered, want string }{
		{"the same", "system/Patient.rs", "system/Patient.rs", "system/Patient.rs"},
		{"in the order of the request", "system/Encounter.rs system/Patient.rs", "system/Patient.rs system/Encounter.rs", "system/Encounter.rs system/Patient.rs"},
		{"a letter less", "system/Patient.cruds", "system/Patient.rs", "system/Patient.rs"},
		{"nothing in common", "system/Patient.cud", "system/Patient.rs", ""},
		{"another type", "system/Consent.rs", "system/Patient.rs", ""},
		{"another context", "user/Patient.rs", "system/Patient.rs", ""},
		{"wildcard asked, narrow registration", "system/*.cruds", "system/Patient.rs system/Encounter.r", "system/Patient.rs system/Encounter.r"},
		{"narrow asked, wildcard registration", "system/Patient.rs", "system/*.cruds", "system/Patient.rs"},
		{"both wildcards", "system/*.cruds", "system/*.rs", "system/*.rs"},
		{"registered criterion is added", "system/Observation.rs", "system/Observation.rs?category=laboratory", "system/Observation.rs?category=laboratory"},
		{"asked criterion stays", "system/Observation.rs?category=laboratory", "system/*.rs", "system/Observation.rs?category=laboratory"},
		{"implied criterion is written once", "system/Observation.rs?category=http://x|laboratory", "system/Observation.rs?category=laboratory,vital-signs", "system/Observation.rs?category=http://x|laboratory"},
		{"two criteria both hold", "system/Observation.rs?status=final", "system/Observation.rs?category=laboratory", "system/Observation.rs?category=laboratory&status=final"},
		{"wildcard criterion that means nothing on the type", "system/Patient.rs", "system/*.rs?category=laboratory", ""},
		{"letters are joined", "system/Patient.r system/Patient.s", "system/*.cruds", "system/Patient.rs"},
		{"granular letters are joined", "system/Observation.r?category=laboratory system/Observation.s?category=laboratory", "system/*.rs", "system/Observation.rs?category=laboratory"},
		{"what another scope has is left out", "system/*.rs system/Patient.r", "system/*.cruds", "system/*.rs"},
		{"granular beside whole is left out", "system/Observation.rs?category=laboratory system/Observation.rs", "system/*.rs", "system/Observation.rs"},
		{"v1 asked and granted whole stays v1", "system/Patient.read", "system/*.cruds", "system/Patient.read"},
		{"v1 read and write stay apart", "system/Patient.read system/Patient.write", "system/*.cruds", "system/Patient.read system/Patient.write"},
		{"v1 narrowed is written in v2", "system/*.read", "system/Patient.rs", "system/Patient.rs"},
		{"v1 all narrowed", "system/*.*", "system/Patient.read", "system/Patient.rs"},
		{"v1 registration, v2 asked", "system/Patient.r", "system/*.read", "system/Patient.r"},
		{"v1 read gives no delete", "system/Patient.read", "system/Patient.d", ""},
		{"v1 and v2 of the same", "system/Patient.read system/Patient.rs", "system/*.cruds", "system/Patient.read"},
		{"nothing registered", "system/*.cruds", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.note, func(t *testing.T) {
			if got := Restrict(ParseGranted(tt.requested), ParseGranted(tt.registered)).String(); got != tt.want {
				t.Errorf("granted %q, want %q", got, tt.want)
			}
		})
	}
}

// vocabulary of the property tests: small, so that scopes often meet.
var (
	someTypes    = []string{"*", "Patient", "Observation", "Condition"}
	someContexts = []string{"system", "system", "user", "patient"}
	someCriteria = []string{"category=a", "category=b", "category=http://s|a", "category=http://s|", "category=a,b", "code=x", "category=|a", "gender=female", "status=final",
		"category=http://s|a,b", "identifier=http://i|1", "identifier=1", "active=true", "deceased=false", "_tag=t", "_id=x1"}
	someLetters = []string{"read", "write", "*"}
)

func randomScopes(r *rand.Rand) Scopes {
	var ss Scopes
	for range r.IntN(5) {
		s := someContexts[r.IntN(len(someContexts))] + "/" + someTypes[r.IntN(len(someTypes))] + "."
		if r.IntN(4) == 0 {
			s += someLetters[r.IntN(3)]
		} else {
			s += Permission(1 + r.IntN(int(everything))).String()
			for i := range r.IntN(3) {
				s += "?&"[min(i, 1):][:1] + someCriteria[r.IntN(len(someCriteria))]
			}
		}
		ss = append(ss, ParseGranted(s)...)
	}
	return ss
}

func randomResources(t *testing.T) []*resource.Resource {
	var out []*resource.Resource
	for _, typ := range []string{"Patient", "Observation", "Condition"} {
		for _, category := range []string{``, `{"system":"http://s","code":"a"}`, `{"code":"a"}`, `{"system":"http://s","code":"b"}`, `{"system":"http://s","code":"a"},{"code":"b"}`} {
			for _, code := range []string{"x", "y"} {
				out = append(out, parse(t, fmt.Sprintf(`{"resourceType":%q,"id":"x1","meta":{"tag":[{"code":"t"}]},"identifier":[{"system":"http://i","value":"1"}],"active":true,"gender":"female","status":"final","category":[{"coding":[%s]}],"code":{"coding":[{"code":%q}]}}`, typ, category, code)))
			}
		}
	}
	return out
}

func TestRestrictCoversExactlyWhatBothCover(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	resources := randomResources(t)
	for range 4000 {
		q, g := randomScopes(r), randomScopes(r)
		got := Restrict(q, g)
		for _, context := range []string{ContextSystem, ContextUser, ContextPatient} {
			q, g, got := q.In(context), g.In(context), got.In(context)
			for _, res := range resources {
				for p := Create; p <= Search; p <<= 1 {
					want := q.CoversAny(res, p) && g.CoversAny(res, p)
					if got.CoversAny(res, p) != want {
						t.Fatalf("asked %q, registered %q, granted %q: %s %v is %v, want %v", q, g, got, res.Raw(), p, !want, want)
					}
				}
			}
		}
		for _, s := range got {
			if again := ParseGranted(s.String()); len(again) != 1 || again[0].String() != s.String() {
				t.Fatalf("granted %q cannot be read again", s)
			}
		}
	}
}

func TestNormalizeChangesNothingAboutWhatIsCovered(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	resources := randomResources(t)
	for range 3000 {
		ss := append(randomScopes(r), randomScopes(r)...)
		got := Normalize(ss)
		if len(got) > len(ss) || Normalize(got).String() != got.String() {
			t.Fatalf("%q became %q", ss, got)
		}
		for _, res := range resources {
			for p := Create; p <= Search; p <<= 1 {
				if ss.CoversAny(res, p) != got.CoversAny(res, p) {
					t.Fatalf("%q became %q: %s %v changed", ss, got, res.Raw(), p)
				}
			}
		}
	}
}

func TestWhatIsWrittenIsReadTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		for _, s := range append(randomScopes(r), Normalize(randomScopes(r))...) {
			again, err := ParseScope(s.String())
			if err != nil {
				t.Fatalf("%q is refused: %v", s, err)
			}
			if d := cmp.Diff(s, again); d != "" {
				t.Fatalf("%q is read otherwise:\n%s", s, d)
			}
		}
	}
}

// FuzzRestrict: whatever is asked and registered, nothing is granted that both do
// not cover, and what is granted is written so that it is read the same.
func FuzzRestrict(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		f.Add(randomScopes(r).String(), randomScopes(r).String())
	}
	f.Add("system/*.rs?category=a,b", `system/Observation.cruds?category=http://s|,b&_tag=t`)
	var resources []*resource.Resource
	f.Fuzz(func(t *testing.T, requested, registered string) {
		if resources == nil {
			resources = randomResources(t)
		}
		q, err := ParseRequested(requested)
		if err != nil || len(q) > 8 {
			return
		}
		g := ParseGranted(registered)
		got := Restrict(q, g)
		for _, context := range []string{ContextSystem, ContextUser, ContextPatient} {
			q, g, got := q.In(context), g.In(context), got.In(context)
			for _, res := range resources {
				for p := Create; p <= Search; p <<= 1 {
					if got.CoversAny(res, p) && (!q.CoversAny(res, p) || !g.CoversAny(res, p)) {
						t.Fatalf("asked %q, registered %q, granted %q: %s %v", q, g, got, res.Raw(), p)
					}
				}
			}
		}
		short := !slices.ContainsFunc(got, func(s Scope) bool { return len(s.String()) > MaxScopeBytes })
		if again := ParseGranted(got.String()); short && len(got) <= MaxScopes && again.String() != got.String() {
			t.Fatalf("granted %q is read as %q", got, again)
		}
	})
}

func TestAHostileRequestIsCheap(t *testing.T) {
	var q, g []string
	for i := range MaxScopes {
		q = append(q, fmt.Sprintf("system/*.rs?_tag=t%d", i))
	}
	for typ := range r4Types {
		g = append(g, "system/"+typ+".cruds")
	}
	// Were it not cheap, the test's own time limit would end it.
	got := Restrict(ParseGranted(strings.Join(q, " ")), ParseGranted(strings.Join(g, " ")))
	if len(got) != len(q)*len(g) {
		t.Errorf("%d scopes, want %d", len(got), len(q)*len(g))
	}
}
