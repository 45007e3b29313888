package mllp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// split feeds a stream in pieces of a size and gives what came out, as text.
func split(s *Splitter, stream string, size int) []string {
	var out []string
	show := func(f Frame) {
		text := string(f.Body)
		if f.Err != nil {
			text += " !" + name(f.Err)
		}
		out = append(out, text)
	}
	for piece := range slices.Chunk([]byte(stream), size) {
		for {
			n, f, ok := s.Next(piece)
			piece = piece[n:]
			if !ok {
				break
			}
			show(f)
		}
	}
	if f, ok := s.Flush(); ok {
		show(f)
	}
	return out
}

func name(err error) string {
	for n, e := range map[string]error{"long": ErrTooLong, "unended": ErrUnended, "noise": ErrNoise, "inner": ErrInner} {
		if errors.Is(err, e) {
			return n
		}
	}
	return err.Error()
}

func TestFramesAreCutFromAnyStream(t *testing.T) {
	const a, b = "MSH|^~\\&|A\rPID|1\r", "MSH|^~\\&|B\nPID|2\r\n"
	for what, c := range map[string]struct {
		in   string
		want []string
	}{
		"one":                           {"\x0b" + a + "\x1c\r", []string{a}},
		"two at once":                   {"\x0b" + a + "\x1c\r\x0b" + b + "\x1c\r", []string{a, b}},
		"no start block":                {a + "\x1c\r" + b + "\x1c\r", []string{a, b}},
		"a batch without a start block": {"FHS|x\r" + a + "\x1c\rBHS|x\r\x1c\r", []string{"FHS|x\r" + a, "BHS|x\r"}},
		"no CR at the end":              {"\x0b" + a + "\x1c\x0b" + b + "\x1c", []string{a, b}},
		"LF and CR LF at the end":       {"\x0b" + a + "\x1c\n\x0b" + b + "\x1c\r\n", []string{a, b}},
		"kept alive":                    {"\r\n\x00 \x1c\r\x0b" + a + "\x1c\r\x00\x00\r\n\r\n\t\x0b" + b + "\x1c\r\r", []string{a, b}},
		"start block twice":             {"\x0b\x0b" + a + "\x1c\r", []string{a}},
		"the next begins too early":     {"\x0b" + a + "\x0b" + b + "\x1c\r", []string{a + " !unended", b}},
		"cut":                           {"\x0b" + a + "\x1c\r\x0bMSH|^", []string{a, "MSH|^ !unended"}},
		"noise and then a frame":        {"GET / HTTP/1.1\r\n\x0b" + a + "\x1c\r", []string{"GET / HTTP/1.1\r\n !noise", a}},
		"noise alone":                   {"hello\x1c\r", []string{"hello !noise"}},
		"an end block inside":           {"\x0bMSH|^~\\&|\x1cB\r\x1c\r\x0b" + b + "\x1c\r", []string{"MSH|^~\\&|\x1cB\r !inner", b}},
		"no message in a frame":         {"\x0bPID|1\r\x1c\r", []string{"PID|1\r"}},
		"an empty frame":                {"\x0b\x1c\r\x0b" + a + "\x1c\r", []string{"", a}},
		"nothing":                       {"\r\n", nil},
		"too long":                      {"\x0b" + a + strings.Repeat("x", 60) + "\x1c\r\x0b" + b + "\x1c\r", []string{(a + strings.Repeat("x", 60))[:64] + " !long", b}},
		"as long as can be":             {"\x0b" + a + strings.Repeat("x", 64-len(a)) + "\x1c\r", []string{a + strings.Repeat("x", 64-len(a))}},
	} {
		t.Run(what, func(t *testing.T) {
			for size := 1; size <= len(c.in); size++ {
				if got := split(&Splitter{Max: 64}, c.in, size); !slices.Equal(got, c.want) {
					t.Fatalf("in pieces of %d bytes:\n got %q\nwant %q", size, got, c.want)
				}
			}
		})
	}
}

func TestAFrameIsTheSameWhereverItIsCut(t *testing.T) {
	stream := string(Wrap([]byte("MSH|^~\\&|A\r"))) + "\r\n" + string(Wrap([]byte("MSH|^~\\&|B\r")))
	for at := range len(stream) {
		s := &Splitter{}
		var got []string
		for _, piece := range []string{stream[:at], stream[at:]} {
			in := []byte(piece)
			for {
				n, f, ok := s.Next(in)
				in = in[n:]
				if !ok {
					break
				}
				got = append(got, string(f.Body))
			}
			if len(in) > 0 {
				t.Fatalf("cut at %d: %q was not consumed", at, in)
			}
		}
		if want := []string{"MSH|^~\\&|A\r", "MSH|^~\\&|B\r"}; !slices.Equal(got, want) {
			t.Errorf("cut at %d: %q", at, got)
		}
	}
}

// FuzzSplitter wants the same frames however a stream is cut, no byte of a
// message lost, and no more memory than a frame may have.
func FuzzSplitter(f *testing.F) {
	for _, s := range []string{"", "\x0bMSH|^~\\&|A\r\x1c\r", "MSH|a\x1cb\x1c\x0b\x0bMSH\x1c\n", "noise\x0bMSH|\x1c", strings.Repeat("\x0bM", 9), "\x0b" + strings.Repeat("x", 99) + "\x1c\r"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		const most = 32
		whole := split(&Splitter{Max: most}, string(stream), max(len(stream), 1))
		if got := split(&Splitter{Max: most}, string(stream), max(int(size), 1)); !slices.Equal(got, whole) {
			t.Fatalf("cut in %d: %q\nwhole: %q", size, got, whole)
		}
		total := 0
		for _, w := range whole {
			text, _, _ := strings.Cut(w, " !")
			total += len(text)
			if len(text) > most {
				t.Fatalf("a frame of %d bytes", len(text))
			}
		}
		if total > len(stream) {
			t.Fatalf("%d bytes became %d", len(stream), total)
		}
		body := bytes.Map(func(r rune) rune {
			if r == startBlock || r == endBlock {
				return 'x'
			}
			return r
		}, stream)
		if got := split(&Splitter{}, string(Wrap(body)), max(int(size), 1)); len(body) > 0 && (len(got) != 1 || got[0] != string(body)) {
			t.Fatalf("%q came back as %q", body, got)
		}
	})
}

func ExampleWrap() {
	fmt.Printf("%q\n", Wrap([]byte("MSH|^~\\&|\r")))
	// Output: "\vMSH|^~\\&|\r\x1c\r"
}
