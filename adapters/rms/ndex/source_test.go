package ndex_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/rms/ndex"
)

const spaces = `xmlns:n="http://fbi.gov/cjis/N-DEx/4.0/" xmlns:nc="http://release.niem.gov/niem/niem-core/4.0/" xmlns:j="http://release.niem.gov/niem/domains/jxdm/6.1/" xmlns:s="http://release.niem.gov/niem/structures/4.0/"`

// report is one field contact with one person.
func report(number, surname string) string {
	return `<n:FieldContactReport ` + spaces + `><n:DataItem><n:DataItemID>` + number + `</n:DataItemID><n:OwningORI>ZZ0010100</n:OwningORI></n:DataItem>` +
		`<n:FieldContact><nc:ActivityIdentification><nc:IdentificationID>` + number + `</nc:IdentificationID></nc:ActivityIdentification></n:FieldContact>` +
		`<nc:Person s:id="P"><nc:PersonName><nc:PersonSurName>` + surname + `</nc:PersonSurName></nc:PersonName></nc:Person></n:FieldContactReport>`
}

// read gives each item as kind and code or as kind and surname, and the bytes
// that they cover.
func read(t testing.TB, in []byte, opts adapters.Options) (items []string, size int) {
	t.Helper()
	src, err := ndex.Open(context.Background(), adapters.Input{Name: "in", Reader: bytes.NewReader(in)}, opts)
	if err != nil {
		var fe *adapters.FileError
		if !errors.As(err, &fe) {
			t.Fatal(err)
		}
		return []string{"file " + fe.Code}, 0
	}
	for {
		it, err := src.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return items, size
		}
		if err != nil {
			t.Fatal(err)
		}
		size += it.Size()
		switch it.Kind {
		case adapters.Rejected:
			items = append(items, fmt.Sprintf("reject %s %d:%d", it.Issues[0].Code, it.Issues[0].Pos.Line, it.Issues[0].Pos.Column))
		case adapters.Data:
			items = append(items, "record "+it.Record.Root.First("Person").First("Surname").Value())
		case adapters.Header, adapters.Trailer:
			items = append(items, it.Kind.String())
		}
	}
}

