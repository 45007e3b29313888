package jsonl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings/tree"
)

func read(in string, limit int) ([]adapters.Item, error) {
	src, err := Open(context.Background(), adapters.Input{Name: "f", Reader: strings.NewReader(in)}, adapters.Options{Kinds: []string{"k"}, MaxRecord: limit})
	if err != nil {
		return nil, err
	}
	var items []adapters.Item
	for {
		it, err := src.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		items = append(items, it)
	}
}

func text(n *tree.Node) string {
	if len(n.Children) == 0 {
		return n.Name + "=" + n.Text
	}
	var parts []string
	for _, c := range n.Children {
		parts = append(parts, text(c))
	}
	return n.Name + "(" + strings.Join(parts, " ") + ")"
}

func show(items []adapters.Item) string {
	var out []string
	for _, it := range items {
		s := fmt.Sprintf("%s %d:%d", it.Kind, it.Pos.Line, it.Pos.Column)
		if it.Record != nil {
			s += " " + text(it.Record.Root)
		}
		for _, is := range it.Issues {
			s += fmt.Sprintf(" %s %d:%d%s", is.Code, is.Pos.Line, is.Pos.Column, is.Field)
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestItems(t *testing.T) {
	for in, want := range map[string]string{
		"{\"a\":1}\n{\"a\":2}":                 "record 1:1 (a=1); record 2:1 (a=2)",
		"\ufeff{\"a\":1}\r\n\r\n{\"a\":2}\r\n": "record 1:1 (a=1); blank 2:1; record 3:1 (a=2)",
		"{\"a\":1}{\"a\":2} {\"a\":3}\n":       "record 1:1 (a=1); record 1:8 (a=2); record 1:16 (a=3)",
		"[{\"a\":1},\n {\"a\":2}]\n":           "header 1:1; record 1:2 (a=1); record 2:2 (a=2); trailer 2:9",
		"[\n  {\n    \"a\": 1\n  }\n  ,{}\n]":  "header 1:1; record 2:3 (a=1); record 5:4 =; trailer 6:1",
		"[{\"a\":1}":                           "header 1:1; record 1:2 (a=1); reject 1:9 truncated 1:9",
		"{\"a\":{\"b\":[1,{\"c\":\"\"},[2,3]],\"d\":null,\"e\":true,\"n\":-1.50e3}}": "record 1:1 (a(b=1 b(c=) b(item=2 item=3) e=true n=-1.50e3))",
		"{\"a\":1\n{\"a\":2}\n":                   "reject 1:1 truncated 1:1; record 2:1 (a=2)",
		"{\"a\":\"x\n{\"a\":2}\n":                 "reject 1:1 line-end-in-string 1:1; record 2:1 (a=2)",
		"{\"a\":1,\"a\":2}\n{\"a\":2}\n":          "reject 1:1 duplicate-name 1:8/a; record 2:1 (a=2)",
		"{\"a\":1,}\n{\"a\":2}\n":                 "reject 1:1 syntax 1:8/a; record 2:1 (a=2)",
		"{\"a\":01}\n[1]\n7\nnull\n{\"a\":2}\n":   "reject 1:1 syntax 1:7/a; reject 2:1 not-an-object 2:1; reject 3:1 not-an-object 3:1; reject 4:1 not-an-object 4:1; record 5:1 (a=2)",
		"{\"a\":\"\xff\"}\n{\"a\":2}\n":           "reject 1:1 undecodable 1:7/a; record 2:1 (a=2)",
		"{\"a\":1]\n{\"a\":2}\n":                  "reject 1:1 syntax 1:1; record 2:1 (a=2)",
		"{\n  \"a\": {\n \"b\": 1\n\n{\"a\":2}\n": "reject 1:1 truncated 1:1; record 5:1 (a=2)",
		"{\n\"a\": {\n\"b\": 1}\n}\n{\"a\":2}\n":  "record 1:1 (a(b=1)); record 5:1 (a=2)",
		"{\"a\":[\n{\"b\":1},\n{\"b\":2}\n]}\n":   "record 1:1 (a(b=1) a(b=2))",
	} {
		items, err := read(in, 0)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := show(items); got != want {
			t.Errorf("%q:\n got %s\nwant %s", in, got, want)
		}
	}
}

func TestWhatIsNoJSONIsToldAtOnce(t *testing.T) {
	for in, code := range map[string]string{"": "empty", " \n": "empty", "a,b\n1,2\n": "no-object", "\xff\xfe{\x00": "encoding", "PK\x03\x04\x00\x00\x00\x00{\x00\x00": "binary"} {
		var fe *adapters.FileError
		if _, err := read(in, 0); !errors.As(err, &fe) || fe.Code != code {
			t.Errorf("%q: got %v, want %s", in, err, code)
		}
	}
}

func TestSizeAndDepthAreBounded(t *testing.T) {
	long := "{\"a\":\"" + strings.Repeat("x", 200_000) + "\"}\n{\"a\":2}\n"
	items, err := read(long, 1000)
	if err != nil || show(items) != "reject 1:1 too-long 1:1; record 2:1 (a=2)" || len(items[0].Raw) > 1100 {
		t.Errorf("%s, %v, %d bytes kept", show(items), err, len(items[0].Raw))
	}
	deep := strings.Repeat("{\"a\":", 70) + "1" + strings.Repeat("}", 70) + "\n{\"a\":2}\n"
	if items, err = read(deep, 0); err != nil || show(items) != "reject 1:1 too-deep 1:1; record 2:1 (a=2)" {
		t.Errorf("%s, %v", show(items), err)
	}
}

func FuzzEveryByteIsAccountedFor(f *testing.F) {
	for _, s := range []string{"{\"a\":1}\n{\"a\":2}", "[{\"a\":1},\n {\"a\":[1,[2]]}]\n", "{\"a\":1\n{\"a\":2}\n", "{\"a\":\"x\n{\"a\":2}\n", "\ufeff [ {} , 3 ] x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		items, err := read(in, 1<<20)
		if err != nil {
			var fe *adapters.FileError
			if !errors.As(err, &fe) {
				t.Fatal(err)
			}
			return
		}
		var b strings.Builder
		for _, it := range items {
			if (it.Kind == adapters.Data) != (it.Record != nil) || it.Kind == adapters.Rejected && len(it.Issues) == 0 {
				t.Fatalf("%v with %v and %v", it.Kind, it.Record, it.Issues)
			}
			b.Write(it.Raw)
		}
		if got := b.String(); !strings.HasSuffix(in, got) || len(in)-len(got) > 3 {
			t.Fatalf("items cover %q of %q", got, in)
		}
	})
}
