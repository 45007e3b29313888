package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An attack changes the files of a closed trail of 60 events.
type attack struct {
	name string
	do   func(t *testing.T, p place)
	says string // in the first problem
}

func (p place) segs(t *testing.T) []segment {
	t.Helper()
	segs, err := segments(p.dir)
	if err != nil || len(segs) < 4 {
		t.Fatalf("%v, %v", segs, err)
	}
	return segs
}

// edit changes the lines of the nth segment.
func (p place) edit(t *testing.T, n int, f func(lines [][]byte) [][]byte) {
	t.Helper()
	path := filepath.Join(p.dir, p.segs(t)[n].name)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := f(bytes.SplitAfter(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n")))
	out := bytes.Join(lines, nil)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p place) last(t *testing.T) int { return len(p.segs(t)) - 1 }

// rewrite chains all records anew with one changed, as someone would who has
// the files but not the key.
func rewrite(t *testing.T, p place, change func(seq uint64, event []byte) []byte) {
	t.Helper()
	prev := noHash
	for _, s := range p.segs(t) {
		var out []byte
		err := readSegment(p.dir, s.name, func(l line) error {
			f, err := parseFrame(l.bytes)
			if err != nil {
				return err
			}
			out, prev = appendLine(out, f.Seq, prev, f.Trail, change(f.Seq, f.Event))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.dir, s.name), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func hideStatus(seq uint64, event []byte) []byte {
	if seq == 30 {
		return bytes.Replace(event, []byte(`"status":200`), []byte(`"status":403`), 1)
	}
	return event
}

func editAnchor(f func(lines []string) []string) func(*testing.T, place) {
	return func(t *testing.T, p place) {
		raw, err := os.ReadFile(p.anchor.Path)
		if err != nil {
			t.Fatal(err)
		}
		lines := f(strings.SplitAfter(string(raw), "\n"))
		if err := os.WriteFile(p.anchor.Path, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(n func(t *testing.T, p place) int) func(*testing.T, place) {
	return func(t *testing.T, p place) {
		if err := os.Remove(filepath.Join(p.dir, p.segs(t)[n(t, p)].name)); err != nil {
			t.Fatal(err)
		}
	}
}

func nth(n int) func(*testing.T, place) int { return func(*testing.T, place) int { return n } }

var attacks = []attack{
	{"a record is changed", func(t *testing.T, p place) {
		p.edit(t, 1, func(ls [][]byte) [][]byte {
			ls[2] = bytes.Replace(ls[2], []byte(`"status":200`), []byte(`"status":403`), 1)
			return ls
		})
	}, "was changed"},
	{"one bit of the last record is changed", func(t *testing.T, p place) {
		p.edit(t, p.last(t), func(ls [][]byte) [][]byte {
			i := bytes.Index(ls[len(ls)-1], []byte("audit-close"))
			ls[len(ls)-1][i] ^= 1
			return ls
		})
	}, "is not what checkpoint"},
	{"a record is made unreadable", func(t *testing.T, p place) {
		p.edit(t, 1, func(ls [][]byte) [][]byte { ls[1][5] = '!'; return ls })
	}, "cannot be read"},
	{"a record is removed", func(t *testing.T, p place) {
		p.edit(t, 1, func(ls [][]byte) [][]byte { return append(ls[:2:2], ls[3:]...) })
	}, "removed"},
	{"the first record is removed", func(t *testing.T, p place) {
		p.edit(t, 0, func(ls [][]byte) [][]byte { return ls[1:] })
	}, "removed"},
	{"two records change places", func(t *testing.T, p place) {
		p.edit(t, 1, func(ls [][]byte) [][]byte { ls[1], ls[2] = ls[2], ls[1]; return ls })
	}, "moved"},
	{"a record comes twice", func(t *testing.T, p place) {
		p.edit(t, 1, func(ls [][]byte) [][]byte { return append(ls[:3:3], ls[2:]...) })
	}, "moved"},
	{"the last record is removed", func(t *testing.T, p place) {
		p.edit(t, p.last(t), func(ls [][]byte) [][]byte { return ls[:len(ls)-1] })
	}, "the last 1 were removed"},
	{"the end is torn off", func(t *testing.T, p place) {
		path := filepath.Join(p.dir, p.segs(t)[p.last(t)].name)
		info, _ := os.Stat(path)
		if err := os.Truncate(path, info.Size()-10); err != nil {
			t.Fatal(err)
		}
	}, "middle of a record"},
	{"the newline at the end is cut off", func(t *testing.T, p place) {
		path := filepath.Join(p.dir, p.segs(t)[p.last(t)].name)
		info, _ := os.Stat(path)
		if err := os.Truncate(path, info.Size()-1); err != nil {
			t.Fatal(err)
		}
	}, "middle of a record"},
	{"the last segment is emptied", func(t *testing.T, p place) {
		p.edit(t, p.last(t), func([][]byte) [][]byte { return nil })
	}, "were removed"},
	{"something stands after the end", func(t *testing.T, p place) {
		appendTo(t, filepath.Join(p.dir, p.segs(t)[p.last(t)].name), "x")
	}, "middle of a record"},
	{"a record with spaces", func(t *testing.T, p place) {
		p.edit(t, 1, func(ls [][]byte) [][]byte {
			ls[1] = bytes.Replace(ls[1], []byte(`,"event"`), []byte(`, "event"`), 1)
			return ls
		})
	}, "cannot be read"},
	{"a segment in the middle is removed", remove(nth(2)), "removed"},
	{"the first segment is removed", remove(nth(0)), "removed"},
	{"the last segment is removed", remove((func(t *testing.T, p place) int { return p.last(t) })), "were removed"},
	{"all segments are removed", func(t *testing.T, p place) {
		for _, s := range p.segs(t) {
			if err := os.Remove(filepath.Join(p.dir, s.name)); err != nil {
				t.Fatal(err)
			}
		}
	}, "were removed"},
	{"two segments change names", func(t *testing.T, p place) {
		a, b := filepath.Join(p.dir, p.segs(t)[1].name), filepath.Join(p.dir, p.segs(t)[2].name)
		if err := errors.Join(os.Rename(a, a+"x"), os.Rename(b, a), os.Rename(a+"x", b)); err != nil {
			t.Fatal(err)
		}
	}, "stands where"},
	{"the chain is written anew without the key", func(t *testing.T, p place) { rewrite(t, p, hideStatus) }, "is not what checkpoint"},
	{"the chain and the anchor are written anew with another key", func(t *testing.T, p place) {
		rewrite(t, p, hideStatus)
		_, other, _ := ed25519.GenerateKey(rand.Reader)
		trail, err := Open(Options{Dir: filepath.Join(t.TempDir(), "x"), Anchor: &FileAnchor{Path: p.anchor.Path + "x"}, Key: other})
		if err != nil {
			t.Fatal(err)
		}
		shut(t, trail)
		if err := os.Rename(p.anchor.Path+"x", p.anchor.Path); err != nil {
			t.Fatal(err)
		}
	}, "another key"},
	{"the anchor is removed", func(t *testing.T, p place) { _ = os.Remove(p.anchor.Path) }, "no checkpoint"},
	{"a checkpoint is removed", editAnchor(func(ls []string) []string { return append(ls[:1:1], ls[2:]...) }), "checkpoints were removed"},
	{"a checkpoint is changed", editAnchor(func(ls []string) []string {
		ls[1] = strings.Replace(ls[1], `"count":`, `"count":1`, 1)
		return ls
	}), "signature"},
	{"two checkpoints change places", editAnchor(func(ls []string) []string { ls[0], ls[1] = ls[1], ls[0]; return ls }), "removed, added or moved"},
	{"the anchor is no anchor", editAnchor(func([]string) []string { return []string{"hello\n"} }), "not a checkpoint"},
}

func TestVerifyFindsTampering(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			p := filled(t, 60)
			a.do(t, p)
			r, err := p.verify()
			if !errors.Is(err, ErrTampered) {
				t.Fatalf("not found: %+v, %v", r, err)
			}
			t.Log(err)
			all := fmt.Sprint(r.Problems)
			if !strings.Contains(all, a.says) {
				t.Errorf("%s does not say %q", all, a.says)
			}
		})
	}
}

// Every byte of the log counts.
func TestVerifyFindsAnyChangedByte(t *testing.T) {
	p := filled(t, 20)
	for _, s := range func() []segment { segs, _ := segments(p.dir); return segs }() {
		path := filepath.Join(p.dir, s.name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(good); at += 13 {
			bad := bytes.Clone(good)
			bad[at] ^= 0x20
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := p.verify(); !errors.Is(err, ErrTampered) {
				t.Fatalf("byte %d of %s: %q for %q verifies", at, s.name, bad[at], good[at])
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.verify(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesWhatIsNotACrash(t *testing.T) {
	refused := map[string]bool{}
	for _, a := range attacks {
		p := filled(t, 60)
		a.do(t, p)
		before := fmt.Sprint(listing(t, p.dir))
		trail, err := Open(p.options())
		if err == nil {
			shut(t, trail)
			// Open reads from the last checkpoint on; what is older is for
			// Verify, and must still be found after Open.
			if _, err := p.verify(); !errors.Is(err, ErrTampered) && a.name != "something stands after the end" {
				t.Errorf("%s: Open has covered it up", a.name)
			}
			continue
		}
		refused[a.name] = true
		if after := fmt.Sprint(listing(t, p.dir)); after != before {
			t.Errorf("%s: Open has changed files: %s, was %s", a.name, after, before)
		}
	}
	for _, name := range []string{
		"one bit of the last record is changed", "the last record is removed", "the end is torn off", "the last segment is removed",
		"all segments are removed", "the chain is written anew without the key", "the chain and the anchor are written anew with another key",
	} {
		if !refused[name] {
			t.Errorf("%s: Open goes on", name)
		}
	}
}

func listing(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = info.Size()
	}
	return out
}

func TestVerifySaysWhere(t *testing.T) {
	p := filled(t, 60)
	p.edit(t, 1, func(ls [][]byte) [][]byte {
		ls[2] = bytes.Replace(ls[2], []byte(`"status":200`), []byte(`"status":403`), 1)
		return ls
	})
	r, _ := p.verify()
	segs := p.segs(t)
	want := Problem{Segment: segs[1].name, Seq: segs[1].first + 2}
	got := r.Problems[0]
	if got.Segment != want.Segment || got.Seq != want.Seq || got.Offset == 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestVerifyNeedsAFolderAndAKey(t *testing.T) {
	p := filled(t, 1)
	if _, err := Verify(filepath.Join(p.dir, "none"), p.anchor, p.key.Public()); err == nil {
		t.Error("no folder")
	}
	if _, err := Verify(p.anchor.Path, p.anchor, p.key.Public()); err == nil {
		t.Error("a file")
	}
	if _, err := Verify(t.TempDir(), &FileAnchor{Path: filepath.Join(t.TempDir(), "none")}, p.key.Public()); err == nil {
		t.Error("an empty folder verifies")
	}
	if _, err := Verify(p.dir, p.anchor, "key"); err == nil {
		t.Error("no key")
	}
}

func FuzzParseRecord(f *testing.F) {
	event, _ := json.Marshal(sample(1))
	l, _ := appendLine(nil, 1, noHash, "id", event)
	f.Add(l[:len(l)-1])
	f.Add([]byte(`{"seq":1,"prev":"","event":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ParseRecord(raw)
		if err != nil {
			return
		}
		if r.Seq == 0 || len(r.Prev) != 64 || r.Hash != hashLine(raw) {
			t.Errorf("%q is read as %+v", raw, r)
		}
	})
}

func FuzzFileAnchor(f *testing.F) {
	f.Add([]byte(`{"n":1,"trail":"x","count":1,"head":"","at":"2026-03-01T08:00:00Z","prev":"","key":"","sig":""}` + "\n"))
	f.Add([]byte("{\n\n{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "anchor")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		a := &FileAnchor{Path: path}
		before, err := a.Checkpoints(t.Context())
		if err != nil {
			return
		}
		if err := a.Append(t.Context(), Checkpoint{Number: 7}); err != nil {
			t.Fatal(err)
		}
		after, err := a.Checkpoints(t.Context())
		if err != nil || len(after) != len(before)+1 {
			t.Errorf("%q: %d checkpoints, then %d, %v", raw, len(before), len(after), err)
		}
	})
}