func TestFaultsCostTheirReportAlone(t *testing.T) {
	batch := func(parts ...string) string {
		return "<n:Batch " + spaces + ">\n" + strings.Join(parts, "\n") + "\n</n:Batch>"
	}
	one, three := report("1", "One"), report("3", "Three")
	for _, c := range []struct{ name, in, want string }{
		{"well formed", batch(one, three), "header, record One, record Three, trailer"},
		{"an end tag is missing", batch(one, "<n:IncidentReport><nc:Incident></n:IncidentReport>", three), "header, record One, reject not-well-formed 3:32, record Three, trailer"},
		{"a tag without an end", batch(one, "<n:IncidentReport><nc:Incident <x/></n:IncidentReport>", three), "header, record One, reject not-well-formed 3:19, record Three, trailer"},
		{"a quote is missing", batch(one, `<n:IncidentReport><nc:Incident s:id="I></nc:Incident></n:IncidentReport>`, three), "header, record One, reject not-well-formed 3:19, record Three, trailer"},
		{"cut, and the next begins", batch(one, "<n:FieldContactReport><n:DataItem>", three), "header, record One, reject not-well-formed 4:1, record Three, trailer"},
		{"cut, and the batch ends", batch(one, "<n:IncidentReport><n:DataItem>"), "header, record One, reject not-well-formed 4:1, trailer"},
		{"an unknown entity", batch(one, "<n:IncidentReport>&lol;</n:IncidentReport>", three), "header, record One, reject not-well-formed 3:24, record Three, trailer"},
		{"an undeclared prefix", batch(one, "<n:IncidentReport><x:y/></n:IncidentReport>", three), "header, record One, reject prefix-undeclared 3:19, record Three, trailer"},
		{"an attribute twice", batch(one, `<n:IncidentReport a="1" a="2"></n:IncidentReport>`, three), "header, record One, reject not-well-formed 3:1, record Three, trailer"},
		{"a report of another kind", batch(one, "<n:CaseReport><n:DataItem/></n:CaseReport>", three), "header, record One, reject contact-missing 3:1, record Three, trailer"},
		{"a foreign report", batch(`<x:Report xmlns:x="urn:x"><x:Incident/></x:Report>`, three), "header, reject not-a-report 2:1, record Three, trailer"},
		{"documents one after the other", one + "\n<?xml version=\"1.0\"?>\n" + three, "record One, header, record Three"},
		{"a document cut by the next", "<n:Batch " + spaces + "><n:Header>" + `<?xml version="1.0"?>` + three, "reject truncated 1:228, header, record Three"},
		{"a document type", `<!DOCTYPE a [<!ENTITY b "` + strings.Repeat("x", 50) + `">]>` + "<a>&b;" + one + "</a>", "reject doctype-refused 1:1"},
		{"a document type, then another document", "<!DOCTYPE a><a/>" + one, "reject doctype-refused 1:1, record One"},
		{"text before", "hello " + one, "reject not-well-formed 1:1, record One"},
		{"no report", "<html><body/></html>", "reject not-a-report 1:1"},
		{"no XML", "a,b,c", "file no-header"},
		{"nothing", "  \n", "file empty"},
		{"too deep", batch(one, "<n:IncidentReport>"+strings.Repeat("<nc:Incident>", 150)+strings.Repeat("</nc:Incident>", 150)+"</n:IncidentReport>", three), "header, record One, reject too-deep 3:1306, record Three, trailer"},
		{"a comment with tags", batch(one, "<!-- <n:FieldContactReport> -->", three), "header, record One, header, record Three, trailer"},
		{"tags in CDATA", batch(strings.Replace(one, ">One<", "><![CDATA[</n:FieldContactReport>]]>One<", 1)), "header, record </n:FieldContactReport>One, trailer"},
	} {
		items, size := read(t, []byte(c.in), adapters.Options{})
		if got := strings.Join(items, ", "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		if size != len(c.in) && !strings.HasPrefix(c.want, "file") {
			t.Errorf("%s: the items cover %d of %d bytes", c.name, size, len(c.in))
		}
	}
}

func TestAReportThatIsTooLargeCostsItself(t *testing.T) {
	in := "<n:Batch " + spaces + ">" + report("1", "One") + report("2", strings.Repeat("x", 5000)) + report("3", "Three") + "</n:Batch>"
	items, size := read(t, []byte(in), adapters.Options{MaxRecord: 2000})
	if got := strings.Join(items, ", "); !strings.HasPrefix(got, "header, record One, reject record-too-large") || !strings.HasSuffix(got, "record Three, trailer") || size != len(in) {
		t.Errorf("%d of %d bytes: %s", size, len(in), got)
	}
}

func TestEncodings(t *testing.T) {
	body := report("1", "Núñez")
	wide := func(order binary.AppendByteOrder, mark bool, s string) []byte {
		var out []byte
		if mark {
			out = order.AppendUint16(out, 0xFEFF)
		}
		for _, u := range utf16.Encode([]rune(s)) {
			out = order.AppendUint16(out, u)
		}
		return out
	}
	latin := func(s string) []byte {
		return []byte(strings.NewReplacer("ú", "\xfa", "ñ", "\xf1").Replace(s))
	}
	declared := func(enc string) string { return `<?xml version="1.0" encoding="` + enc + `"?>` + body }
	for name, in := range map[string][]byte{
		"UTF-8": []byte(declared("UTF-8")), "UTF-8 with a mark": append([]byte("\xEF\xBB\xBF"), declared("UTF-8")...), "not declared": []byte(body),
		"UTF-16LE": wide(binary.LittleEndian, true, declared("UTF-16")), "UTF-16BE": wide(binary.BigEndian, true, declared("UTF-16")),
		"UTF-16 without a mark": wide(binary.LittleEndian, false, declared("UTF-16")),
		"ISO-8859-1":            latin(declared("ISO-8859-1")), "windows-1252": latin(declared("windows-1252")),
		"UTF-16 declared, UTF-8 meant": []byte(declared("utf-16")),
	} {
		items, size := read(t, in, adapters.Options{})
		if got := items[len(items)-1]; got != "record Núñez" {
			t.Errorf("%s: %v", name, items)
		}
		if size < len(in)-3 || size > len(in) {
			t.Errorf("%s: the items cover %d of %d bytes", name, size, len(in))
		}
	}
	if items, _ := read(t, latin(declared("UTF-8")), adapters.Options{}); !strings.Contains(strings.Join(items, ","), "not-well-formed") {
		t.Errorf("bytes that are no UTF-8 were taken: %v", items)
	}
	if items, _ := read(t, []byte(declared("EBCDIC-XX")), adapters.Options{}); items[0] != "file encoding" {
		t.Errorf("an unknown encoding was taken: %v", items)
	}
}

// Names mean the same in every version of the families, and nothing elsewhere.
func TestNamespacesCountByFamily(t *testing.T) {
	for _, v := range []struct {
		core, structures string
		read             bool
	}{
		{"http://niem.gov/niem/niem-core/2.0", "http://niem.gov/niem/structures/2.0", true},
		{"http://release.niem.gov/niem/niem-core/3.0/", "http://release.niem.gov/niem/structures/3.0/", true},
		{"http://release.niem.gov/niem/niem-core/5.0/", "http://release.niem.gov/niem/structures/5.0/", true},
		{"https://docs.oasis-open.org/niemopen/ns/model/niem-core/6.0/", "https://docs.oasis-open.org/niemopen/ns/model/structures/6.0/", true},
		{"http://release.niem.gov/niem/niem-core-of-mine/4.0/", "http://release.niem.gov/niem/structures/4.0/", false},
		{"urn:niem-core:4.0", "urn:structures", false},
	} {
		in := strings.NewReplacer("http://release.niem.gov/niem/niem-core/4.0/", v.core, "http://release.niem.gov/niem/structures/4.0/", v.structures).Replace(report("1", "One"))
		items, _ := read(t, []byte(in), adapters.Options{})
		if got := items[0] == "record One"; got != v.read {
			t.Errorf("%s: %v", v.core, items)
		}
	}
}

// References go by s:ref and by structures:uri, through roles; a circle and a
// dangling one are findings, not a crash.
func TestReferences(t *testing.T) {
	person := `<nc:Person s:id="P"><nc:PersonName><nc:PersonSurName>One</nc:PersonSurName></nc:PersonName></nc:Person><nc:Person s:id="W"><nc:PersonName><nc:PersonSurName>Two</nc:PersonSurName></nc:PersonName></nc:Person>`
	wrap := func(inner string) string {
		return `<n:IncidentReport ` + spaces + `><nc:Incident s:id="I"/>` + person + inner + `</n:IncidentReport>`
	}
	for _, c := range []struct{ name, in, want string }{
		{"a role refers to the person", wrap(`<j:Subject><nc:RoleOfPerson s:ref="P"/></j:Subject>`), "record One"},
		{"by uri", strings.ReplaceAll(wrap(`<j:Subject><nc:RoleOfPerson s:uri="#P"/></j:Subject>`), `s:id="P"`, `s:uri="#P"`), "record One"},
		{"2.0 names the reference", wrap(`<j:Subject><nc:RoleOfPersonReference s:ref="P"/></j:Subject>`), "record One"},
		{"a role of a role", wrap(`<j:Subject s:id="S"><nc:RoleOfPerson s:ref="P"/></j:Subject><j:ArrestSubject><nc:RoleOfPerson s:ref="S"/></j:ArrestSubject>`), "record One"},
		{"the role inside the incident", wrap(`<j:Witness><nc:RoleOfPerson s:ref="W"/></j:Witness><j:IncidentAugmentation><j:IncidentSubject><nc:RoleOfPerson s:ref="P"/></j:IncidentSubject></j:IncidentAugmentation>`), "record One"},
		{"an association says it", wrap(`<j:IncidentSubjectPersonAssociation><nc:Activity s:ref="I"/><nc:Person s:ref="P"/></j:IncidentSubjectPersonAssociation>`), "record One"},
		{"a circle", wrap(`<j:Subject s:id="A"><nc:RoleOfPerson s:ref="B"/></j:Subject><j:Subject s:id="B"><nc:RoleOfPerson s:ref="A"/></j:Subject><j:Suspect><nc:RoleOfPerson s:ref="P"/></j:Suspect>`), "record One"},
		{"dangling", wrap(`<j:Subject><nc:RoleOfPerson s:ref="Z"/></j:Subject><j:Suspect><nc:RoleOfPerson s:ref="P"/></j:Suspect>`), "record One"},
		{"two without any role", wrap(""), "record "},
		{"a victim only", wrap(`<j:Victim><nc:RoleOfPerson s:ref="P"/></j:Victim><j:Witness><nc:RoleOfPerson s:ref="W"/></j:Witness>`), "record "},
	} {
		items, _ := read(t, []byte(c.in), adapters.Options{})
		if got := strings.Join(items, ", "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// The text of one person's record holds nothing of another subject's.
func TestTheTextOfARecordIsThePersonsOwn(t *testing.T) {
	in := `<n:IncidentReport ` + spaces + `><nc:Incident s:id="I"/><nc:Person s:id="P"><nc:PersonName><nc:PersonSurName>One</nc:PersonSurName></nc:PersonName></nc:Person>` +
		`<nc:Person s:id="Q"><nc:PersonName><nc:PersonSurName>Two</nc:PersonSurName></nc:PersonName></nc:Person><j:Subject><nc:RoleOfPerson s:ref="P"/></j:Subject><j:Subject><nc:RoleOfPerson s:ref="Q"/></j:Subject></n:IncidentReport>`
	src, err := ndex.Open(context.Background(), adapters.Input{Name: "in", Reader: strings.NewReader(in)}, adapters.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][2]string{{"One", "Two"}, {"Two", "One"}} {
		it, err := src.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(it.Raw), want[0]) || strings.Contains(string(it.Raw), want[1]) {
			t.Errorf("of %s: %s", want[0], it.Raw)
		}
		if again, _ := read(t, it.Raw, adapters.Options{}); strings.Join(again, ", ") != "record "+want[0] {
			t.Errorf("the text is read again as %v", again)
		}
	}
}

func FuzzSource(f *testing.F) {
	f.Add([]byte(report("1", "One")))
	f.Add([]byte("<?xml version=\"1.0\" encoding=\"UTF-16\"?><n:Batch " + spaces + ">" + report("1", "A") + "<!-- x --><![CDATA[y]]></n:Batch>"))
	f.Add([]byte("\xff\xfe<\x00a\x00/\x00>\x00"))
	f.Add([]byte("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"))
	f.Fuzz(func(t *testing.T, in []byte) {
		_, size := read(t, in, adapters.Options{MaxRecord: 4096})
		if size > len(in) {
			t.Fatalf("the items cover %d of %d bytes", size, len(in))
		}
	})
}
