package ig

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/crisis"
	"github.com/handoff-health/handoff/gateway/emergency"
	"github.com/handoff-health/handoff/gateway/legalbasis"
	"github.com/handoff-health/handoff/gateway/rest"
)

const systems = terminology.Base + "/CodeSystem/"

// matches are the first groups of a pattern in the files of a folder that have
// the ending, tests and their data left out.
func matches(t *testing.T, folder, ending, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var out []string
	err := filepath.WalkDir("../../"+folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "testdata" {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(p, ending) || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		raw, err := os.ReadFile(p)
		for _, m := range re.FindAllSubmatch(raw, -1) {
			out = append(out, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mapped are the codes of a system that mappings write: in tables and in rules.
func mapped(t *testing.T, system string) []string {
	uri := regexp.QuoteMeta(systems + system)
	return slices.Concat(
		matches(t, "mappings/codes", ".csv", `(?m)^.*,([A-Za-z0-9-]+),,(?:[^,"\n]*|"[^"\n]*"),`+uri+`,,$`),
		matches(t, "mappings", ".yaml", `system: `+uri+`, code: ([A-Za-z0-9-]+)`),
	)
}

// answerable are the codes of a system in the Questionnaires.
func answerable(t *testing.T, system string) []string {
	var out []string
	for _, r := range ofType(t, "Questionnaire") {
		r.Root().Descend(func(n resource.Node) bool {
			if n.Kind() == resource.Object && n.Get("system").Is(systems+system) {
				out = append(out, n.Get("code").Text())
			}
			return true
		})
	}
	return out
}

// interactions are those that FHIR has no code for.
func interactions() []string {
	out := []string{rest.Preflight}
	for _, r := range rest.Routes() {
		if !slices.Contains([]string{"read", "vread", "search-type", "create", "update", "capabilities"}, r.Interaction) {
			out = append(out, r.Interaction)
		}
	}
	return out
}

// expected are the codes of each system, from where the code has them.
func expected(t *testing.T) map[string][]string {
	law := wholeLaw(t)
	var attributes, duties, fields []string
	for _, typ := range law.BasisTypes() {
		form, _ := law.BasisForm(typ)
		for _, a := range form.Attributes {
			attributes = append(attributes, a.Name)
		}
	}
	for _, o := range law.Law().Obligations() {
		if strings.ToUpper(string(o)) != string(o) { // the rest is v3-ActCode
			duties = append(duties, string(o))
		}
	}
	for _, step := range matches(t, "gateway/legalbasis", "write.go", `who\(&?\w+, "(\w+)"`) {
		for _, end := range []string{"organization", "client", "user", "name"} {
			fields = append(fields, step+"-"+end)
		}
	}
	const field = `fieldSystem, "([a-z0-9-]+)"`
	out := map[string][]string{
		"purpose-of-use": terminology.PurposesOfUse(), "actor-role": terminology.ActorRoles(), "cji-label": label.CJICodes(),
		"record-origin": matches(t, "fhir/label", ".go", `RecordOrigin, "(\w+)"`), "crisis-guidance": crisis.GuidanceCodes(),
		"legal-basis": law.BasisTypes(), "legal-basis-attribute": attributes, "obligation": duties,
		"legal-basis-state": {
			string(legalbasis.Requested), string(legalbasis.Accepted), string(legalbasis.Rejected), string(legalbasis.Withdrawn), string(legalbasis.Cancelled),
		},
		"legal-basis-field":  append(fields, matches(t, "gateway/legalbasis", ".go", field)...),
		"emergency-field":    matches(t, "gateway/emergency", ".go", field),
		"emergency":          append(matches(t, "gateway/emergency", ".go", `concept\(codeSystem, "([^"]+)"`), matches(t, "gateway/emergency", "record.go", `category :?= "([^"]+)"`)...),
		"review-outcome":     emergency.Outcomes(),
		"notice":             {emergency.GlassBroken, emergency.BasisDeclared, emergency.AcceptedInAdvance},
		"request":            matches(t, "gateway/capture", ".go", `CodeSystem/request", "([a-z-]+)"`),
		"revocation-channel": gateway.RevocationChannels(),
		"finding":            append(matches(t, "gateway/consentform", ".go", `l\.add\(outcome\.\w+, "([a-z-]*[a-z])",`), "what-if"),
		"audit-subtype":      interactions(),
	}
	for _, s := range []string{
		"police-observation", "police-disposition", "observed-behavior", "observed-substance", "suicide-risk", "call-type", "apco-2-103-2", "force-type", "weapon-type",
		"referral-target", "police-contact-type", "housing-status", "observed-injury", "medication-report", "organization-kind", "asserted-by",
		"ndex-cad-call", "nibrs-location", "consent-reading",
	} {
		out[s] = mapped(t, s)
	}
	for _, s := range []string{"capture", "on-scene-contact"} {
		out[s] = answerable(t, s)
	}
	return out
}

func TestCodeSystemsHoldTheCodesThatAreUsed(t *testing.T) {
	want := expected(t)
	for id, r := range ofType(t, "CodeSystem") {
		if want[id] == nil {
			t.Errorf("nothing in the code is compared with %s", r.Reference())
			continue
		}
		var got []string
		for c := range r.Root().All("concept") {
			if c.Get("display").Text() == "" {
				t.Errorf("%s: %s has no display", id, c.Get("code").Text())
			}
			got = append(got, c.Get("code").Text())
		}
		slices.Sort(got)
		if n := len(got); n != len(slices.Compact(slices.Clone(got))) || string(r.Root().Get("count").Raw()) != strconv.Itoa(n) {
			t.Errorf("%s: %d codes, count %s, or one twice", id, n, r.Root().Get("count").Raw())
		}
		w := slices.Compact(slices.Sorted(slices.Values(want[id])))
		if !slices.Equal(got, w) {
			t.Errorf("%s has %v\nand the code %v", id, got, w)
		}
		delete(want, id)
	}
	for id := range want {
		t.Errorf("there is no CodeSystem %s", id)
	}
}

// Every system of the project's own that terminology knows is published, and
// every one that source or mappings name.
func TestEverySystemThatIsNamedIsPublished(t *testing.T) {
	published := ofType(t, "CodeSystem")
	named := matches(t, "", ".go", `(?:\bBase \+ "|handoff-health\.github\.io/fhir)/CodeSystem/([a-z0-9-]+)`)
	named = append(named, matches(t, "mappings", ".yaml", regexp.QuoteMeta(systems)+`([a-z0-9-]+)`)...)
	named = append(named, matches(t, "mappings", ".csv", regexp.QuoteMeta(systems)+`([a-z0-9-]+)`)...)
	for _, id := range slices.Compact(slices.Sorted(slices.Values(named))) {
		if published[id] == nil {
			t.Errorf("%s is named and not published", id)
		}
	}
	if len(named) < 50 {
		t.Fatalf("only %d names were found", len(named))
	}
}

// A value set stands for a code system that is published, and is bound somewhere.
func TestValueSetsAreBound(t *testing.T) {
	bound := map[string]bool{}
	for _, r := range all(t) {
		r.Root().Descend(func(n resource.Node) bool {
			if n.Name() == "binding" {
				bound[n.Get("valueSet").Text()] = true
			}
			return true
		})
	}
	for id, r := range ofType(t, "ValueSet") {
		if !bound[r.Root().Get("url").Text()] {
			t.Errorf("%s is bound nowhere", id)
		}
	}
}
