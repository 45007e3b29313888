package mask_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters/mask"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ name, head, raw, at, want string }{
		{"hl7", "", "MSH|^~\\&|ADT1|CLINIC|H|H|20250501||ADT^A01|M1|P|2.5.1\rPID|1||P1^^^C^MR||DOE^JANE~ROE^J||1980031|F\rZZZ|x\r", "PID-7",
			"MSH|^~\\&|ADT1|CLINIC|H|H|***||ADT^A01|M1|P|2.5.1\nPID|***||***^^^***^***||***^***~***^***||9999999|***\nZZZ|***\n"},
		{"hl7, a text with line ends", "", "MSH|^~\\&|A\rNTE|1||first\nSHE IS SUICIDAL\nJOE DOE|x\nLEE|y\nMSHE SAYS\r", "",
			"MSH|^~\\&|A\nNTE|***||***\n*** *** ***\n*** ***\n***|***\n*** ***\n"},
		{"hl7, segments joined into one", "", "MSH|^~\\&|A|B|C|D|20250101||ADT^A01|1|P|2.5.1 PID|1||AL123||DOE^JANE|||F", "",
			"MSH|^~\\&|A|B|C|D|***||ADT^A01|1|P|***|***||***||***^***|||***\n"},
		{"hl7, no separators in its head", "", "MSH|JANE DOE|JANE DOE|A", "", "MSH|***|***|***\n"},
		{"hl7, a digit or a letter that separates", "", "MSH|^~\\&|A\rMSH0Z~1&0A\rZID0DOE01980\rMSHJANE\rMSH|19805|A\rPID|1985", "", "MSH|^~\\&|A\n***\n***\n***\nMSH|***|***\nPID|***\n"},
		{"hl7, a word of a text that is a segment's name", "", "MSH|^~\\&|A\rNTE|1||she calls herself\nZOE\nLAN\rPID|", "", "MSH|^~\\&|A\nNTE|***||***\n***\n***\nPID|\n"},
		{"hl7, a person where the message's type belongs", "", "MSH|^~\\&|A|B|C|D|||DOE^JANE|1\rMSH|^~\\&|A|B|C|D|||ADT^A01^ADT_A01|1\r", "", "MSH|^~\\&|A|B|C|D|||***^***|1\nMSH|^~\\&|A|B|C|D|||ADT^A01^ADT_A01|1\n"},
		{"hl7, a separator that is no character", "", "MSH|^~\\&|A\rMSHé~1\rMSH\x01A\x01Doe\r", "", "MSH|^~\\&|A\n***\n***\n"},
		{"hl7, a name cut off by its separator", "", "MSH|^~\\&|A\r||||\rZ||x\rZ|||\r", "", "MSH|^~\\&|A\n***||||\n***\n***|||\n"},
		{"hl7, a deletion", "", "PID|1||\"\"|X", "", "PID|***||\"\"|***\n"},
		{"hl7, other separators", "", "MSH#*~\\&#A#B#C#D#E\rPID#Q*R\r", "PID-1.2", "MSH#*~\\&#A#B#C#D#***\nPID#A*A\n"},
		{"hl7, a line that is no segment", "", "MSH|^~\\&|A\rJane Doe lives here\r", "", "MSH|^~\\&|A\n*** *** *** ***\n"},
		{"csv", "MNI,Last Name,DOB\n", "R1,\"Doe, Jr\",99/99/2025\n", "DOB", "MNI: ***\nLast Name: ***\nDOB: 99/99/9999\n"},
		{"csv, a name like that of a segment", "Last,First\n", "LEE,Bob\n", "", "Last: ***\nFirst: ***\n"},
		{"csv, the same alone", "", "LEE,Bob", "", "column 1: ***\ncolumn 2: ***\n"},
		{"psv, the same alone", "", "LEE|Bob", "", "column 1: ***\ncolumn 2: ***\n"},
		{"hl7, of a batch", "BHS|^~\\&|A", "MSH|^~\\&|A\rPID|1\r", "", "MSH|^~\\&|A\nPID|***\n"},
		{"psv", "a|b\r\n", "x||\r\n", "", "a: ***\nb: \ncolumn 3: \n"},
		{"a row alone", "", "Doe,Jane", "", "column 1: ***\ncolumn 2: ***\n"},
		{"a header that is a row of values", "Doe,1980-03-14\n", "Roe,1", "", "Doe: ***\ncolumn 2: ***\n"},
		{"json", "", `{"name":{"family":"Doe"},"n":[1,true,null],"dob":"1980-03-14"}`, "/dob", `{"name":{"family":"***"},"n":[***,***,null],"dob":"9999-99-99"}`},
		{"json, cut off", "", `{"family":"Do`, "", `{"family":"***"`},
		{"json, a name that is a value", "", `{"Jane Doe":1}`, "", `{"***":***}`},
		{"json, an escaped quote", "", `{"a":"x\"y","b":"z"}`, "", `{"a":"***","b":"***"}`},
		{"xml", "", `<?xml version="1.0"?><n:P xmlns:n="urn:x" id="p1"><n:Name>Doe</n:Name> <!-- Jane --></n:P>`, "/P/Name",
			`<?xml …?><n:P xmlns:n="urn:x" id="***"><n:Name>Aaa</n:Name> ***</n:P>`},
		{"xml, a namespace that is none", "", `<a xmlns='Jane Doe'/>`, "", `<a xmlns="***"/>`},
		{"xml, not well formed", "", `<a x=Doe>Jane<b`, "", `******`},
		{"empty", "", "", "", "column 1: \n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mask.Text([]byte(c.head), []byte(c.raw), c.at); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// secrets are what no text may show, whatever separators it declares.
var secrets = []string{"Zxqvwsecret", "8675309041"}

// No word of a value gets through, whatever stands around it. With a space behind it
// the value stands for itself nowhere: it is no name, and nothing that a header keeps.
func FuzzText(f *testing.F) {
	for _, s := range []string{"MSH|^~\\&|A\rPID|", "MSH|^~\\&|", "MSH0", "MSHZ", "\x0bMSH|^~\\&|A\rZ01|x\n", "<a b=\"", "<a xmlns='urn:", "{\"a\":\"", "x,", "\"", "<!--", "MSH|", "{"} {
		f.Add("", s, "PID-5", ",\"<>\n")
		f.Add("BHS|^~\\&", s, "MSH-3", "\":>")
		f.Add("MNI,Last Name,DOB\n", s, "DOB", "\n")
	}
	f.Fuzz(func(t *testing.T, head, before, at, after string) {
		for _, secret := range secrets {
			if strings.Contains(head+before+at+after, secret) {
				return
			}
			for _, value := range []string{"\"" + secret + " 1\"", "1 " + secret + " 1"} {
				if got := mask.Text([]byte(head), []byte(before+value+after), at); strings.Contains(got, secret) {
					t.Errorf("%q, %q and %q show the value: %q", head, before, after, got)
				}
			}
		}
	})
}

// A value of a record that is well formed, or was until it was cut off, is not shown,
// whatever it says.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"", " ", "\"", "'", "\\", "|^~\\&", "\n", "\r\n", "<", ">", "]]>", "<!--", "{", ":", ",", ";\t", "\xff", "\u2028", "Z|"} {
		f.Add(s, s, uint16(0))
		f.Add(s, "", uint16(40))
	}
	f.Fuzz(func(t *testing.T, before, after string, cut uint16) {
		for _, secret := range secrets {
			if strings.Contains(before+after, secret) || strings.Contains(before+after, "MSH") { // another header
				return
			}
			for _, r := range records(t, before+secret+after) {
				raw := []byte(r.raw)
				if cut > 0 {
					raw = raw[:int(cut)%(len(raw)+1)]
				}
				for _, at := range append(r.at, "", "nothing") {
					if got := mask.Text([]byte(r.head), raw, at); strings.Contains(got, secret) {
						t.Errorf("%q shows the value at %q: %q", raw, at, got)
					}
				}
			}
		}
	})
}

type record struct {
	head, raw string
	at        []string
}

// records are a value in each kind of record.
func records(t *testing.T, value string) []record {
	var text bytes.Buffer
	if err := xml.EscapeText(&text, []byte(value)); err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	cell := `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
	return []record{
		{raw: "MSH|^~\\&|ADT1|CLINIC|H|H|20250501||ADT^A01|M1|P|2.5.1\rPID|1||" + value + "||DOE^JANE\rZPX|" + value + "\rNTE|1||" + value + "|", at: []string{"PID-3", "PID-3.1", "ZPX-1", "NTE"}},
		{head: "MNI,Name,DOB\n", raw: "R1," + cell + ",1980-03-14\n", at: []string{"Name", "column 2"}},
		{raw: cell + "|" + cell, at: []string{"column 1"}},
		{raw: `{"name":[{"family":` + string(quoted) + `},` + string(quoted) + `],"n":1}`, at: []string{"/name", "/name/0/family", "n"}},
		{raw: `<n:P xmlns:n="urn:x" id="` + text.String() + `"><n:Name a='` + text.String() + `'>` + text.String() + `</n:Name></n:P>`, at: []string{"/P/@id", "/P/Name", "/P/Name/text()"}},
	}
}
