package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// fake maps rows "key,version,content,action" to a shared Patient and an owned
// Encounter.
type fake struct{}

func (fake) Apply(rec *tree.Record, _ mappings.Options) (*mappings.Result, error) {
	get := func(n string) string { return rec.Root.First(n).Value() }
	res := &mappings.Result{Key: get("key"), Version: get("version"), Digest: get("content")}
	switch get("action") {
	case "panic":
		panic(get("content"))
	case "error":
		return nil, errors.New("broke off")
	case "nil":
		return nil, nil
	case "expunge":
		res.Action = mappings.Expunge
		return res, nil
	case "test":
		res.Action = mappings.Test
		return res, nil
	case "reject":
		return res, nil
	}
	res.Action = mappings.Upsert
	add := func(typ, id string, owned bool) {
		raw := fmt.Sprintf(`{"resourceType":%q,"id":%q,"language":%q}`, typ, id, get("content"))
		res.Resources = append(res.Resources, mappings.Resource{Type: typ, ID: id, SourceVersion: res.Version, Digest: res.Digest, Owned: owned, Raw: []byte(raw)})
	}
	add("Patient", "p"+get("key")[:1], false)
	add("Encounter", "e"+get("key"), true)
	return res, nil
}

func job(out, rejects io.Writer) convert.Job {
	f, _, _ := rivertonFormat()
	fields := []adapters.Field{{Name: "key", Required: true}, {Name: "version", Required: true}, {Name: "content"}, {Name: "action"}}
	return convert.Job{Format: f, Options: adapters.Options{Fields: fields, Profile: &mappings.Profile{Mapping: "x"}}, Mapper: fake{}, Out: out, Rejects: rejects}
}

func path(text string, stream bool) convert.Path {
	return convert.Path{Name: "f", Stream: stream, Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: "f", Reader: strings.NewReader(text)}, io.NopCloser(nil), nil
	}}
}

// lines shortens the output to "Type/id=content".
func lines(t *testing.T, out string, bundle bool) string {
	t.Helper()
	var raws []json.RawMessage
	if bundle {
		var b struct {
			Type  string
			Entry []struct {
				Resource json.RawMessage
				Request  struct{ Method, URL string }
			}
		}
		if err := json.Unmarshal([]byte(out), &b); err != nil || b.Type != "transaction" {
			t.Fatalf("%v in %s", err, out)
		}
		for _, e := range b.Entry {
			raws = append(raws, e.Resource)
			if e.Request.Method != "PUT" || !strings.Contains(e.Request.URL, "/") {
				t.Errorf("request %+v", e.Request)
			}
		}
	} else {
		for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
			if l != "" {
				raws = append(raws, json.RawMessage(l))
			}
		}
	}
	var got []string
	for _, raw := range raws {
		var r struct{ ResourceType, ID, Language string }
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r.ResourceType[:1]+r.ID+"="+r.Language)
	}
	return strings.Join(got, " ")
}

