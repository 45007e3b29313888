package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

var update = flag.Bool("update", false, "write the goldens anew")

// Separator stands between the parts of a golden.
const Separator = "----------\n"

// A Suite is what an adapter's test says about it.
type Suite struct {
	Format  adapters.Format
	Options adapters.Options
	Mapper  flow.Mapper
	// Good is an input with several records, all of which can be decoded.
	Good []byte
	// Bad is an input with at least one record that cannot be decoded and at
	// least one that can.
	Bad []byte
	// Goldens is a folder of *.golden files: the input, a separator, the Bundle of
	// what came of it, a separator, the rejects and findings.
	Goldens string
}

// sparse is how many of the places that a test goes through stand for one that is
// tried. In short mode, which the race detector runs in, they are fewer: what they
// share between goroutines is the same at each.
func sparse() int {
	if testing.Short() {
		return 12
	}
	return 1
}

// Run runs the whole suite.
func (s Suite) Run(t *testing.T) {
	t.Run("a bad record does not stop the reading", s.badRecord)
	t.Run("an input cut at any byte is accounted for", s.truncated)
	t.Run("reading goes on at every cursor", s.resume)
	t.Run("a cursor of another input is refused", s.replaced)
	t.Run("reading stops with its context", s.cancel)
	t.Run("a replay changes nothing", s.replay)
	t.Run("a failing reader is told", s.failing)
	t.Run("a second ingestion changes nothing", s.storing)
	t.Run("an ingestion that was killed goes on", s.killed)
	if s.Goldens != "" {
		t.Run("goldens", s.goldens)
	}
}

func (s Suite) open(in []byte, from adapters.Cursor, stream bool) (adapters.Source, error) {
	opts := s.Options
	opts.From = from
	var r io.Reader = bytes.NewReader(in)
	if stream {
		r = struct{ io.Reader }{r}
	}
	return s.Format.Open(context.Background(), adapters.Input{Name: "input", Reader: r}, opts)
}

// items reads an input to its end; the cursors are those after each item.
func (s Suite) items(in []byte, from adapters.Cursor, stream bool) (items []adapters.Item, cursors []adapters.Cursor, err error) {
	src, err := s.open(in, from, stream)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	for {
		it, err := src.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return items, cursors, nil
		}
		if err != nil {
			return items, cursors, err
		}
		items, cursors = append(items, it), append(cursors, src.Cursor())
	}
}

func count(items []adapters.Item) map[adapters.Kind]int {
	n := map[adapters.Kind]int{}
	for _, it := range items {
		n[it.Kind]++
	}
	return n
}

func (s Suite) badRecord(t *testing.T) {
	items, _, err := s.items(s.Bad, "", false)
	if err != nil {
		t.Fatal(err)
	}
	n := count(items)
	if n[adapters.Rejected] == 0 || n[adapters.Data] == 0 {
		t.Fatalf("want rejects and records, got %v", n)
	}
	for _, it := range items {
		if it.Kind == adapters.Rejected && (len(it.Issues) == 0 || it.Issues[0].Code == "" || it.Issues[0].Message == "" || it.Pos.Line == 0) {
			t.Errorf("a reject without code, message or line: %+v", it)
		}
		if it.Kind == adapters.Data && (it.Record == nil || it.Record.SHA256 == "" || it.Record.Pos.Line == 0 || it.Record.Kind == "") {
			t.Errorf("a record without hash, line or kind: %+v", it.Record)
		}
	}
}

func (s Suite) truncated(t *testing.T) {
	for _, in := range [][]byte{s.Good, s.Bad} {
		step := max(1, len(in)/3000) * sparse()
		for n := 0; n <= len(in); n += step {
			items, _, err := s.items(in[:n], "", n%2 == 0)
			if err != nil {
				var fe *adapters.FileError
				if !errors.As(err, &fe) {
					t.Fatalf("cut at %d: %v", n, err)
				}
				continue
			}
			total := 0
			for _, it := range items {
				total += it.Size()
			}
			if total > n || n-total > 4 { // a byte order mark is no item's
				t.Fatalf("cut at %d: the items cover %d bytes", n, total)
			}
		}
	}
}

func (s Suite) resume(t *testing.T) {
	for _, in := range [][]byte{s.Good, s.Bad} {
		all, cursors, err := s.items(in, "", false)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range cursors {
			if i%sparse() != 0 {
				continue
			}
			rest, _, err := s.items(in, c, i%2 == 0)
			if err != nil {
				t.Fatalf("cursor %s: %v", c, err)
			}
			if len(rest) != len(all)-i-1 {
				t.Fatalf("cursor %s: %d items are left, want %d", c, len(rest), len(all)-i-1)
			}
			for k := range rest {
				want := all[i+1+k]
				if rest[k].Kind != want.Kind || rest[k].Pos != want.Pos || !bytes.Equal(rest[k].Raw, want.Raw) {
					t.Fatalf("cursor %s: item %d is %v %v, want %v %v", c, k, rest[k].Kind, rest[k].Pos, want.Kind, want.Pos)
				}
			}
		}
	}
}

