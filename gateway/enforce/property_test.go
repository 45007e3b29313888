package enforce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/policy"
)

// redactAtRandom withholds a few nodes of raw, some of them as labelled
// elements, hides some references, and checks what every redaction must keep.
// It says whether anything came out.
func redactAtRandom(t testing.TB, raw []byte, rnd *rand.Rand) (out bool) {
	r, err := resource.Parse(raw)
	if err != nil {
		return false
	}
	l := new(label.Labels)
	labeller.Label(r, resource.Origin{}, l)
	s := &policy.Subject{Resource: r, Labels: l, Patient: "Patient/p1"}
	var nodes []resource.Node
	r.Root().Descend(func(n resource.Node) bool { nodes = append(nodes, n); return true })
	d := policy.Decision{Effect: policy.Redact}
	for range 1 + rnd.IntN(3) {
		n := nodes[rnd.IntN(len(nodes))]
		d.Remove = append(d.Remove, n)
		if rnd.IntN(2) == 0 {
			l.Elements = append(l.Elements, label.Element{Node: n, Labels: label.Labels{Level: label.V, Stated: true}})
		}
	}
	hidden := rnd.Uint32()
	v := VisibleFunc(func(ref string) bool { return hidden>>(uint(len(ref))%32)&1 == 0 })
	got, err := Apply(s, d, v)
	if err != nil {
		if errors.Is(err, ErrStructure) || errors.Is(err, errMeta) {
			return false
		}
		t.Fatalf("%v\nremoving %s\nfrom %s", err, texts(d.Remove), raw)
	}
	if got.Body == nil {
		return false
	}
	again, err := resource.Parse(got.Body)
	switch {
	case err != nil || !json.Valid(got.Body):
		t.Fatalf("%v in %s", err, got.Body)
	case again.Type() != r.Type() || again.ID() != r.ID():
		t.Fatalf("%s became %s", r.Reference(), again.Reference())
	case !got.Redacted || !bytes.Contains(got.Body, []byte("SUBSETTED")):
		t.Fatalf("not marked: %s", got.Body)
	}
	checkGone(t, r, d.Remove, again)
	checkValid(t, r, again)
	checkShape(t, again.Root(), again.Type(), r.Root(), v)
	return true
}

// checkGone looks for every withheld string that stood nowhere else in what came
// in: it must stand nowhere in what goes out, in whatever case and however
// escaped.
func checkGone(t testing.TB, was *resource.Resource, removed []resource.Node, is *resource.Resource) {
	before, after := folded(was), folded(is)
	for _, n := range removed {
		n.Descend(func(m resource.Node) bool {
			text := strings.ToLower(m.Text())
			if len(text) > 4 && strings.Count(before, text) == 1 && strings.Contains(after, text) {
				t.Fatalf("%s was withheld with %s and is in\n%s", m.Raw(), n.Raw(), is.Raw())
			}
			return true
		})
	}
}

// folded is every name and string of a resource as it reads, in lower case; what
// the gateway adds itself is left out.
func folded(r *resource.Resource) string {
	var b strings.Builder
	r.Root().Descend(func(n resource.Node) bool {
		if n.Called("security") || n.Called("tag") {
			return false
		}
		b.WriteString("\x00" + n.Name() + "\x00" + n.Text())
		return true
	})
	return strings.ToLower(b.String())
}

// checkValid checks that a resource that was R4 still is.
func checkValid(t testing.TB, was, is *resource.Resource) {
	if validate.Failed(validate.Resource(was)) {
		return
	}
	for _, i := range validate.Resource(is) {
		if i.Severity == outcome.Failure || i.Severity == outcome.Fatal {
			t.Fatalf("%s is no longer valid: %s\n%s\nwas\n%s", is.Reference(), i, is.Raw(), was.Raw())
		}
	}
}

// checkShape checks that nothing is empty, that no reference dangles, and that
// lists of primitives and their twins have one length.
func checkShape(t testing.TB, n resource.Node, typ string, was resource.Node, v Visibility) {
	n.Descend(func(m resource.Node) bool {
		if ref := m.Get("reference"); ref.Kind() == resource.String && !isVisible(ref.Text(), v) && ref.Text() != "Patient/p1" && ref.Text() != typ+"/"+n.Get("id").Text() {
			t.Fatalf("an invisible reference is left: %s", m.Raw())
		}
		for x := range m.Members() {
			twin := m.Get("_" + x.Name())
			if x.Kind() == resource.Array && twin.Kind() == resource.Array && x.Len() != twin.Len() && sameLength(was, x.Name()) {
				t.Fatalf("%s and its extensions are out of step: %s", x.Name(), m.Raw())
			}
		}
		return true
	})
}

