package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestEntriesAreSplicedAsTheyAre(t *testing.T) {
	odd := `{ "resourceType":"Observation","id":"o", "valueQuantity":{"value":1.00},"x":"\u0000\ud83d\ude00" }`
	b := New(Searchset)
	b.ID("b1")
	b.Timestamp(time.Date(2024, 1, 2, 3, 4, 5, 6e6, time.UTC))
	b.Total(1)
	b.Link("self", `https://gw/fhir/Observation?code=a&x="`)
	b.Link("next", "https://gw/fhir?page=2")
	b.Security(Coding{"http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "R", ""})
	b.Add("https://gw/fhir/Observation/o", []byte(odd), ModeMatch)
	b.Add("", []byte(`{"resourceType":"OperationOutcome","issue":[]}`), ModeOutcome)
	got := string(b.Bytes())
	want := `{"resourceType":"Bundle","id":"b1","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},` +
		`"type":"searchset","timestamp":"2024-01-02T03:04:05.006Z","total":1,"link":[{"relation":"self","url":"https://gw/fhir/Observation?code=a&x=\""},{"relation":"next","url":"https://gw/fhir?page=2"}],` +
		`"entry":[{"fullUrl":"https://gw/fhir/Observation/o","resource":` + odd + `,"search":{"mode":"match"}},{"resource":{"resourceType":"OperationOutcome","issue":[]},"search":{"mode":"outcome"}}]}`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if b.Len() != 2 || b.Size() < len(odd) {
		t.Error("length")
	}
}

func TestAnEmptySearchsetHasNoEntryAndNoTotal(t *testing.T) {
	if got := string(New(Searchset).Bytes()); got != `{"resourceType":"Bundle","type":"searchset"}` {
		t.Error(got)
	}
}

func TestTransactionsAndResponses(t *testing.T) {
	b := New(Transaction)
	b.AddEntry(Entry{FullURL: "urn:uuid:1", Resource: []byte(`{"resourceType":"Patient"}`), Request: &Request{Method: "POST", URL: "Patient", IfNoneExist: "identifier=a|b"}})
	b.AddEntry(Entry{Request: &Request{Method: "DELETE", URL: "Patient/1", IfMatch: `W/"1"`}})
	b.AddEntry(Entry{Response: &Response{Status: "201 Created", Location: "Patient/1/_history/1", ETag: `W/"1"`, LastModified: time.Unix(0, 0), Outcome: []byte(`{"resourceType":"OperationOutcome"}`)}})
	raw := b.Bytes()
	if !json.Valid(raw) {
		t.Fatalf("not JSON: %s", raw)
	}
	r, items, err := ReadAll(bytes.NewReader(raw), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Type() != Transaction || len(items) != 3 || items[0].Request.IfNoneExist != "identifier=a|b" || items[1].Request.Method != "DELETE" ||
		items[1].Resource != nil || items[2].Status != "201 Created" || items[0].Resource.Type() != "Patient" {
		t.Errorf("%+v", items)
	}
}

func TestWriteToKeepsTheFirstError(t *testing.T) {
	b := New(Searchset)
	b.Add("", bytes.Repeat([]byte(" "), 100<<10), ModeMatch)
	if _, err := b.WriteTo(iotest.TruncateWriter(failing{}, 0)); err != nil {
		t.Fatal(err) // TruncateWriter swallows
	}
	if _, err := b.WriteTo(failing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReaderYieldsEntriesWhereverTheyStand(t *testing.T) {
	in := `{"entry":[{"search":{"mode":"match","score":1},"resource":{"resourceType":"Patient","id":"1"},"fullUrl":"https://x/Patient/1","link":[]},
	{"resource":{"resourceType":"OperationOutcome"},"search":{"mode":"outcome"}},{}],"id":"b","meta":{"x":[1,{}]},"total":7,
	"link":[{"relation":"self","url":"a"},{"relation":"next","url":"b"}],"type":"searchset","resourceType":"Bundle"}`
	r := NewReader(iotest.OneByteReader(strings.NewReader(in)), Limits{Types: []string{Searchset}})
	var got []string
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		typ := "none"
		if it.Resource != nil {
			typ = it.Resource.Type()
		}
		got = append(got, fmt.Sprintf("%s %s %s %s", it.Pointer, typ, it.Mode, it.FullURL))
	}
	want := "Bundle.entry[0] Patient match https://x/Patient/1;Bundle.entry[1] OperationOutcome outcome ;Bundle.entry[2] none  "
	if strings.Join(got, ";") != want {
		t.Errorf("got %q", got)
	}
	if n, ok := r.Total(); n != 7 || !ok || r.Link("next") != "b" || r.Link("last") != "" || r.Type() != Searchset {
		t.Error("what stands round the entries is wrong")
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestReaderRefuses(t *testing.T) {
	secret := "Jane Doe"
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"empty", "", ErrMalformed},
		{"HTML", "<html>" + secret, ErrMalformed},
		{"array", "[]", ErrNotBundle},
		{"another resource", `{"resourceType":"Patient","id":"1"}`, ErrNotBundle},
		{"another resource whose type comes last", `{"id":"1","type":"searchset","resourceType":"OperationOutcome"}`, ErrNotBundle},
		{"no resourceType", `{"type":"searchset"}`, ErrNotBundle},
		{"no type", `{"resourceType":"Bundle"}`, ErrNotBundle},
		{"another type", `{"resourceType":"Bundle","type":"history"}`, ErrNotBundle},
		{"type no string", `{"resourceType":"Bundle","type":1}`, ErrMalformed},
		{"implicit rules", `{"resourceType":"Bundle","type":"searchset","implicitRules":"http://x"}`, ErrNotBundle},
		{"truncated", `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient","id":"1"}}`, ErrMalformed},
		{"truncated in a resource", `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resour`, ErrMalformed},
		{"duplicate name", `{"resourceType":"Bundle","type":"searchset","type":"searchset"}`, ErrMalformed},
		{"duplicate entry", `{"resourceType":"Bundle","type":"searchset","entry":[],"entry":[]}`, ErrMalformed},
		{"duplicate in a resource", `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient","id":"1","id":"2"}}]}`, ErrMalformed},
		{"two documents", `{"resourceType":"Bundle","type":"searchset"}{}`, ErrMalformed},
		{"entry no array", `{"resourceType":"Bundle","type":"searchset","entry":{}}`, ErrMalformed},
		{"entry of wrong kind", `{"resourceType":"Bundle","type":"searchset","entry":[1]}`, ErrMalformed},
		{"resource of wrong kind", `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":"x"}]}`, ErrMalformed},
		{"resource without type", `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"id":"1"}}]}`, ErrMalformed},
		{"mode", `{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"maybe"}}]}`, ErrMalformed},
		{"negative total", `{"resourceType":"Bundle","type":"searchset","total":-1}`, ErrMalformed},
		{"link without url", `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next"}]}`, ErrMalformed},
		{"two next links", `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"a"},{"relation":"next","url":"b"}]}`, ErrMalformed},
		{"too many entries", `{"resourceType":"Bundle","type":"searchset","entry":[{},{},{},{}]}`, ErrTooLarge},
		{"too many bytes", `{"resourceType":"Bundle","type":"searchset","x":"` + strings.Repeat("x", 2000) + `"}`, ErrTooLarge},
		{"too deep", `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Patient","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}]}`, ErrMalformed},
		{"not UTF-8", "{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"id\":\"\xff" + secret + "\"}", ErrMalformed},
	} {
		_, items, err := ReadAll(strings.NewReader(c.in), Limits{Bytes: 1000, Entries: 3, Types: []string{Searchset}})
		if !errors.Is(err, c.want) || items != nil {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the message repeats content: %v", c.name, err)
		}
	}
}

func TestReaderPassesTheConnectionsErrorOn(t *testing.T) {
	r := io.MultiReader(strings.NewReader(`{"resourceType":"Bundle",`), iotest.ErrReader(io.ErrClosedPipe))
	if _, _, err := ReadAll(r, Limits{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func TestOfficialBundlesAreRead(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/data/fhir/r4-examples/Bundle-*.json")
	if len(files) == 0 {
		t.Skip("../shared is absent: the official Bundles were not read")
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadAll(bytes.NewReader(raw), Limits{}); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","type":"searchset","total":1,"link":[{"relation":"next","url":"b"}],"entry":[{"fullUrl":"u","resource":{"resourceType":"Patient","id":"1"},"search":{"mode":"match"}}]}`))
	f.Add([]byte(`{"entry":[{}],"type":"batch","resourceType":"Bundle"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		rd, items, err := ReadAll(bytes.NewReader(raw), Limits{Bytes: 1 << 16})
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("accepted what is no JSON: %q", raw)
		}
		b := New(rd.Type())
		for _, it := range items {
			e := Entry{FullURL: it.FullURL, Mode: it.Mode, Request: it.Request}
			if it.Resource != nil {
				e.Resource = it.Resource.Raw()
			}
			b.AddEntry(e)
		}
		_, again, err := ReadAll(bytes.NewReader(b.Bytes()), Limits{})
		if err != nil || len(again) != len(items) {
			t.Fatalf("written and read again: %v: %s", err, b.Bytes())
		}
	})
}

func BenchmarkWrite100(b *testing.B) {
	raw := []byte(`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"` + strings.Repeat("x", 1000) + `"}}`)
	b.ReportAllocs()
	for b.Loop() {
		w := New(Searchset)
		w.Link("self", "https://gw/fhir/Observation?code=a")
		for range 100 {
			w.Add("https://gw/fhir/Observation/o", raw, ModeMatch)
		}
		n, err := w.WriteTo(io.Discard)
		if err != nil || n < 100_000 {
			b.Fatal(n, err)
		}
		b.SetBytes(n)
	}
}

func BenchmarkRead100(b *testing.B) {
	w := New(Searchset)
	for range 100 {
		w.Add("https://gw/fhir/Observation/o", []byte(`{"resourceType":"Observation","id":"o","status":"final","code":{"text":"`+strings.Repeat("x", 1000)+`"}}`), ModeMatch)
	}
	raw := w.Bytes()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, items, err := ReadAll(bytes.NewReader(raw), Limits{}); err != nil || len(items) != 100 {
			b.Fatal(err)
		}
	}
}