func (s Suite) replaced(t *testing.T) {
	_, cursors, err := s.items(s.Good, "", false)
	if err != nil {
		t.Fatal(err)
	}
	last := cursors[len(cursors)-1]
	other := bytes.Clone(s.Good)
	for i := len(other) - 1; i > 0; i-- {
		if other[i] >= 'a' && other[i] < 'z' {
			other[i]++
			break
		}
	}
	for name, in := range map[string][]byte{"changed": other, "shorter": s.Good[:len(s.Good)-3]} {
		var fe *adapters.FileError
		if _, _, err := s.items(in, last, false); !errors.As(err, &fe) || fe.Code != "replaced" {
			t.Errorf("%s: got %v, want a FileError with code replaced", name, err)
		}
	}
	if _, err := s.open(s.Good, "nonsense", false); err == nil {
		t.Error("a cursor of no known form was taken")
	}
}

func (s Suite) cancel(t *testing.T) {
	src, err := s.open(s.Good, "", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if _, err := src.Next(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := src.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after the context's end", err)
	}
}

// failing gives an error in the middle of the input.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = f.err
	}
	return n, err
}

func (s Suite) failing(t *testing.T) {
	broken := errors.New("the disk is broken")
	src, err := s.Format.Open(context.Background(), adapters.Input{Name: "input", Reader: &failing{bytes.NewReader(s.Good), broken}}, s.Options)
	for err == nil {
		_, err = src.Next(context.Background())
	}
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

// Convert runs a conversion over inputs and returns resources, rejects, findings
// and reports.
func (s Suite) Convert(bundle, stream bool, ins ...[]byte) (out, rejects, issues string, reports []*flow.Report, err error) {
	var o, r, i bytes.Buffer
	job := convert.Job{Format: s.Format, Options: s.Options, Mapper: s.Mapper, Mapping: mappings.Options{IDs: mappings.TestIDs},
		Bundle: bundle, Out: &o, Rejects: &r, Issues: &i}
	var paths []convert.Path
	for _, in := range ins {
		paths = append(paths, convert.Path{Name: "input", Stream: stream, Open: func() (adapters.Input, io.Closer, error) {
			return adapters.Input{Name: "input", Reader: bytes.NewReader(in)}, io.NopCloser(nil), nil
		}})
	}
	reports, err = job.Run(context.Background(), paths)
	return o.String(), r.String(), i.String(), reports, err
}

func (s Suite) replay(t *testing.T) {
	if s.Mapper == nil {
		t.Skip("no mapping: the replay was not tried")
	}
	for _, stream := range []bool{false, true} {
		once, _, _, first, err := s.Convert(false, stream, s.Good)
		if err != nil {
			t.Fatal(err)
		}
		twice, _, _, reports, err := s.Convert(false, stream, s.Good, s.Good)
		if err != nil {
			t.Fatal(err)
		}
		// A resource comes out with the last record that names it, so their order differs.
		if a, b := slices.Sorted(strings.Lines(once)), slices.Sorted(strings.Lines(twice)); !slices.Equal(a, b) {
			t.Errorf("stream %v: the second reading put out %d lines, the first %d", stream, len(b), len(a))
		}
		a, b := first[0], reports[1]
		if !a.AddsUp() || !b.AddsUp() || b.Created+b.Updated-b.Expunged > 0 || b.Records != a.Records || a.Created == 0 {
			t.Errorf("stream %v: first %+v, again %+v", stream, *a, *b)
		}
	}
}

func (s Suite) goldens(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(s.Goldens, "*.golden"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens in %s: %v", s.Goldens, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".golden"), func(t *testing.T) {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			in, _, _ := strings.Cut(string(raw), Separator)
			// A golden's lines end in LF; \r and other bytes are written as <0D>.
			out, _, issues, reports, err := s.Convert(true, false, unescape(in))
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := s.Mapper.(interface{ Content() string }); ok { // it changes with every file of the mapping
				out = strings.ReplaceAll(out, m.Content(), "CONTENT")
			}
			r := reports[0]
			got := fmt.Sprintf("%s%s%s%s%s%d records = %d created + %d updated + %d duplicates + %d rejects + %d non-records\n",
				in, Separator, out, Separator, issues, r.Records, r.Created, r.Updated, r.Duplicates, r.Rejects, r.NonRecords())
			if *update {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(raw) {
				t.Errorf("%s differs; run with -update and read the difference. Got:\n%s", f, got)
			}
		})
	}
}

// unescape puts bytes that a golden cannot show well in their place: <F1>.
func unescape(in string) []byte {
	var out []byte
	for i := 0; i < len(in); i++ {
		var b byte
		if in[i] == '<' && i+3 < len(in) && in[i+3] == '>' {
			if n, err := fmt.Sscanf(in[i+1:i+3], "%02X", &b); n == 1 && err == nil {
				out = append(out, b)
				i += 3
				continue
			}
		}
		out = append(out, in[i])
	}
	return out
}
