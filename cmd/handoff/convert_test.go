package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// handoff runs a command line in-process.
func runLine(stdin string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	code = run(context.Background(), root, &errs)
	return out.String(), errs.String(), code
}

func feedFile(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join("..", "..", "adapters", "rms", "csv", "testdata", name)
}

func TestConvertPrintsResourcesRejectsAndCounts(t *testing.T) {
	out, errs, code := runLine("", "convert", "--adapter", "rms/csv", feedFile(t, "bad.csv"))
	if code != exitRejected {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		var r struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(l), &r); err != nil || r.ResourceType == "" || r.ID == "" {
			t.Fatalf("%v in %q", err, l)
		}
	}
	rejects := 0
	for _, l := range strings.Split(errs, "\n") {
		if !strings.HasPrefix(l, "{") {
			continue
		}
		rejects++
		var r map[string]any
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"source", "line", "field", "severity", "code", "message"} {
			if _, ok := r[k]; !ok || len(r) != 6 {
				t.Errorf("a reject without %s, or with more: %s", k, l)
			}
		}
	}
	if rejects != 5 || !strings.Contains(errs, "12 records = 3 created + 0 updated + 0 duplicates + 5 rejects + 4 non-records") {
		t.Errorf("%d rejects, %s", rejects, errs)
	}
}

func TestConvertTakesStdinBundleAndRejectsFile(t *testing.T) {
	raw, err := os.ReadFile(feedFile(t, "bad.csv"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rejects.ndjson")
	out, errs, code := runLine(string(raw), "convert", "--adapter", "rms/csv", "--bundle", "--rejects", file, "-")
	if code != exitRejected || strings.Contains(errs, "{") {
		t.Fatalf("exit %d: %s", code, errs)
	}
	var b struct {
		ResourceType, Type string
		Entry              []struct {
			Resource struct{ ResourceType, ID string }
			Request  struct{ Method, URL string }
		}
	}
	if err := json.Unmarshal([]byte(out), &b); err != nil || b.Type != "transaction" || len(b.Entry) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	seen := map[string]bool{}
	for _, e := range b.Entry {
		url := e.Resource.ResourceType + "/" + e.Resource.ID
		if e.Request.Method != "PUT" || e.Request.URL != url || seen[url] {
			t.Errorf("entry %s: %+v", url, e.Request)
		}
		seen[url] = true
	}
	if kept, err := os.ReadFile(file); err != nil || bytes.Count(kept, []byte("\n")) != 5 {
		t.Errorf("%v: %s", err, kept)
	}
}

func TestConvertSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no adapter", []string{"x.csv"}, exitUsage, "rms/csv"},
		{"unknown adapter", []string{"--adapter", "rms/nope", "x.csv"}, exitUsage, `unknown adapter "rms/nope"; known are: ehr/hl7v2, rms/csv`},
		{"no input", []string{"--adapter", "rms/csv"}, exitUsage, "no input"},
		{"unknown flag", []string{"--nope"}, exitUsage, "--nope"},
		{"missing file", []string{"--adapter", "rms/csv", filepath.Join(dir, "gone.csv")}, exitFailed, "gone.csv: no such file"},
		{"directory", []string{"--adapter", "rms/csv", dir}, exitFailed, "directory"},
		{"empty", []string{"--adapter", "rms/csv", write("empty.csv", "")}, exitFailed, "empty.csv: the file is empty"},
		{"binary", []string{"--adapter", "rms/csv", write("book.xlsx", "PK\x03\x04....")}, exitFailed, "book.xlsx: this is a ZIP file"},
		{"no header", []string{"--adapter", "rms/csv", write("x.csv", "a,b\n1,2\n")}, exitFailed, "x.csv:1: no header row"},
		{"not HL7", []string{"--adapter", "ehr/hl7v2", write("y.hl7", "a,b\n")}, exitFailed, "not HL7 v2"},
		{"missing profile", []string{"--adapter", "rms/csv", "--profile", filepath.Join(dir, "p.yaml"), "x"}, exitFailed, "p.yaml"},
		{"bad profile", []string{"--adapter", "rms/csv", "--profile", write("q.yaml", "profile: x\nnope: 1\n"), "x"}, exitFailed, "q.yaml:2"},
		{"rejects into nothing", []string{"--adapter", "rms/csv", "--rejects", filepath.Join(dir, "no", "r"), feedFile(t, "good.csv")}, exitFailed, "no such file"},
	} {
		out, errs, code := runLine("", append([]string{"convert"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%s: exit %d, %q, output %q; want %d and %q", c.name, code, errs, out, c.code, c.want)
		}
	}
}

func TestConvertNeverWritesOverWhatItReads(t *testing.T) {
	dir := t.TempDir()
	raw, err := os.ReadFile(feedFile(t, "good.csv"))
	if err != nil {
		t.Fatal(err)
	}
	in, other := filepath.Join(dir, "good.csv"), filepath.Join(dir, "other.csv")
	for _, name := range []string{in, other} {
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link, hard := filepath.Join(dir, "link"), filepath.Join(dir, "hard")
	if err := os.Symlink(in, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(in, hard); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(dir, "fresh.ndjson")
	for _, args := range [][]string{
		{"--rejects", in, in}, {"--rejects", link, in}, {"--rejects", hard, in}, {"--issues", in, link}, {"--issues", in, other, in},
		{"--rejects", filepath.Join(dir, ".", "good.csv"), in}, {"--rejects", fresh, "--issues", fresh, in},
	} {
		_, errs, code := runLine("", append([]string{"convert", "--adapter", "rms/csv"}, args...)...)
		if code != exitUsage || !strings.Contains(errs, "same file") {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
		if now, err := os.ReadFile(in); err != nil || !bytes.Equal(now, raw) {
			t.Fatalf("%v: the input is changed", args)
		}
	}
}

func TestAnUnknownCharsetIsToldWithItsLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.profile.yaml")
	if err := os.WriteFile(file, []byte("profile: x\nadapter: rms/csv\ncharset: windows-1253x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, code := runLine("", "convert", "--adapter", "rms/csv", "--profile", file, feedFile(t, "good.csv"))
	if code != exitFailed || !strings.Contains(errs, file+":3:10: unknown character encoding") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
