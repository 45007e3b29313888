package csv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings"
)

var small = []adapters.Field{{Name: "ORI", Required: true}, {Name: "Inc", Aliases: []string{"Incident No"}, Required: true}, {Name: "Name"}, {Name: "Note"}, {Name: "Mod"}}

func readAll(t testing.TB, text string, opts adapters.Options) ([]adapters.Item, error) {
	t.Helper()
	if opts.Fields == nil {
		opts.Fields = small
	}
	src, err := Open(context.Background(), adapters.Input{Name: "f.csv", Reader: strings.NewReader(text)}, opts)
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

// show writes items as lines: kind, line, and the cells or the first issue.
func show(items []adapters.Item) string {
	var b strings.Builder
	for _, it := range items {
		fmt.Fprintf(&b, "%s %d", it.Kind, it.Pos.Line)
		if it.Record != nil {
			for _, c := range it.Record.Root.Children {
				fmt.Fprintf(&b, " [%s]", strings.ReplaceAll(c.Text, "\n", "⏎"))
			}
		}
		for _, is := range it.Issues {
			fmt.Fprintf(&b, " %s(%s)", is.Code, is.Field)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const head = "ORI,Inc,Name,Note,Mod\n"

func TestRowsAreKeptOrQuarantined(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", head + "Z1,25-1,A,n,1\nZ1,25-2,B,,2\n", "header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nrecord 3 [Z1] [25-2] [B] [] [2]\n"},
		{"no final newline", head + "Z1,25-1,A,n,1", "header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\n"},
		{"mixed line ends", strings.ReplaceAll(head, "\n", "\r") + "Z1,25-1,A,n,1\r\nZ1,25-2,B,n,2\n\nZ1,25-3,C,n,3\r", "header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nrecord 3 [Z1] [25-2] [B] [n] [2]\nblank 4\nrecord 5 [Z1] [25-3] [C] [n] [3]\n"},
		{"newline in quotes", head + "Z1,25-1,A,\"x\r\n\r\ny, \"\"z\"\"\",1\n", "header 1\nrecord 2 [Z1] [25-1] [A] [x⏎⏎y, \"z\"] [1]\n"},
		{"unescaped quote is repaired", head + "Z1,25-1,A,\"said \"go\" and left\",1\n", "header 1\nrecord 2 [Z1] [25-1] [A] [said \"go\" and left] [1] quote-repaired(Note)\n"},
		{"quote in an unquoted field", head + "Z1,25-1,A,5'10\",1\n", "header 1\nrecord 2 [Z1] [25-1] [A] [5'10\"] [1]\n"},
		{"quote that cannot be repaired", head + "Z1,25-1,A,\"said \"no\", left\",1\nZ1,25-2,B,n,2\n", "header 1\nreject 2 broken-quote(Note)\nrecord 3 [Z1] [25-2] [B] [n] [2]\n"},
		{"missing closing quote", head + "Z1,25-1,A,n,1\nZ1,25-2,B,\"open,2\nZ1,25-3,C,n,3\nZ1,25-4,D,\"q\",4\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nreject 3 unterminated-quote(Note)\nrecord 4 [Z1] [25-3] [C] [n] [3]\nrecord 5 [Z1] [25-4] [D] [q] [4]\n"},
		{"missing closing quote in the first record", head + "Z1,25-2,B,\"open,2\nZ1,25-3,C,n,3\nZ1,25-4,D,n,4\n",
			"header 1\nreject 2 unterminated-quote(Note)\nrecord 3 [Z1] [25-3] [C] [n] [3]\nrecord 4 [Z1] [25-4] [D] [n] [4]\n"},
		{"missing closing quote over several lines", head + "Z1,25-1,A,n,1\nZ1,25-2,B,\"open\ntext\n\nmore,2\nZ1,25-3,C,\"a\nb\",3\nEND OF REPORT\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nreject 3 unterminated-quote(Note)\nrecord 7 [Z1] [25-3] [C] [a⏎b] [3]\ntrailer 9\n"},
		{"missing closing quote before the trailer", head + "Z1,25-1,A,n,1\nZ1,25-2,B,\"open,2\n*** 2 records ***\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nreject 3 unterminated-quote(Note)\ntrailer 4\n"},
		{"a whole record inside right quotes is text", head + "Z1,25-1,A,n,1\nZ1,25-2,B,\"see\nZ1,25-9,EVIL,n,9\nend\",2\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nrecord 3 [Z1] [25-2] [B] [see⏎Z1,25-9,EVIL,n,9⏎end] [2]\n"},
		{"ends inside quotes", head + "Z1,25-1,A,n,1\nZ1,25-2,B,\"cut", "header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nreject 3 truncated(Note)\n"},
		{"short and long", head + "Z1,25-1,A\nZ1,25-2,B,n,2,x\nZ1,25-3,C,n,3\n", "header 1\nreject 2 column-count()\nreject 3 column-count()\nrecord 4 [Z1] [25-3] [C] [n] [3]\n"},
		{"non-records", "Riverton PD\n\n" + head + "Z1,25-1,A,n,1\n" + head + ",,,,\n-----\nTotal,1\n*** 1 records ***\nEND OF REPORT\n\x1a",
			"header 1\nblank 2\nheader 3\nrecord 4 [Z1] [25-1] [A] [n] [1]\nheader 5\nblank 6\ntrailer 7\ntrailer 8\ntrailer 9\ntrailer 10\nblank 11\n"},
		{"a trailer's count is checked", head + "Z1,25-1,A,n,1\n120 records\n", "header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\ntrailer 3 trailer-count()\n"},
		{"extra and missing columns, other spelling", " mod ,INCIDENT_NO,ori,Extra\n9,25-1,Z1,e\n", "header 1 unknown-column(Extra) missing-column(Name) missing-column(Note)\nrecord 2 [9] [25-1] [Z1] [e]\n"},
		{"semicolon", strings.ReplaceAll(head, ",", ";") + "Z1;25-1;A;n, m;1\n", "header 1\nrecord 2 [Z1] [25-1] [A] [n, m] [1]\n"},
		{"pipe", strings.ReplaceAll(head, ",", "|") + "Z1|25-1|A|n, m|1\n", "header 1\nrecord 2 [Z1] [25-1] [A] [n, m] [1]\n"},
		{"tab and sep", "sep=\t\n" + strings.ReplaceAll(head, ",", "\t") + "Z1\t25-1\tA\tn\t1\n", "header 1\nheader 2\nrecord 3 [Z1] [25-1] [A] [n] [1]\n"},
		{"control characters", head + "Z1,25-1,A\x00,a\x07b\x0bc,1\n", "header 1\nrecord 2 [Z1] [25-1] [A] [a\uFFFDb⏎c] [1] control-character(Name) control-character(Note)\n"},
		{"formula", head + "Z1,25-1,=1+1,\"=HYPERLINK(\"\"x\"\")\",1\n", "header 1\nrecord 2 [Z1] [25-1] [=1+1] [=HYPERLINK(\"x\")] [1]\n"},
		{"blanks round quotes", head + "Z1, 25-1, \"A, B\" ,n,1\n", "header 1\nrecord 2 [Z1] [ 25-1] [A, B] [n] [1]\n"},
	} {
		items, err := readAll(t, c.in, adapters.Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := show(items); got != c.want {
			t.Errorf("%s:\ngot\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func TestEncodingsAreFound(t *testing.T) {
	utf16 := func(s string, big, mark bool) string {
		var b []byte
		if mark {
			s = "\uFEFF" + s
		}
		for _, u := range utf16.Encode([]rune(s)) {
			if big {
				b = append(b, byte(u>>8), byte(u))
			} else {
				b = append(b, byte(u), byte(u>>8))
			}
		}
		return string(b)
	}
	text := head + "Z1,25-1,Muñoz €,\"a\r\nb\",1\r\n"
	filler := strings.Repeat("Z1,25-1,A,n,1\n", 20000)
	for _, c := range []struct{ name, in, charset, want, code string }{
		{"utf-8", text, "", "Muñoz €", ""},
		{"utf-8 with mark", "\uFEFF" + text, "", "Muñoz €", ""},
		{"utf-16le", utf16(text, false, true), "", "Muñoz €", ""},
		{"utf-16be", utf16(text, true, true), "", "Muñoz €", ""},
		{"utf-16le without mark", utf16(text, false, false), "", "Muñoz €", ""},
		{"windows-1252", head + "Z1,25-1,Mu\xf1oz \x80,n,1\n", "", "Muñoz €", ""},
		{"iso-8859-1 configured", head + "Z1,25-1,Mu\xf1oz \x80,n,1\n", "ISO-8859-1", "Muñoz \u0080", "control-character"},
		{"utf-8 configured as windows-1252", text, "windows-1252", "Muñoz €", ""},
		{"utf-8 late, configured as windows-1252", head + filler + "Z1,25-1,Muñoz,n,1\n", "windows-1252", "Muñoz", ""},
		{"utf-16be without mark", utf16(text, true, false), "", "Muñoz €", ""},
		{"utf-16le configured as windows-1252", utf16(text, false, false), "windows-1252", "Muñoz €", ""},
		{"utf-16be configured as utf-8", utf16(text, true, false), "utf-8", "Muñoz €", ""},
		{"windows-1252 configured", head + "Z1,25-1,Mu\xf1oz \x80,n,1\n", "windows-1252", "Muñoz €", ""},
		{"both, configured as windows-1252", head + "Z1,25-1,\xc3\xb1,n,1\nZ1,25-1,Mu\xf1oz,n,1\n", "windows-1252", "Muñoz", ""},
		{"padded with NULs", head + "Z1,25-1,Muñoz" + strings.Repeat("\x00", 200) + ",n,1\n", "", "Muñoz", "control-character"},
		{"undefined byte", head + "Z1,25-1,Mu\x81oz,n,1\n", "", "Mu\u0081oz", "undefined-byte"},
		{"8-bit byte late in the file", head + filler + "Z1,25-1,Mu\xf1oz,n,1\n", "", "Muñoz", ""},
		{"one bad line in UTF-8", head + "Z1,25-1,é,é,1\nZ1,25-1,Mu\xf1oz,n,1\n", "", "Muñoz", "mixed-encoding"},
	} {
		for _, seek := range []bool{true, false} {
			var r io.Reader = strings.NewReader(c.in)
			if !seek {
				r = struct{ io.Reader }{r}
			}
			opts := adapters.Options{Fields: small, Profile: &mappings.Profile{Mapping: "x", Charset: c.charset}}
			src, err := Open(context.Background(), adapters.Input{Name: "f", Reader: r}, opts)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			var last adapters.Item
			overruled := 0
			for {
				it, err := src.Next(context.Background())
				if err != nil {
					break
				}
				last = it
				last.Issues = nil
				for _, is := range it.Issues {
					if is.Code == "charset-overruled" {
						overruled++
						continue
					}
					last.Issues = append(last.Issues, is)
				}
			}
			if want := strings.HasPrefix(c.name, "utf-") && strings.Contains(c.name, "configured as"); overruled == 1 != want {
				t.Errorf("%s (seek %v): %d findings that the configured encoding is not the file's", c.name, seek, overruled)
			}
			if last.Record == nil || last.Record.Root.First("Name").Text != c.want {
				t.Errorf("%s (seek %v): got %v, want name %q", c.name, seek, show([]adapters.Item{last}), c.want)
				continue
			}
			code := ""
			if len(last.Issues) > 0 {
				code = last.Issues[0].Code
			}
			if code != c.code {
				t.Errorf("%s (seek %v): issue %q, want %q", c.name, seek, code, c.code)
			}
		}
	}
}

func TestFilesAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, in, code, want string }{
		{"empty", "", "empty", "empty"},
		{"blank", "\n \n", "empty", "blank"},
		{"no header", "a,b,c\n1,2,3\n", "no-header", "f.csv:1"},
		{"no required column", "ORI,Name,Note,Mod\nZ,A,n,1\n", "missing-column", "f.csv:1: the header lacks required columns: Inc"},
		{"workbook", "PK\x03\x04xxxxxx", "binary", "Excel"},
		{"binary", strings.Repeat("\x00\x01\x02\xff", 100), "binary", "binary"},
	} {
		_, err := readAll(t, c.in, adapters.Options{})
		var fe *adapters.FileError
		if !errors.As(err, &fe) || fe.Code != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want code %q and %q", c.name, err, c.code, c.want)
		}
	}
}

func TestLongFieldsAreCapped(t *testing.T) {
	in := head + "Z1,25-1,A," + strings.Repeat("x", 300_000) + ",1\nZ1,25-2,B,\"" + strings.Repeat("y\n", 100_000) + "\",2\nZ1,25-3,C,n,3\n"
	items, err := readAll(t, in, adapters.Options{MaxRecord: 50_000})
	if err != nil {
		t.Fatal(err)
	}
	good, long := 0, 0
	for _, it := range items {
		if it.Kind == adapters.Data {
			good++
		}
		if it.Kind == adapters.Rejected && it.Issues[0].Code == "too-long" {
			long++
		}
		if len(it.Raw) > 51_000 {
			t.Errorf("an item holds %d bytes", len(it.Raw))
		}
	}
	if good != 1 || long < 2 {
		t.Errorf("%d records and %d too long", good, long)
	}
}

// Every byte of the input belongs to exactly one item.
func coverage(t *testing.T, in string, opts adapters.Options) {
	items, err := readAll(t, in, opts)
	if err != nil {
		return
	}
	var b strings.Builder
	for _, it := range items {
		if it.Kind == adapters.Rejected && len(it.Issues) == 0 {
			t.Fatalf("a reject without a reason: %q", it.Raw)
		}
		if (it.Kind == adapters.Data) != (it.Record != nil) {
			t.Fatalf("kind %v with record %v", it.Kind, it.Record)
		}
		b.Write(it.Raw)
	}
	got := b.String()
	if !strings.HasSuffix(in, got) || len(in)-len(got) > 3 {
		t.Fatalf("items cover %q of %q", got, in)
	}
}

func FuzzEveryByteIsAccountedFor(f *testing.F) {
	f.Add(head + "Z1,25-1,A,\"n\",1\nZ1,25-2,B,\"open,2\nZ1,25-3,C,n,3\r\nEND\n")
	f.Add("\uFEFF" + head + "\"Z1\",\"25\r1\",\"\"\"\",x\"y\",\"\n")
	f.Add("ORI|Inc|Name\r\r\n\"|\"\"|\"|\r1|2|3\x00")
	f.Fuzz(func(t *testing.T, in string) { coverage(t, in, adapters.Options{}) })
}

func TestRivertonExportAddsUp(t *testing.T) {
	in, err := os.ReadFile("../../../../shared/data/police/synthetic/rms_contacts_cit_riverton_cp1252.csv")
	if err != nil {
		t.Skip("../shared is absent: the Riverton export was not tried")
	}
	m, err := mappings.Load(mappings.Files(), "rms/riverton/contact.map.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	items, err := readAll(t, string(in), adapters.Options{Fields: m.Fields()})
	if err != nil {
		t.Fatal(err)
	}
	n := map[adapters.Kind]int{}
	for _, it := range items {
		n[it.Kind]++
		if it.Kind != adapters.Data || len(it.Issues) > 0 {
			t.Log(it.Kind, it.Pos, it.Issues)
		}
	}
	if n[adapters.Header] != 1 || n[adapters.Rejected] != 3 || n[adapters.Data] != 117 || len(items) != 121 {
		t.Errorf("got %v of %d", n, len(items))
	}
}