// sameLength says whether all lists of this name had a twin of their length.
func sameLength(was resource.Node, name string) bool {
	same := true
	was.Descend(func(m resource.Node) bool {
		x, twin := m.Get(name), m.Get("_"+name)
		if x.Kind() == resource.Array && twin.Kind() == resource.Array && x.Len() != twin.Len() {
			same = false
		}
		return true
	})
	return same
}

func texts(nodes []resource.Node) string {
	var b strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&b, "%s ", n.Raw())
	}
	return b.String()
}

// seeds are resources of the project's own with everything that redaction has
// to look out for.
func seeds() []string {
	return []string{
		`{"resourceType":"Encounter","id":"e1","meta":{"security":[{"code":"N"}],"tag":[{"code":"t"}]},"text":{"status":"generated","div":"<div xmlns='http://www.w3.org/1999/xhtml'>Seen for Opioid dependence, uncomplicated, see <a href='Condition/oud'>it</a></div>"},"contained":[{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p1"},"code":{"coding":[` + sud + `],"text":"heroin addiction"}},{"resourceType":"Location","id":"l","name":"Ward Seven"}],"extension":[{"url":"http://x/a","valueCodeableConcept":{"coding":[` + sud + `]}},{"url":"http://x/b","extension":[{"url":"c","valueString":"carried"}]}],"status":"finished","_status":{"id":"s"},"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"type":[{"text":"walk-in visit"},{"coding":[` + sud + `],"text":"detoxification"}],"subject":{"reference":"Patient/p1","display":"Jordan Sample"},"participant":[{"individual":{"reference":"Practitioner/pr-7","display":"Dr. Example"}}],"period":{"start":"2026-05-02T09:00:00-05:00","end":"2026-05-02T11:00:00-05:00"},"reasonCode":[{"coding":[` + sud + `],"text":"withdrawal"},{"text":"fall from stairs"}],"diagnosis":[{"condition":{"reference":"#c","display":"OUD"},"rank":1},{"condition":{"reference":"Condition/htn","display":"Hypertension"}}],"location":[{"location":{"reference":"#l"}}]}`,
		`{"resourceType":"Patient","id":"p1","identifier":[{"system":"http://x/mrn","value":"MRN-448812"}],"active":true,"name":[{"family":"Sample","given":["Jordan","Quinn"],"_given":[null,{"extension":[{"url":"http://x/g","valueString":"second name"}]}]}],"telecom":[{"system":"phone","value":"847-555-0142"}],"birthDate":"1985-03-12","_birthDate":{"extension":[{"url":"http://x/t","valueDateTime":"1985-03-12T04:00:00-06:00"}]},"contact":[{"relationship":[{"text":"sibling of"}],"name":{"text":"Alex Sample"}}],"communication":[{"language":{"text":"English please"}}],"generalPractitioner":[{"reference":"Practitioner/pr-7"}]}`,
		`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"toxicology panel"},"subject":{"reference":"Patient/p1"},"component":[{"code":{"text":"fentanyl screen"},"valueString":"positive result"},{"code":{"text":"pulse rate"},"valueQuantity":{"value":72,"unit":"/min"}}],"note":[{"text":"repeat tomorrow"}],"referenceRange":[{"low":{"value":1.00},"type":{"text":"normal range"}}]}`,
		`{"resourceType":"MedicationRequest","id":"m1","contained":[{"resourceType":"Medication","id":"med","code":{"text":"some tablets"}}],"status":"active","intent":"order","medicationReference":{"reference":"#med"},"subject":{"reference":"Patient/p1"},"dosageInstruction":[{"text":"twice a day"}],"substitution":{"allowedBoolean":true}}`,
		`{"resourceType":"Bundle","id":"b1","type":"document","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Condition","id":"c9","subject":{"reference":"Patient/p1"},"code":{"coding":[` + sud + `]}}},{"resource":{"resourceType":"Flag","id":"f9","status":"active","code":{"text":"speak softly"},"subject":{"reference":"Patient/p1"}}}]}`,
	}
}