func TestWhatComesOut(t *testing.T) {
	const head = "key,version,content,action\n"
	for _, c := range []struct{ name, in, file, stream, bundle, counts string }{
		{"one", "a1,1,A,\n", "Ppa=A Eea1=A", "Ppa=A Eea1=A", "Ppa=A Eea1=A", "2 1+0+0+0+1"},
		{"duplicate", "a1,1,A,\na1,1,A,\n", "Ppa=A Eea1=A", "Ppa=A Eea1=A", "Ppa=A Eea1=A", "3 1+0+1+0+1"},
		{"newer", "a1,1,A,\na1,2,B,\n", "Ppa=B Eea1=B", "Ppa=A Eea1=A Ppa=B Eea1=B", "Ppa=B Eea1=B", "3 1+1+0+0+1"},
		{"older", "a1,2,B,\na1,1,A,\n", "Ppa=B Eea1=B", "Ppa=B Eea1=B", "Ppa=B Eea1=B", "3 1+0+1+0+1"},
		{"there and back", "a1,1,A,\na1,2,B,\na1,3,A,\n", "Ppa=A Eea1=A", "Ppa=A Eea1=A Ppa=B Eea1=B Ppa=A Eea1=A", "Ppa=A Eea1=A", "4 1+2+0+0+1"},
		{"a tie", "a1,1,B,\na1,1,A,\na1,1,C,\na1,1,A,\n", "Ppa=C Eea1=C", "Ppa=B Eea1=B Ppa=C Eea1=C", "Ppa=C Eea1=C", "5 1+1+2+0+1"},
		{"older person of another record", "a1,2,B,\na2,1,A,\n", "Ppa=B Eea1=B Eea2=A", "Ppa=B Eea1=B Eea2=A", "Ppa=B Eea1=B Eea2=A", "3 2+0+0+0+1"},
		{"expunged", "a1,1,A,\nb1,1,B,\na1,2,,expunge\na1,1,A,\n", "Ppb=B Eeb1=B", "Ppa=A Eea1=A Ppb=B Eeb1=B", "Ppb=B Eeb1=B", "5 2+1+1+0+1"},
		{"expunged, the person stays", "a1,1,A,\na2,2,B,\na2,3,,expunge\n", "Ppa=A Eea1=A", "Ppa=A Eea1=A Ppa=B Eea2=B", "Ppa=B Eea1=A", "4 2+1+0+0+1"},
		{"bad ones", "a1,1,A,panic\na2,1,A,error\na3,1,A,nil\na4,1,A,test\na5,1,A,reject\na6\n", "", "", "", "7 0+0+0+6+1"},
	} {
		for _, mode := range []struct {
			name           string
			stream, bundle bool
			want           string
		}{{"file", false, false, c.file}, {"stream", true, false, c.stream}, {"bundle", false, true, c.file}, {"bundle of a stream", true, true, c.bundle}} {
			var out, rejects bytes.Buffer
			j := job(&out, &rejects)
			j.Bundle = mode.bundle
			reports, err := j.Run(context.Background(), []convert.Path{path(head+c.in, mode.stream)})
			if err != nil {
				t.Fatalf("%s, %s: %v", c.name, mode.name, err)
			}
			if got := lines(t, out.String(), mode.bundle); got != mode.want {
				t.Errorf("%s, %s: got %s, want %s", c.name, mode.name, got, mode.want)
			}
			r := reports[0]
			if got := fmt.Sprintf("%d %d+%d+%d+%d+%d", r.Records, r.Created, r.Updated, r.Duplicates, r.Rejects, r.NonRecords()); got != c.counts || !r.AddsUp() {
				t.Errorf("%s, %s: got %s, want %s", c.name, mode.name, got, c.counts)
			}
			if n := strings.Count(rejects.String(), "\n"); n != r.Rejects {
				t.Errorf("%s: %d lines of rejects, want %d", c.name, n, r.Rejects)
			}
			if strings.Contains(rejects.String(), `"A"`) {
				t.Errorf("%s: a reject quotes the record: %s", c.name, rejects.String())
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAFailingOutputIsTold(t *testing.T) {
	in := "key,version,content,action\n" + strings.Repeat("a1,1,A,\n", 10)
	j := job(full{}, io.Discard)
	if _, err := j.Run(context.Background(), []convert.Path{path(in, false)}); err == nil || !strings.Contains(err.Error(), "writing the output: no space left") {
		t.Errorf("got %v", err)
	}
	j = job(io.Discard, full{})
	if _, err := j.Run(context.Background(), []convert.Path{path(in+"a,b\n", false)}); err == nil || !strings.Contains(err.Error(), "writing the rejects") {
		t.Errorf("got %v", err)
	}
}

// The counts add up for any input, and the resources are JSON.
func FuzzCountsAddUp(f *testing.F) {
	f.Add("a1,1,A,\na1,2,B,\n\"a2,1,C,\na1,3,,expunge\nEND OF REPORT\n")
	f.Add("a1,1,\"A\nB\",\nkey,version,content,action\n\n3 records")
	f.Fuzz(func(t *testing.T, in string) {
		var out, rejects bytes.Buffer
		j := job(&out, &rejects)
		reports, err := j.Run(context.Background(), []convert.Path{path("key,version,content,action\n"+in, false)})
		if err != nil {
			return
		}
		r := reports[0]
		if !r.AddsUp() || strings.Count(rejects.String(), "\n") != r.Rejects {
			t.Fatalf("%+v with %q", *r, rejects.String())
		}
	})
}
