package ig

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/capture"
	"github.com/handoff-health/handoff/gateway/emergency"
	"github.com/handoff-health/handoff/gateway/legalbasis"
)

const structures = terminology.Base + "/StructureDefinition/"

// Every extension and profile that source or mappings name is published, and
// none that nobody writes. A captured Consent claims no profile.
func TestStructuresAreThoseThatAreWritten(t *testing.T) {
	named := matches(t, "", ".go", `(?:\bBase \+ "|handoff-health\.github\.io/fhir)/StructureDefinition/([a-z0-9-]+)`)
	named = append(named, matches(t, "mappings", ".yaml", regexp.QuoteMeta(structures)+`([a-z0-9-]+)`)...)
	named = append(named, "captured-consent")
	got := []string{}
	for id := range ofType(t, "StructureDefinition") {
		got = append(got, id)
	}
	slices.Sort(got)
	if want := slices.Compact(slices.Sorted(slices.Values(named))); !slices.Equal(got, want) {
		t.Errorf("published %v\nnamed %v", got, want)
	}
}

func TestStructuresConstrainR4(t *testing.T) {
	for id, r := range ofType(t, "StructureDefinition") {
		root := r.Root()
		typ := root.Get("type").Text()
		if !root.Get("derivation").Is("constraint") || root.Get("snapshot").Exists() || !root.Get("fhirVersion").Is("4.0.1") ||
			!root.Get("baseDefinition").Is("http://hl7.org/fhir/StructureDefinition/"+typ) {
			t.Errorf("%s is no differential on R4's %s", id, typ)
		}
		ids := map[string]bool{}
		first := true
		for e := range root.Path("differential", "element").Elements() {
			path, eid := e.Get("path").Text(), e.Get("id").Text()
			if first && path != typ || path != typ && !strings.HasPrefix(path, typ+".") || ids[eid] || eid == "" {
				t.Errorf("%s: element %q at %s is out of place or stands twice", id, eid, path)
			}
			first, ids[eid] = false, true
			if top, _, _ := strings.Cut(strings.TrimPrefix(path, typ+"."), "."); path != typ && typ != "Extension" && len(validate.Names(typ, top)) == 0 {
				t.Errorf("%s: %s has no element %s", id, typ, top)
			}
			if typ == "Extension" && eid == "Extension.url" && !e.Get("fixedUri").Is(structures+id) {
				t.Errorf("%s fixes another url", id)
			}
		}
		if typ == "Extension" && (!ids["Extension.url"] || root.Get("context").Len() == 0) {
			t.Errorf("%s says not where it stands, or by which url", id)
		}
	}
}