func TestRandomRedactionsNeverLeak(t *testing.T) {
	rnd, out := rand.New(rand.NewPCG(1, 2)), 0
	for _, raw := range seeds() {
		for range 3000 {
			if redactAtRandom(t, []byte(raw), rnd) {
				out++
			}
		}
	}
	if out < 3000 {
		t.Errorf("only %d of 15000 redactions let something out: the test shows little", out)
	}
}

// Copies of a withheld code and its display, planted anywhere in a resource,
// never come out.
func TestPlantedCopiesNeverComeOut(t *testing.T) {
	const display, code = "Opioid dependence, uncomplicated", "F11.20"
	rnd, out, planted := rand.New(rand.NewPCG(5, 6)), 0, 0
	for _, seed := range seeds()[:3] {
		base, err := resource.Parse([]byte(seed))
		if err != nil {
			t.Fatal(err)
		}
		var leaves []resource.Node
		base.Root().Descend(func(n resource.Node) bool {
			switch n.Name() {
			case "meta", "resourceType", "id", "url", "system", "reference", "code", "status":
				return false
			}
			if n.Kind() == resource.String {
				leaves = append(leaves, n)
			}
			return true
		})
		for range 500 {
			e := base.Edit()
			for range 1 + rnd.IntN(3) {
				copies := []string{display, strings.ToUpper(display), "seen for " + display + "!", "Dx:" + code, "(" + strings.ToLower(code) + ")", "coded F1120 by hand"}
				quoted := resource.Quote(copies[rnd.IntN(len(copies))])
				if rnd.IntN(3) == 0 { // the same, spelled in escapes
					spelled := []byte{'"'}
					for _, c := range quoted[1 : len(quoted)-1] {
						spelled = fmt.Appendf(spelled, `\u%04x`, c)
					}
					quoted = append(spelled, '"')
				}
				e.Replace(leaves[rnd.IntN(len(leaves))], quoted)
			}
			ext := `[{"url":"http://x/planted","valueCodeableConcept":{"coding":[` + sud + `]}}]`
			e.Set(base.Root(), "extension", []byte(ext))
			s := subject(t, string(e.Bytes()))
			got, err := Apply(s, withhold(s), VisibleFunc(all))
			if err != nil {
				t.Fatalf("%v in %s", err, s.Resource.Raw())
			}
			planted++
			if got.Body == nil {
				continue
			}
			out++
			if low := strings.ToLower(string(got.Body)) + folded(got.Form); strings.Contains(low, strings.ToLower(display)) || strings.Contains(low, strings.ToLower(code)) || strings.Contains(low, "f1120") {
				t.Fatalf("a copy came out:\n%s\nfrom\n%s", got.Body, s.Resource.Raw())
			}
		}
	}
	t.Logf("%d of %d came out", out, planted)
	if out < planted/5 {
		t.Error("the test shows little")
	}
}

func TestRandomRedactionsOfOfficialExamples(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/fhir/r4-examples/*.json")
	if len(files) == 0 {
		t.Skip("../shared is absent: the official R4 examples were not redacted")
	}
	rnd, out, n := rand.New(rand.NewPCG(3, 4)), 0, 0
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 60000 {
			continue
		}
		for range 12 {
			n++
			if redactAtRandom(t, raw, rnd) {
				out++
			}
		}
	}
	t.Logf("%d of %d redactions let something out", out, n)
	if out < n/10 {
		t.Error("the test shows little")
	}
}

func FuzzRedaction(f *testing.F) {
	for i, s := range seeds() {
		f.Add([]byte(s), uint64(i))
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		if len(raw) < 1<<14 {
			redactAtRandom(t, raw, rand.New(rand.NewPCG(seed, 7)))
		}
	})
}

func BenchmarkApply(b *testing.B) {
	for _, c := range []struct {
		name, raw string
		redact    bool
	}{{"permit", seeds()[1], false}, {"redact", seeds()[0], true}} {
		s := subject(b, c.raw)
		d := policy.Decision{Effect: policy.Permit}
		if c.redact {
			d = withhold(s)
		}
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if got, err := Apply(s, d, VisibleFunc(all)); err != nil || got.Body == nil {
					b.Fatal(err, got.Why)
				}
			}
		})
	}
}
