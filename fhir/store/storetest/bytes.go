package storetest

import (
	"bytes"
	"testing"

	"github.com/handoff-health/handoff/fhir/store"
)

var byteTests = []test{
	{"content comes back byte for byte", byteFaithful},
	{"index entries are compared as bytes", byteValues},
	{"a large resource", largeResource},
}

func byteFaithful(t *testing.T, e *env) {
	for name, raw := range map[string]string{
		"decimal":             `{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.00,"low":1e-7,"high":100000000000000000000.0}}`,
		"primitive extension": `{"resourceType":"Patient","id":"p","_birthDate":{"extension":[{"url":"u","valueCode":"unknown"}]}}`,
		"contained":           `{"resourceType":"Encounter","id":"e","contained":[{"resourceType":"Patient","id":"p","x":{}}],"subject":{"reference":"#p"}}`,
		"escaped U+0000":      `{"resourceType":"Patient","id":"p","name":[{"text":"a\u0000b"}]}`,
		"bare NUL":            "{\"resourceType\":\"Patient\",\"id\":\"p\",\"t\":\"a\x00b\"}",
		"NUL at the end":      "{}\x00",
		"spaces and order":    "  {\r\n\t\"id\" : \"p\" ,\n\"resourceType\":\"Patient\"}\n\n",
		"not UTF-8":           "{\"t\":\"\xff\xfe\"}",
		"keys with dots":      `{"a.b":1,"$c":2,"a.b":3}`,
	} {
		k := patient("p")
		rec := e.write(t, store.Write{Record: store.Record{Key: k, Raw: []byte(raw)}, Expect: store.AnyVersion})
		e.reopen(t)
		got := map[string]*store.Record{"Read": e.read(t, k)}
		var err error
		if got["ReadVersion"], err = e.Store.ReadVersion(e.ctx, k, rec.Version); err != nil {
			t.Fatal(err)
		}
		page, err := e.Store.Search(e.ctx, store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 1})
		if err != nil || len(page.Records) != 1 {
			t.Fatalf("search: %v, %v", page, err)
		}
		got["Search"] = page.Records[0]
		for how, rec := range got {
			if string(rec.Raw) != raw {
				t.Errorf("%s: %s gives %q, want %q", name, how, rec.Raw, raw)
			}
		}
	}
}

func byteValues(t *testing.T, e *env) {
	values := []string{"", "\x00", "a", "a\x00", "a\x00b", "a ", "A", "é", "\xff", "\xff\xff", "日本", "a%", "a_", "'; DROP TABLE head; --"}
	for i, v := range values {
		e.write(t, put(patient(string(rune('a'+i))), store.Absent, i, "v|"+v))
	}
	for i, v := range values {
		want := string(rune('a' + i))
		if ids := e.all(t, store.Plan{Type: "Patient", Where: equal("v", v), Limit: 3}); len(ids) != 1 || ids[0] != want {
			t.Errorf("equal to %q: %v, want %s", v, ids, want)
		}
		if got := e.read(t, patient(want)).Index; len(got) != 1 || got[0] != "v|"+v {
			t.Errorf("index entry %q comes back as %q", v, got)
		}
		wantPrefix := 0
		for _, o := range values {
			if bytes.HasPrefix([]byte(o), []byte(v)) {
				wantPrefix++
			}
		}
		if ids := e.all(t, store.Plan{Type: "Patient", Where: store.Expr{Op: store.Prefix, Param: "v", Value: v}, Limit: 3}); len(ids) != wantPrefix {
			t.Errorf("prefix %q: %v, want %d", v, ids, wantPrefix)
		}
	}
}

func largeResource(t *testing.T, e *env) {
	raw := append(append([]byte(`{"resourceType":"Patient","id":"p","t":"`), bytes.Repeat([]byte("x\\u0000é"), 1<<19)...), `"}`...)
	e.write(t, store.Write{Record: store.Record{Key: patient("p"), Raw: raw}, Expect: store.Absent})
	if got := e.read(t, patient("p")).Raw; !bytes.Equal(got, raw) {
		t.Errorf("%d bytes come back for %d", len(got), len(raw))
	}
}
