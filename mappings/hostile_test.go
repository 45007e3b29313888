package mappings

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/handoff-health/handoff/mappings/tree"
)

const hostileHead = `
mapping: test/hostile
version: 1.0.0
kinds: [r]
elements: [A/B, A/C/D]
key: '"k"'
record-version: '""'
`

const hostileResource = `
resources:
  - id: p
    type: Patient
    system: '"s"'
    key: '"k"'
    rows: [{to: gender, value: male}]
`

func hostileRecord() *tree.Record {
	a := branch("A", "", branch("B", strings.TrimSpace(strings.Repeat("w ", 4000))))
	for range 400 {
		a.Children = append(a.Children, branch("C", "", branch("D", "x")))
	}
	return &tree.Record{Kind: "r", Root: branch("", "", a)}
}

// doubling is a chain of named values, each twice the one before.
func doubling(n int) string {
	b := "let:\n  - {name: v0, expr: 'text(\"/A/B\")'}\n"
	for i := range n {
		b += fmt.Sprintf("  - {name: v%d, expr: 'v%d + v%d'}\n", i+1, i, i)
	}
	return b
}

func TestAMappingThatBlowsUpIsBrokenOff(t *testing.T) {
	loop := func(expr string) string { return "let:\n  - {name: x, expr: '" + expr + "'}\n" + hostileResource }
	words := `split(text("/A/B"), " ")`
	for name, text := range map[string]string{
		"doubling":       doubling(60) + hostileResource,
		"loops in loops": loop("all(" + words + ", all(" + words + ", all(" + words + ", true)))"),
		"join":           loop("join(map(" + words + `, text("/A/B")), "")`),
		"replace":        loop(`replace(text("/A/B"), "", text("/A/B"))`),
		"lists of lists": loop("len(map(" + words + ", map(" + words + ", #)))"),
		"many turns":     loop("all(" + words + ", any(" + words + ", # == \"x\") == false)"),
		"groups in groups": `
resources:
  - over: /A/C
    resources:
      - over: /A/C
        resources:
          - over: /A/C
            resources: [{id: p, type: Patient, system: '"s"', key: '"k"', rows: [{to: gender, value: male}]}]
`,
		"rows in rows": strings.Replace(hostileResource, "{to: gender, value: male}", "{to: name, over: /A/C, rows: [{to: extension, over: /A/C, rows: [{to: url, from: /A/C/D}]}]}", 1),
	} {
		m, err := Load(fstest.MapFS{"m.yaml": {Data: []byte(hostileHead + text)}}, "m.yaml", nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		began := time.Now()
		res, err := m.Apply(hostileRecord(), Options{})
		if err == nil || res != nil {
			t.Errorf("%s: went through", name)
		} else if !errors.Is(err, ErrLimit) && !strings.Contains(err.Error(), "memory budget exceeded") {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestAMappingThatIsTooMuchIsRefused(t *testing.T) {
	types := "datatypes:\n  d0: {type: Extension, rows: [{to: url, value: 'urn:x'}]}\n"
	for i := range 40 {
		types += fmt.Sprintf("  d%d: {type: Extension, rows: [{to: url, value: 'urn:x'}, {to: extension, from: ./D, use: d%d}, {to: extension, from: ./D, use: d%d}]}\n", i+1, i, i)
	}
	var lets, elements strings.Builder
	for i := range maxLets + 1 {
		fmt.Fprintf(&lets, "  - {name: l%d, expr: '1'}\n", i)
	}
	for i := range maxElements + 1 {
		fmt.Fprintf(&elements, "X/E%d,", i)
	}
	deep := ""
	for i := range maxLoops + 2 {
		deep += strings.Repeat("  ", i) + "  - over: /A\n" + strings.Repeat("  ", i) + "    resources:\n"
	}
	deep += strings.Repeat("  ", maxLoops+3) + "  - {id: p, type: Patient}\n"
	rows := strings.Repeat("{to: given, value: x},", 200)
	for name, c := range map[string][2]string{
		"datatypes": {hostileHead + "datatypes: [t.yaml]\n" + strings.Replace(hostileResource, "{to: gender, value: male}", "{to: extension, from: /A/C, use: d40}", 1), "more than 20000 rows"},
		"rowsets":   {hostileHead + "rowsets: {r: [" + strings.TrimSuffix(strings.Repeat("{to: name, rows: ["+rows+"]},", 20), ",") + "]}\n" + strings.Replace(hostileResource, "    rows", "    include: ["+strings.Repeat("r,", 10)+"]\n    rows", 1), "more than 20000 rows"},
		"lets":      {hostileHead + "let:\n" + lets.String() + hostileResource, "more than 2000 named values"},
		"elements":  {strings.Replace(hostileHead, "A/B,", elements.String(), 1) + hostileResource, "more than 5000 elements"},
		"groups":    {hostileHead + "resources:\n" + deep, "nested more than 8 deep"},
		"variable":  {hostileHead + "let: [{name: x, expr: 'let a = 1; a'}]\n" + hostileResource, "variables are not used"},
		"range":     {hostileHead + "let: [{name: x, expr: '1..100000'}]\n" + hostileResource, "ranges of numbers"},
		"pattern":   {hostileHead + "let: [{name: x, expr: '\"a\" matches text(\"/A/B\")'}]\n" + hostileResource, "must be written out"},
		"nodes":     {hostileHead + "let: [{name: x, expr: '" + strings.Repeat("1 + ", 600) + "1'}]\n" + hostileResource, "exceeds"},
		"clock":     {hostileHead + "let: [{name: x, expr: 'now()'}]\n" + hostileResource, "now"},
		"size":      {"#" + strings.Repeat(" ", maxFile) + hostileHead + hostileResource, "larger than 4 MiB"},
		"depth":     {hostileHead + "note: " + strings.Repeat("[", 60) + strings.Repeat("]", 60) + "\n" + hostileResource, "nested too deeply"},
	} {
		began := time.Now()
		_, err := Load(fstest.MapFS{"m.yaml": {Data: []byte(c[0])}, "t.yaml": {Data: []byte(types)}}, "m.yaml", nil)
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: got %.300v, want %s", name, err, c[1])
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: took %v", name, took)
		}
	}
}
