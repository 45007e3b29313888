package parameters

import (
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
)

var spec = Spec{
	{Name: "reason", Value: "valueString", Required: true},
	{Name: "patient", Value: "valueReference"},
	{Name: "declared", Value: "valueBoolean"},
	{Name: "covers", Value: "valueReference", Many: true},
	{Name: "witness", Value: "part", Parts: []Param{{Name: "name", Value: "valueString", Required: true}}},
	{Name: "extent", Value: "value[x]"},
}

func parse(t testing.TB, params string) (Set, error) {
	t.Helper()
	r, err := resource.Parse([]byte(`{"resourceType":"Parameters","parameter":[` + params + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return Read(r, spec)
}

func TestReadTakesWhatTheSpecKnows(t *testing.T) {
	s, err := parse(t, `{"name":"reason","valueString":"chest pain"},{"name":"patient","valueReference":{"reference":"Patient/p1"}},
		{"name":"declared","valueBoolean":false},{"name":"covers","valueReference":{"reference":"CarePlan/1"}},{"name":"covers","valueReference":{"reference":"Flag/2"}},
		{"name":"witness","part":[{"name":"name","valueString":"Ann"}]},{"name":"extent","valueDecimal":1.50}`)
	if err != nil {
		t.Fatal(err)
	}
	if s.Text("reason") != "chest pain" || s.Text("patient") != "Patient/p1" || s.Flag("declared") || !s.Has("declared") || s.Has("nothing") {
		t.Errorf("read %+v", s)
	}
	if got := strings.Join(s.Texts("covers"), " "); got != "CarePlan/1 Flag/2" {
		t.Errorf("covers = %s", got)
	}
	if got := s.One("witness").Parts.Text("name"); got != "Ann" {
		t.Errorf("witness = %s", got)
	}
	if got := string(s.One("extent").Node.Raw()); got != "1.50" {
		t.Errorf("extent = %s", got)
	}
}

func TestReadRefusesTheRestAndSaysWhere(t *testing.T) {
	reason := `{"name":"reason","valueString":"x"}`
	for name, c := range map[string]struct{ params, at string }{
		"missing":        {`{"name":"declared","valueBoolean":true}`, "Parameters.parameter"},
		"unknown":        {reason + `,{"name":"sudo","valueBoolean":true}`, "Parameters.parameter[1].name"},
		"nameless":       {reason + `,{"valueBoolean":true}`, "Parameters.parameter[1].name"},
		"twice":          {reason + "," + reason, "Parameters.parameter[1]"},
		"another type":   {`{"name":"reason","valueCode":"x"}`, "Parameters.parameter[0]"},
		"another kind":   {`{"name":"reason","valueString":1}`, "Parameters.parameter[0].valueString"},
		"null":           {`{"name":"reason","valueString":null}`, "Parameters.parameter[0]"},
		"no value":       {`{"name":"reason"}`, "Parameters.parameter[0]"},
		"no object":      {`7`, "Parameters.parameter[0]"},
		"part missing":   {reason + `,{"name":"witness","part":[]}`, "Parameters.parameter[1].part"},
		"part unknown":   {reason + `,{"name":"witness","part":[{"name":"x","valueString":"y"}]}`, "Parameters.parameter[1].part[0].name"},
		"with extension": {`{"name":"reason","valueString":"x","extension":[]}`, "Parameters.parameter[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, c.params)
			if err == nil {
				t.Fatal("was read")
			}
			is := outcome.As(err).Issues()
			if len(is) == 0 || is[0].Expression != c.at {
				t.Errorf("at %+v, want %s", is, c.at)
			}
		})
	}
}

func TestWriterMakesWhatReadReads(t *testing.T) {
	var w, parts Writer
	parts.Text("name", "valueString", `A "B" <c>`)
	w.Text("reason", "valueString", "x")
	w.Flag("declared", true)
	w.Part("witness", &parts)
	r, err := resource.Parse(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(r, spec)
	if err != nil || !s.Flag("declared") || s.One("witness").Parts.Text("name") != `A "B" <c>` {
		t.Errorf("%s: %v", w.Bytes(), err)
	}
	if _, err := resource.Parse(new(Writer).Bytes()); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Parameters","parameter":[{"name":"reason","valueString":"x"},{"name":"witness","part":[{"name":"name","valueString":"y"}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		s, err := Read(r, spec)
		if err == nil && s.Text("reason") == "" && !s.Has("reason") {
			t.Error("a required parameter is missing and nothing was said")
		}
	})
}
