package mask_test

import (
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
		{"hl7, no separators in its head", "", "MSH|JANE DOE|JANE DOE|A", "", "MSH|***|***|A\n"},
		{"hl7, a digit or a letter that separates", "", "MSH|^~\\&|A\rMSH0Z~1&0A\rZID0DOE01980\rMSHJANE\rMSH|19805|A\rPID|1985", "", "MSH|^~\\&|A\n***\n***\n***\nMSH|***|A\nPID|***\n"},
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

// No word of a value gets through, whatever the text is.
func FuzzText(f *testing.F) {
	for _, s := range []string{"MSH|^~\\&|A\rPID|", "<a b=\"", "{\"a\":\"", "x,", "\"", "<!--", "MSH|", "{"} {
		f.Add(s, "PID-5", ",\"<>\n")
	}
	f.Fuzz(func(t *testing.T, before, at, after string) {
		const secret = "Zxqvwsecret"
		if strings.Contains(before+at+after, secret) {
			t.Skip()
		}
		got := mask.Text(nil, []byte(before+"\""+secret+" 1\""+after), at)
		if strings.Contains(got, secret) && !isName(before) {
			t.Errorf("%q shows the value: %q", before, got)
		}
	})
}

// isName says that what follows stands where a name, a separator or a field of
// the message header does: those stay.
func isName(before string) bool {
	t := strings.TrimLeft(before, "\ufeff \t\r\n\x0b")
	return strings.HasPrefix(t, "<") || strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[") || strings.HasPrefix(t, "MSH") || strings.HasPrefix(t, "FHS") || strings.HasPrefix(t, "BHS") ||
		strings.Contains(t, "MSH") || strings.Contains(t, "FHS") || strings.Contains(t, "BHS")
}
