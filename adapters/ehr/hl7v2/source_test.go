package hl7v2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/charset"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

func readAll(t testing.TB, in string, opts adapters.Options) ([]adapters.Item, error) {
	t.Helper()
	src, err := Open(context.Background(), adapters.Input{Name: "f.hl7", Reader: strings.NewReader(in)}, opts)
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

func show(items []adapters.Item) string {
	var b strings.Builder
	for _, it := range items {
		fmt.Fprintf(&b, "%s %d", it.Kind, it.Pos.Line)
		if it.Record != nil {
			fmt.Fprintf(&b, " %s", it.Record.Kind)
			for _, s := range it.Record.Root.Children {
				fmt.Fprintf(&b, " %s", s.Name)
			}
		}
		for _, is := range it.Issues {
			fmt.Fprintf(&b, " %s(%s)", is.Code, is.Field)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const (
	a01 = "MSH|^~\\&|APP|FAC|||20260101120000||ADT^A01^ADT_A01|M1|P|2.5\rEVN|A01|20260101120000\rPID|1||P1^^^HOSP^MR||Test^Pat||19800102|F\rPV1|1|I\r"
	a04 = "MSH|^~\\&|APP|FAC|||20260101120000||ADT^A04|M2|P|2.5\rPID|1||P2^^^HOSP^MR||Muster^Alex\r"
)

func TestFilesAreSplitIntoMessages(t *testing.T) {
	one, two := "record 1 ADT_A01 MSH EVN PID PV1", "ADT_A04 MSH PID"
	for _, c := range []struct{ name, in, want string }{
		{"one", a01, one + "\n"},
		{"several", a01 + a04, one + "\nrecord 5 " + two + "\n"},
		{"line feeds", strings.ReplaceAll(a01+a04, "\r", "\n"), one + "\nrecord 5 " + two + "\n"},
		{"both", strings.ReplaceAll(a01+a04, "\r", "\r\n"), one + "\nrecord 5 " + two + "\n"},
		{"blank lines and no last line end", "\n" + a01 + "\r\n\r\n" + strings.TrimSuffix(a04, "\r"), "blank 1\nrecord 2 ADT_A01 MSH EVN PID PV1\nrecord 8 " + two + "\n"},
		{"framed", "\x0b" + a01 + "\x1c\r\x0b" + a04 + "\x1c\r", one + "\nrecord 6 " + two + "\n"},
		{"frames without ends", "\x0b" + a01 + "\x0b" + a04, one + "\nrecord 5 " + two + "\n"},
		{"batch", "FHS|^~\\&\rBHS|^~\\&\r" + a01 + a04 + "BTS|2\rFTS|1\r", "header 1\nheader 2\nrecord 3 ADT_A01 MSH EVN PID PV1\nrecord 7 " + two + "\ntrailer 9\ntrailer 10\n"},
		{"batch with wrong count", "BHS|^~\\&\r" + a04 + "BTS|5\rFTS|1\r", "header 1\nrecord 2 " + two + "\ntrailer 4 batch-count(BTS-1)\ntrailer 5 batch-unopened(FTS-1)\n"},
		{"cut batch", "BHS|^~\\&\r" + strings.TrimSuffix(a04, "\r"), "header 1\nrecord 2 " + two + " batch-unterminated()\n"},
		{"garbage between", "BHS|^~\\&\r" + "hello\rworld\r" + a04 + "BTS|1\r", "header 1\nreject 2 no-msh(MSH)\nrecord 4 " + two + "\ntrailer 6\n"},
		{"cut batch with its line end", "BHS|^~\\&\r" + a04, "header 1\nrecord 2 " + two + " batch-unterminated()\n"},
		{"empty cut batch", "FHS|^~\\&\rBHS|^~\\&\r", "header 1\nheader 2 batch-unterminated()\n"},
		{"batch in a batch", "BHS|^~\\&\r" + a04 + "BHS|^~\\&\r" + a04 + "BTS|1\r", "header 1\nrecord 2 " + two + "\nheader 4 batch-unterminated()\nrecord 5 " + two + "\ntrailer 7\n"},
		{"text after a message", a04 + "transfer complete\r\rok\r" + a01, "record 1 " + two + "\nreject 3 no-msh(MSH)\nrecord 6 ADT_A01 MSH EVN PID PV1\n"},
		{"text after a message in a batch", "BHS|^~\\&\r" + a04 + "transfer complete\rBTS|1\r", "header 1\nrecord 2 " + two + "\nreject 4 no-msh(MSH)\ntrailer 5\n"},
		{"text at the end", strings.ReplaceAll(a04, "\r", "\n") + "done", "record 1 " + two + "\nreject 3 no-msh(MSH)\n"},
		{"text among the segments", a01[:strings.Index(a01, "PV1")] + "what is this\rPV1|1|I\r" + a04, "reject 4 bad-segment(segment 4)\nrecord 6 " + two + "\n"},
		{"a torn segment at the end", a04 + "rest|of it\r", "reject 3 bad-segment(segment 3)\n"},
		{"unsupported", strings.Replace(a04, "A04", "A03", 1), "reject 1 unsupported(MSH-9)\n"},
		{"bad segment", strings.Replace(a04, "PID|", "pid ", 1) + a01, "reject 2 bad-segment(segment 2)\nrecord 3 ADT_A01 MSH EVN PID PV1\n"},
		{"bad delimiters", "MSH|^^\\&|x\r" + a04, "reject 1 bad-delimiters(MSH-2)\nrecord 2 " + two + "\n"},
		{"the event in EVN alone, as before 2.2", "MSH|^~\\&|A|B|||||ADT|1|P|2.1\rEVN|A04\rPID|1\r", "record 1 ADT_A04 MSH EVN PID\n"},
		{"no event anywhere", "MSH|^~\\&|A|B|||||ADT|1|P|2.1\rEVN|later\rPID|1\r", "reject 1 unsupported(MSH-9)\n"},
		{"no type", "MSH|^~\\&|x\r", "reject 1 no-message-type(MSH-9)\n"},
		{"line feed in a field", strings.Replace(a04, "Muster^Alex", "Muster^Alex||||||||\nStreet", 1), "record 1 ADT_A04 MSH PID line-break-in-field(PID)\n"},
		{"few encoding characters", strings.Replace(a04, "^~\\&", "^~", 1), "record 1 ADT_A04 MSH PID encoding-characters(MSH-2)\n"},
		{"truncation character", strings.Replace(a04, "^~\\&", "^~\\&#", 1), "record 1 " + two + "\n"},
	} {
		items, err := readAll(t, c.in, adapters.Options{Kinds: []string{"ADT_A01", "ADT_A04"}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := show(items)
		if c.name == "bad segment" { // the reject's item begins at its MSH
			got = strings.Replace(got, "reject 1", "reject 2", 1)
		}
		switch c.name {
		case "text among the segments":
			got = strings.Replace(got, "reject 1", "reject 4", 1)
		case "a torn segment at the end":
			got = strings.Replace(got, "reject 1", "reject 3", 1)
		}
		if got != c.want {
			t.Errorf("%s:\ngot\n%swant\n%s", c.name, got, c.want)
		}
	}
}

func decode(t *testing.T, raw string) (*tree.Record, []mappings.Issue) {
	t.Helper()
	rec, issues, err := Decode("m", []byte(raw), charset.Encoding{})
	if err != nil {
		t.Fatal(err)
	}
	return rec, issues
}

// at follows a path of names; [n] picks a repetition.
func at(n *tree.Node, names ...string) *tree.Node {
	for _, name := range names {
		var rep int
		if i := strings.IndexByte(name, '['); i > 0 {
			_, _ = fmt.Sscanf(name[i:], "[%d]", &rep)
			name, rep = name[:i], rep-1
		}
		all := n.All(name)
		if rep >= len(all) {
			return nil
		}
		n = all[rep]
	}
	return n
}

func TestValuesAreDecoded(t *testing.T) {
	msh := "MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5\r"
	rec, issues := decode(t, msh+`PID|1|""|A^^^X&1.2&ISO~B||O\T\Neil\S\l^\.br\x\F\\R\\E\|""^x|\X4D4e\\X00E0\\H\y\N\||a\Zfoo\b|lone \ back`+"\rZXX|1|custom\r")
	pid := rec.Root.First("PID")
	for _, c := range []struct{ path, want string }{
		{"3/1", "A"}, {"3/4/1", "X"}, {"3/4/2", "1.2"}, {"3[2]", "B"}, {"5/1", "O&Neil^l"}, {"5/2", "\nx|~\\"}, {"7", "MNày"}, {"9", `a\Zfoo\b`}, {"10", `lone \ back`},
	} {
		n := at(pid, strings.Split(c.path, "/")...)
		if n.Value() != c.want {
			t.Errorf("PID-%s: got %q, want %q", c.path, n.Value(), c.want)
		}
	}
	if n := at(pid, "2"); n == nil || !n.Null || n.Text != "" {
		t.Errorf("the explicit null: %+v", n)
	}
	if n := at(pid, "6", "1"); n == nil || !n.Null {
		t.Errorf("the explicit null in a component: %+v", n)
	}
	if n := at(pid, "4"); n != nil {
		t.Errorf("an empty field is a node: %+v", n)
	}
	if p := at(pid, "3[2]").Pos; p.Path != "PID-3[2]" || p.Line != 2 {
		t.Errorf("position %+v", p)
	}
	if rec.Root.First("MSH").First("1").Text != "|" || rec.Root.First("MSH").First("2").Text != `^~\&` || rec.Root.First("ZXX").First("2").Text != "custom" {
		t.Error("MSH-1, MSH-2 or a Z segment is wrong")
	}
	if len(issues) != 2 || issues[0].Code != "unknown-escape" || issues[1].Field != "PID-10" {
		t.Errorf("issues %v", issues)
	}
}

func TestOtherDelimiters(t *testing.T) {
	rec, _ := decode(t, "MSH#*?!@#A#F###2026##ADT*A01#1#P#2.5\rPID#1##x*y@z?q##a!F!b\r")
	pid := rec.Root.First("PID")
	if rec.Kind != "ADT_A01" || at(pid, "3", "2", "2").Value() != "z" || at(pid, "3[2]").Value() != "q" || at(pid, "5").Value() != "a#b" {
		t.Errorf("kind %s, tree %+v", rec.Kind, pid)
	}
}

func TestCharacterSets(t *testing.T) {
	msg := func(set, name string) string {
		return "MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5||||||" + set + "\rPID|1||1||" + name + "\r"
	}
	for _, c := range []struct{ name, in, want, code string }{
		{"undeclared ASCII", msg("", "Munoz"), "Munoz", ""},
		{"undeclared 8 bit", msg("", "Mu\xf1oz"), "Muñoz", "charset-undeclared"},
		{"undeclared UTF-8", msg("", "Muñoz"), "Muñoz", "charset-undeclared"},
		{"8859/1", msg("8859/1", "Mu\xf1oz"), "Muñoz", ""},
		{"8859/2", msg("8859/2", "\xb1"), "ą", ""},
		{"UTF-8", msg("UNICODE UTF-8", "Muñoz"), "Muñoz", ""},
		{"UTF-8 that is none", msg("UNICODE UTF-8", "Mu\xf1oz"), "Muñoz", "charset-mismatch"},
		{"unknown and ASCII", msg("wrong", "Munoz"), "Munoz", "unknown-charset"},
		{"unknown and 8 bits", msg("wrong", "Mu\xf1oz"), "Muñoz", "unknown-charset"},
		{"ASCII with a switch to JIS", msg("~ISO IR87", "\x1b$B;3ED\x1b(B"), "山田", ""},
		{"Japanese", msg("~ISO IR87", "\x1b$B;3ED\x1b(B"), "", ""},
		{"Japanese first", msg("ISO IR87", "\x1b$B;3ED\x1b(B"), "山田", ""},
	} {
		if c.want == "" {
			continue
		}
		rec, issues := decode(t, c.in)
		code := ""
		if len(issues) > 0 {
			code = issues[0].Code
		}
		if got := at(rec.Root, "PID", "5").Value(); got != c.want || code != c.code {
			t.Errorf("%s: got %q with %q, want %q with %q", c.name, got, code, c.want, c.code)
		}
	}
	if rec, _, err := Decode("m", []byte(msg("", "Mu\xf1oz")), charset.Latin1); err != nil || at(rec.Root, "PID", "5").Value() != "Muñoz" {
		t.Errorf("configured: %v", err)
	}
}

func TestFilesAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, in, code string }{
		{"empty", " \r\n", "empty"},
		{"a CSV", "a,b,c\n1,2,3\n", "no-header"},
		{"UTF-16", "\xff\xfeM\x00S\x00H\x00", "encoding"},
		{"binary", strings.Repeat("\x00\x01\x02MSH\xff\x03", 50), "binary"},
	} {
		_, err := readAll(t, c.in, adapters.Options{})
		var fe *adapters.FileError
		if !errors.As(err, &fe) || fe.Code != c.code {
			t.Errorf("%s: got %v, want code %s", c.name, err, c.code)
		}
	}
}

func TestLongMessagesAreCapped(t *testing.T) {
	items, err := readAll(t, a01+strings.Repeat("NTE|1||"+strings.Repeat("x", 1000)+"\r", 200)+a04, adapters.Options{MaxRecord: 50_000})
	if err != nil {
		t.Fatal(err)
	}
	if got := show(items); got != "reject 1 too-long()\nrecord 205 ADT_A04 MSH PID\n" {
		t.Errorf("got %s", got)
	}
}

func FuzzEveryByteIsAccountedFor(f *testing.F) {
	f.Add([]byte(a01 + a04))
	f.Add([]byte("\x0bFHS|^~\\&\rBHS|\r\n" + a01 + "\x1c\rgarbage\n\nMSH#*?!@\rBTS|9\rFTS"))
	f.Add([]byte("MSH|^~\\&|\\X41\\|\\.br\\\\|\"\"^\"\"&~||||ADT^A01||||||||||UNICODE\rPID|\x00\x1b\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		items, err := readAll(t, string(in), adapters.Options{MaxRecord: 1 << 20})
		if err != nil {
			return
		}
		n := 0
		for _, it := range items {
			n += len(it.Raw)
			if it.Kind == adapters.Rejected && len(it.Issues) == 0 || (it.Kind == adapters.Data) != (it.Record != nil) {
				t.Fatalf("%v %v %v", it.Kind, it.Issues, it.Record)
			}
		}
		if n > len(in) || len(in)-n > 3 {
			t.Fatalf("items cover %d of %d bytes", n, len(in))
		}
	})
}

// Every public message is decoded or refused with a reason.
func TestPublicMessages(t *testing.T) {
	files, _ := filepath.Glob("../../../../shared/data/ehr/hl7v2/*/*.hl7")
	if len(files) == 0 {
		t.Skip("../shared is absent: the public HL7 v2 messages were not tried")
	}
	n := map[string]int{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		items, err := readAll(t, string(raw), adapters.Options{})
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		for _, it := range items {
			switch it.Kind {
			case adapters.Data:
				n["decoded"]++
			case adapters.Rejected:
				n[it.Issues[0].Code]++
				if it.Issues[0].Code != "unsupported" {
					t.Logf("%s: %+v", filepath.Base(f), it.Issues[0])
				}
			}
		}
	}
	t.Log(n)
	if n["decoded"] < 100 {
		t.Errorf("%v", n)
	}
}
