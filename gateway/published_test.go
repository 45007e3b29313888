package gateway_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
)

// outs are the out parameters, or parts, of a definition, by name.
func outs(list resource.Node, parts bool) map[string]resource.Node {
	m := map[string]resource.Node{}
	for p := range list.Elements() {
		if parts || p.Get("use").Is("out") {
			m[p.Get("name").Text()] = p
		}
	}
	return m
}

// conforms holds an answer against the out parameters of an operation.
func conforms(t *testing.T, at string, got resource.Node, defined map[string]resource.Node) (seen int) {
	t.Helper()
	count := map[string]int{}
	for p := range got.Elements() {
		name := p.Get("name").Text()
		d, ok := defined[name]
		if !ok {
			t.Errorf("%s.%s is returned and not defined", at, name)
			continue
		}
		seen++
		count[name]++
		switch typ := d.Get("type").Text(); {
		case typ == "":
			seen += conforms(t, at+"."+name, p.Get("part"), outs(d.Get("part"), true))
		case p.Get("resource").Exists():
			if is := p.Path("resource", "resourceType").Text(); typ != is && typ != "Resource" {
				t.Errorf("%s.%s is a %s, and defined as %s", at, name, is, typ)
			}
		case !p.Get("value" + strings.ToUpper(typ[:1]) + typ[1:]).Exists():
			t.Errorf("%s.%s is no %s: %.80s", at, name, typ, p.Raw())
		}
	}
	for name, d := range defined {
		if n := count[name]; string(d.Get("min").Raw()) == "1" && n == 0 || d.Get("max").Is("1") && n > 1 {
			t.Errorf("%s.%s is returned %d times, and defined as %s..%s", at, name, n, d.Get("min").Raw(), d.Get("max").Text())
		}
	}
	return seen
}

func TestAnswersOfOperationsAreAsDefined(t *testing.T) {
	c := explaining(t)
	for _, call := range []struct {
		in                  *county
		who, op, path, body string
	}{
		{c, "clinician", "crisis-summary", "Patient/p1/$crisis-summary", `{"resourceType":"Parameters"}`},
		{c, "clinician", "what-if", "Consent/$what-if", release},
		{c, "privacy", "explain-access", "$explain-access", question(about(t), asOfficer)},
		{scene(t), "tablet", "capture", "Consent/$capture", sentBy(verbal("Patient/p1", "k1"))},
	} {
		raw, err := os.ReadFile("../conformance/ig/operation/" + call.op + ".json")
		if err != nil {
			t.Fatal(err)
		}
		def, err := resource.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		a := call.in.do(call.who, http.MethodPost, call.path, call.body, asFHIR)
		r, err := resource.Parse([]byte(a.body))
		if err != nil || a.status/100 != 2 || r.Type() != "Parameters" {
			t.Fatalf("%s: %s", call.op, a)
		}
		if n := conforms(t, call.op, r.Root().Get("parameter"), outs(def.Root().Get("parameter"), false)); n < 2 {
			t.Errorf("%s: only %d parameters were compared: %s", call.op, n, a)
		}
	}
}