// built are resources as the code builds them, by profile.
func built(t *testing.T) map[string][][]byte {
	t.Helper()
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	must := func(raw []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	who := emergency.Personnel{Organization: "Organization/clinic", OrganizationName: "Clinic", Client: "c", User: "u1", Name: "Dr. Hale"}
	declared := &emergency.Declaration{By: who, Patient: "Patient/p1", Reason: "not breathing", At: at, Until: at.Add(time.Hour), Encounter: "Encounter/e"}
	ended, err := declared.End()
	if err != nil {
		t.Fatal(err)
	}
	review := &emergency.Review{Custodian: "Organization/sud", Contact: "Sam Ruiz", Patient: "Patient/p1", Record: "Communication/r", Of: who, At: at, Due: at.Add(72 * time.Hour)}
	closed, err := review.Close("Organization/sud", emergency.Closing{Outcome: emergency.Justified, User: "u2", Name: "Sam Ruiz", At: at, Note: "ok"})
	if err != nil {
		t.Fatal(err)
	}
	record := &emergency.Record{Declaration: "Task/d", Custodian: "Organization/sud", CustodianName: "Program", Patient: "Patient/p1", To: who, Reason: "not breathing", Purpose: "BTG", Part2: true}
	record.Add(at, "Condition/1", "CarePlan/2")
	notice := &emergency.Notice{Kind: emergency.GlassBroken, Custodian: "Organization/sud", About: []string{"Task/t"}, At: at, Due: at.Add(time.Hour), Waits: true}
	out := map[string][][]byte{
		"emergency-declaration": {must(declared.Task("d")), must(ended.Task("d"))},
		"emergency-review":      {must(review.Task("r")), must(closed.Task("r"))},
		"emergency-disclosure":  {must(record.Communication("c"))},
		"notice":                {must(notice.Communication("n"))},
		"captured-consent":      {captured(t)},
	}
	for _, c := range cases(t, at) {
		out["legal-basis"] = append(out["legal-basis"], must(c.CustodianTask("c")), must(c.DeclarerTask("d")))
	}
	return out
}

// cases is one legal basis in each of its states.
func cases(t *testing.T, at time.Time) []*legalbasis.Case {
	t.Helper()
	c := &legalbasis.Case{
		ID: "k", Type: "warrant", State: legalbasis.Requested, Custodian: "Organization/clinic", Recipient: "Organization/pd", Patient: "Patient/p1",
		Declared: legalbasis.Step{By: legalbasis.Person{Organization: "Organization/pd", Client: "mdt", User: "u", Name: "Ofc. Diaz"}, At: at}, Covers: []string{"CarePlan/1"},
		Request: "the plan", Until: at.Add(time.Hour), Attributes: map[string]any{"onPremises": true, "section": "2.65", "alertsTo": []any{"crime"}},
		Document: &legalbasis.Document{Title: "warrant", ContentType: "text/plain", Data: "eA==", Size: 1, SHA256: strings.Repeat("0", 64)},
		Limits:   legalbasis.Limits{Roles: []string{"law-enforcement-officer"}, Client: "mdt"},
	}
	step := legalbasis.Step{By: legalbasis.Person{Organization: "Organization/clinic", Client: "records", User: "u2", Name: "Kim Novak"}, At: at, Note: "checked"}
	accepted, err1 := c.Accept(legalbasis.Acceptance{Step: step, Covers: []string{"CarePlan/1"}, Patient: "Patient/x", ValidUntil: at.Add(time.Hour)})
	rejected, err2 := c.Reject(step)
	cancelled, err3 := c.Cancel(step)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	withdrawn, err := accepted.Withdraw(step)
	if err != nil {
		t.Fatal(err)
	}
	return []*legalbasis.Case{c, accepted, rejected, cancelled, withdrawn}
}

func captured(t *testing.T) []byte {
	t.Helper()
	r, err := resource.Parse([]byte(`{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"Patient/p1"}},
		{"name":"identifier","valueIdentifier":{"system":"urn:device","value":"7"}},{"name":"how","valueCode":"verbal"},{"name":"decision","valueCode":"permit"},
		{"name":"askedAt","valueDateTime":"2026-06-01T12:00:00Z"},{"name":"expires","valueDateTime":"2026-06-03"},{"name":"custodian","valueReference":{"reference":"Organization/pd"}},
		{"name":"recipient","valueReference":{"reference":"Organization/clinic"}},{"name":"purpose","valueCode":"TREAT"},{"name":"what","valueCode":"contact-data"},
		{"name":"capacity","valueCode":"capable"},{"name":"witness","valueString":"Ofc. Diaz"},{"name":"informed","valueBoolean":true},{"name":"language","valueCode":"es"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := capture.Read(r, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.Consent()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestWhatIsBuiltConformsToItsProfile(t *testing.T) {
	defs := ofType(t, "StructureDefinition")
	for profile, raws := range built(t) {
		for i, raw := range raws {
			r, err := resource.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, is := range validate.Resource(r) {
				t.Errorf("%s %d: %s", profile, i, is)
			}
			for _, wrong := range breaches(defs[profile], r.Root()) {
				t.Errorf("%s %d: %s\n%s", profile, i, wrong, raw)
			}
			if claims := r.Root().Path("meta", "profile").Exists(); claims == (profile == "captured-consent") {
				t.Errorf("%s %d: claims a profile: %v", profile, i, claims)
			}
		}
	}
}

// A breach must be found, or the comparison shows nothing.
func TestABreachIsFound(t *testing.T) {
	def := ofType(t, "StructureDefinition")["emergency-review"]
	good := built(t)["emergency-review"][0]
	for _, edit := range [][2]string{{`"intent":"order"`, `"intent":"plan"`}, {`"focus"`, `"other"`}, {"review-emergency-disclosure", "x"}, {`"end"`, `"start"`}} {
		bad := strings.Replace(string(good), edit[0], edit[1], 1)
		r, err := resource.Parse([]byte(bad))
		if err != nil || bad == string(good) {
			t.Fatalf("%v: %v", edit, err)
		}
		if len(breaches(def, r.Root())) == 0 {
			t.Errorf("%v passes", edit)
		}
	}
}

// breaches checks cardinalities, fixed values, patterns of a coding, and that a
// code of a required binding is in its code system's value set.
func breaches(def *resource.Resource, root resource.Node) []string {
	var out []string
	typ := def.Root().Get("type").Text()
	for e := range def.Root().Path("differential", "element").Elements() {
		path, named := strings.CutPrefix(e.Get("path").Text(), typ+".")
		if !named || e.Get("sliceName").Exists() {
			continue
		}
		for _, parent := range parents(root, path) {
			name := path[strings.LastIndexByte(path, '.')+1:]
			values := slices.Collect(parent.All(name))
			if least, err := strconv.Atoi(string(e.Get("min").Raw())); err == nil && len(values) < least {
				out = append(out, path+": too few")
			}
			if most, err := strconv.Atoi(e.Get("max").Text()); err == nil && len(values) > most {
				out = append(out, path+": too many")
			}
			for _, v := range values {
				out = append(out, unfit(e, v, path)...)
			}
		}
	}
	return out
}

func unfit(e, v resource.Node, path string) []string {
	for _, fixed := range []string{"fixedUri", "fixedCode"} {
		if f := e.Get(fixed); f.Exists() && !v.Is(f.Text()) {
			return []string{path + ": is not " + f.Text()}
		}
	}
	for want := range e.Path("patternCodeableConcept", "coding").Elements() {
		if !slices.ContainsFunc(slices.Collect(v.All("coding")), func(c resource.Node) bool {
			return c.Get("code").Is(want.Get("code").Text()) && c.Get("system").Is(want.Get("system").Text())
		}) {
			return []string{fmt.Sprintf("%s: has not the code %s", path, want.Get("code").Text())}
		}
	}
	return nil
}

// parents are the nodes that hold the last element of a path.
func parents(root resource.Node, path string) []resource.Node {
	at := []resource.Node{root}
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		var next []resource.Node
		for _, n := range at {
			next = slices.AppendSeq(next, n.All(name))
		}
		at = next
	}
	return at
}

// Every code of the project's own that is built is in its system, and every
// extension is one that is published, where it may stand.
func TestWhatIsBuiltUsesPublishedCodesAndExtensions(t *testing.T) {
	codes := map[string]bool{}
	for id, r := range ofType(t, "CodeSystem") {
		for c := range r.Root().All("concept") {
			codes[systems+id+"|"+c.Get("code").Text()] = true
		}
	}
	defs := ofType(t, "StructureDefinition")
	seen := 0
	for profile, raws := range built(t) {
		for _, raw := range raws {
			var body any
			if err := json.Unmarshal(raw, &body); err != nil {
				t.Fatal(err)
			}
			walk(body, func(o map[string]any) {
				system, _ := o["system"].(string)
				code, _ := o["code"].(string)
				if strings.HasPrefix(system, systems) {
					if seen++; !codes[system+"|"+code] {
						t.Errorf("%s: %s|%s is not published", profile, system, code)
					}
				}
				if url, _ := o["url"].(string); strings.HasPrefix(url, structures) && defs[strings.TrimPrefix(url, structures)] == nil {
					t.Errorf("%s: the extension %s is not published", profile, url)
				}
			})
		}
	}
	if seen < 50 {
		t.Errorf("only %d codes were looked at", seen)
	}
}

func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, e := range v {
			walk(e, visit)
		}
	case []any:
		for _, e := range v {
			walk(e, visit)
		}
	}
}
