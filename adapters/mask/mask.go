package mask

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const hidden = "***"

// Text masks a record's text. head is the header by which a delimited row is
// read, else nil. at is the place of the fault as a reject says it: "PID-7",
// "PID-5.1", a column's name, "/Incident/Person/@id"; "" if it is not known.
func Text(head, raw []byte, at string) string {
	t := strings.ToValidUTF8(string(raw), "?")
	switch trimmed := strings.TrimLeft(t, "\ufeff \t\r\n\x0b"); {
	case len(head) > 0 && !isHL7(string(head)): // a row, whatever its first value looks like
	case isHL7(trimmed):
		return segments(trimmed, at)
	case strings.HasPrefix(trimmed, "<"):
		return xml(trimmed, at)
	case strings.HasPrefix(trimmed, "{"), strings.HasPrefix(trimmed, "["):
		return json(trimmed, at)
	}
	return delimited(string(bytes.TrimRight(head, "\r\n")), t, at)
}

// shape keeps the form of a value: its length up to 24 and its kinds of
// characters.
func shape(v string) string {
	var b strings.Builder
	for i, r := range []rune(v) {
		switch {
		case i >= 24:
			b.WriteString("…")
			return b.String()
		case unicode.IsDigit(r):
			b.WriteByte('9')
		case unicode.IsUpper(r):
			b.WriteByte('A')
		case unicode.IsLetter(r):
			b.WriteByte('a')
		case r < 128 && (unicode.IsPunct(r) || unicode.IsSymbol(r) || r == ' '):
			b.WriteRune(r)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// value masks one value.
func value(v string, fault bool) string {
	switch {
	case strings.TrimSpace(v) == "":
		return v
	case fault:
		return shape(v)
	}
	return hidden
}

// known are the segments whose names are shown, beside those that begin with Z:
// whatever else stands at the beginning of a line may be part of a text.
var known = strings.Fields(`ABS ACC ADD AIG AIL AIP AIS AL1 AUT BHS BTS CM0 CM1 CM2 CON CTD CTI DB1 DG1 DRG DSC DSP
	ECD EQU ERR EVN FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM IIM IN1 IN2 IN3 INV IPC ISD LAN MFA MFE MFI MRG MSA MSH NCK NDS
	NK1 NPU NSC NST NTE OBR OBX ODS ODT OM1 OM2 ORC ORG OVR PCR PD1 PDA PDC PEO PES PID PR1 PRA PRB PRC PRD PRT PSH PTH
	PV1 PV2 QAK QID QPD QRD QRF RCP RDF RDT RF1 RGS RMI RXA RXC RXD RXE RXG RXO RXR SCH SFT SPM STF TQ1 TQ2 TXA UAC UB1
	UB2 URD URS VAR`)

// isHL7 says whether a text is HL7 v2: a message, or segments of one.
func isHL7(t string) bool {
	if len(t) < 4 || isWord(t[3]) || t[3] >= 'a' && t[3] <= 'z' || t[3] == ' ' {
		return false
	}
	return isHeader(t) || t[3] == '|' && slices.Contains(known, t[:3])
}

func isHeader(line string) bool {
	return strings.HasPrefix(line, "MSH") || strings.HasPrefix(line, "FHS") || strings.HasPrefix(line, "BHS")
}

func isWord(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }

// kept are the fields of MSH that are shown, if they are what they should be and stand
// behind separators. A message whose segments were joined into one has a person in them.
var kept = map[int]*regexp.Regexp{
	2: regexp.MustCompile(`^[^\pL\pN\s]{1,5}$`),
	3: namespace, 4: namespace, 5: namespace, 6: namespace,
	9:  regexp.MustCompile(`^[A-Z][A-Z0-9]{2}([^\pL\pN\s][A-Z][A-Z0-9]{2}([^\pL\pN\s][A-Z0-9]{3}(_[A-Z0-9]{3})?)?)?$`),
	10: regexp.MustCompile(`^[\w.:-]{1,50}$`),
	11: regexp.MustCompile(`^[DPT]([^\pL\pN\s][ARIT])?$`),
	12: regexp.MustCompile(`^2(\.[0-9]){1,3}$`),
	15: condition, 16: condition,
	18: regexp.MustCompile(`^(ASCII|UNICODE( UTF-(8|16|32))?|8859/[0-9]{1,2})$`),
}

var (
	namespace = regexp.MustCompile(`^[\pL\pN][^\s]{0,63}$`)
	condition = regexp.MustCompile(`^(AL|NE|ER|SU)$`)
)

// segments masks HL7 v2.
func segments(t, at string) string {
	seps := "|^~\\&"
	var b strings.Builder
	for len(t) > 0 {
		n := strings.IndexAny(t, "\r\n")
		line, rest := t, ""
		if n >= 0 {
			line, rest = t[:n], t[n+1:]
		}
		if len(line) > 3 && isHeader(line) {
			encoding, _, _ := strings.Cut(line[4:], line[3:4])
			if declared := line[3:4] + encoding; len(declared) <= 6 && !strings.ContainsFunc(declared, isNoSeparator) {
				seps = declared
			}
		}
		if line != "" {
			b.WriteString(segment(line, seps, at))
			b.WriteByte('\n')
		}
		t = rest
	}
	return b.String()
}

// isNoSeparator says whether r may be a part of a value's text: what a header
// declares as separators is shown everywhere.
func isNoSeparator(r rune) bool {
	return r <= ' ' || r >= 0x7f || unicode.IsLetter(r) || unicode.IsDigit(r)
}

// segment masks a line whose name ends at the first of seps. A name with nothing behind
// it may be a word of a text: ZOE, LAN.
func segment(line, seps, at string) string {
	if len(line) < 4 || line[3] != seps[0] {
		return words(line)
	}
	fields := strings.Split(line, seps[:1])
	name := fields[0]
	if !slices.Contains(known, name) && (len(name) != 3 || name[0] != 'Z' || !isWord(name[1]) || !isWord(name[2])) {
		name, fields[0] = "", hidden
	}
	faultName := at
	if i := strings.IndexAny(at, ".["); i > 0 {
		faultName = at[:i]
	}
	shift := 0
	if isHeader(name) {
		shift = 1 // the separator itself is field 1
	}
	declares := shift == 1 && kept[2].MatchString(fields[1])
	for i := 1; i < len(fields); i++ {
		n := i + shift
		if form := kept[n]; declares && form != nil && (n == 2 || name == "MSH") && form.MatchString(fields[i]) {
			continue
		}
		fields[i] = parts(fields[i], seps[1:], name != "" && faultName == name+"-"+itoa(n))
	}
	return strings.Join(fields, seps[:1])
}

// parts masks the components of a field and leaves its separators.
func parts(field, seps string, fault bool) string {
	var b strings.Builder
	for field != "" {
		n := strings.IndexAny(field, seps)
		if n < 0 {
			n = len(field)
		}
		if v := field[:n]; v == `""` {
			b.WriteString(v)
		} else if v != "" {
			b.WriteString(value(v, fault))
		}
		if n < len(field) {
			b.WriteByte(field[n])
			n++
		}
		field = field[n:]
	}
	return b.String()
}

// words masks every word.
func words(t string) string {
	var b strings.Builder
	for i, w := range strings.Fields(t) {
		if i > 0 {
			b.WriteByte(' ')
		}
		_ = w
		b.WriteString(hidden)
	}
	return b.String()
}

var columnName = regexp.MustCompile(`^[\pL_][\pL\pN _./#()-]{0,63}$`)

// delimited masks a row, and shows it column by column if its header is known.
func delimited(head, t, at string) string {
	by := delimiter(head, t)
	names := split(head, by)
	var b strings.Builder
	for _, line := range rows(strings.TrimRight(t, "\r\n")) {
		cells := split(line, by)
		for i, c := range cells {
			name := "column " + itoa(i+1)
			if head != "" && i < len(names) && columnName.MatchString(names[i]) {
				name = names[i]
			}
			b.WriteString(name + ": " + value(c, name == at || at == "column "+itoa(i+1)) + "\n")
		}
	}
	return b.String()
}

// delimiter guesses: the header tells best.
func delimiter(head, t string) rune {
	if head == "" {
		head = t
	}
	best, most := ',', 0
	for _, d := range "|\t;," {
		if n := strings.Count(head, string(d)); n > most {
			best, most = d, n
		}
	}
	return best
}

// rows cuts text at line ends that are not quoted.
func rows(t string) []string {
	var out []string
	quoted, start := false, 0
	for i := range len(t) {
		switch {
		case t[i] == '"':
			quoted = !quoted
		case t[i] == '\n' && !quoted:
			out, start = append(out, strings.TrimSuffix(t[start:i], "\r")), i+1
		}
	}
	return append(out, t[start:])
}

// split cuts a row at a delimiter that is not quoted.
func split(line string, by rune) []string {
	var out []string
	var b strings.Builder
	quoted := false
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case r == by && !quoted:
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteRune(r)
		}
	}
	return append(out, b.String())
}

func itoa(n int) string {
	if n >= 10 {
		return itoa(n/10) + string(rune('0'+n%10))
	}
	return string(rune('0' + n))
}
