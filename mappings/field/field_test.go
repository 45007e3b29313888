package field

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
)

func codes(fs []Finding) string {
	var s []string
	for _, f := range fs {
		s = append(s, f.Code)
	}
	return strings.Join(s, ",")
}

var contactDay = time.Date(2025, 5, 1, 12, 0, 0, 0, time.UTC)

func TestBirthDatesAreReadOrLeftOut(t *testing.T) {
	for in, want := range map[string]string{
		"03/17/1980":          "1980-03-17",
		"3/7/1979":            "1979-03-07 birth-date-day-month-ambiguous",
		"13/02/1988":          "1988-02-13 birth-date-day-month-swapped",
		"3/17/62":             "1962-03-17 birth-date-two-digit-year",
		"3/17/05":             "2005-03-17 birth-date-two-digit-year",
		"19620317":            "1962-03-17",
		"03171962":            "1962-03-17",
		"1962-03-17":          "1962-03-17",
		"1973-02-11T00:00:00": "1973-02-11",
		"07-MAR-1962":         "1962-03-07",
		"Mar 7 1979":          "1979-03-07",
		"March 7th, 1979":     "1979-03-07",
		"7 Sept 1979":         "1979-09-07",
		"1984":                "1984 birth-date-partial",
		"06/1984":             "1984-06 birth-date-partial",
		"1984-06":             "1984-06 birth-date-partial",
		"00/00/1979":          "1979 birth-date-partial",
		"1/0/1990":            "1990-01 birth-date-partial",
		"00/12/1979":          "1979 birth-date-partial",
		"01/01/1985":          "1985-01-01 birth-date-estimated",
		"01/01/1900":          "-unknown birth-date-sentinel",
		"12/31/9999":          "-unknown birth-date-sentinel",
		"99/99/9999":          "-unknown birth-date-sentinel",
		"11/11/1111":          "-unknown birth-date-sentinel",
		"00/00/0000":          "-unknown birth-date-sentinel",
		"1/1/01":              "1901-01-01", // replaced below
		"02/30/1991":          "-error birth-date-impossible",
		"02/29/1971":          "-error birth-date-impossible",
		"02/29/1972":          "1972-02-29",
		"13/13/1980":          "-error birth-date-impossible",
		"06/12/2048":          "-error birth-date-future",
		"05/02/2025":          "-error birth-date-future",
		"01/02/1850":          "-error birth-date-too-old",
		"27030":               "-error birth-date-spreadsheet-serial",
		"UNK":                 "-unknown",
		"":                    "-unknown",
		"about forty":         "-error birth-date-unreadable",
		"1980/03/17/5":        "-error birth-date-unreadable",
	} {
		if in == "1/1/01" {
			want = "2001-01-01 birth-date-two-digit-year,birth-date-estimated"
		}
		b := ReadBirth(in, false, contactDay)
		got := b.Value
		if got == "" {
			got = "-" + b.Absent
		} else if b.Absent != "" {
			t.Errorf("%q: a value and a reason for its absence", in)
		}
		if c := codes(b.Findings); c != "" {
			got += " " + c
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if b := ReadBirth("07/03/1979", true, contactDay); b.Value != "1979-03-07" {
		t.Errorf("day first: got %q", b.Value)
	}
}

func TestAgeTakesThePossibleMinorForOne(t *testing.T) {
	for in, want := range map[string]int{"1980-03-17": 45, "2007": 17, "2007-05": 17, "2007-05-01": 18, "": -1} {
		if got := (Birth{Value: in}).Age(contactDay); got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
}

func TestLocalTimesKnowDaylightSaving(t *testing.T) {
	ny, err := LoadZone("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	sydney, _ := LoadZone("Australia/Sydney")
	for _, c := range []struct {
		in   string
		loc  *time.Location
		want string
	}{
		{"01/04/2025 05:13", ny, "2025-01-04T05:13:00-05:00 "},
		{"07/04/2025 05:13", ny, "2025-07-04T05:13:00-04:00 "},
		{"03/08/2026 02:30", ny, "2026-03-08T02:30:00-05:00 time-nonexistent"},
		{"03/08/2026 03:00", ny, "2026-03-08T03:00:00-04:00 "},
		{"03/08/2026 01:59", ny, "2026-03-08T01:59:00-05:00 "},
		{"11/02/2025 01:30", ny, "2025-11-02T01:30:00-04:00 time-ambiguous"},
		{"11/02/2025 02:00", ny, "2025-11-02T02:00:00-05:00 "},
		{"11/02/2025 00:59", ny, "2025-11-02T00:59:00-04:00 "},
		{"10/05/2025 02:30", sydney, "2025-10-05T02:30:00+10:00 time-nonexistent"},
		{"2025-01-04 05:13:07", ny, "2025-01-04T05:13:07-05:00 "},
		{"2025-01-04T05:13:07.123Z", ny, "2025-01-04T05:13:07Z "},
		{"2025-01-04T05:13-08:00", ny, "2025-01-04T05:13:00-08:00 "},
		{"01/04/2025 5:13 PM", ny, "2025-01-04T17:13:00-05:00 "},
		{"01/04/2025 12:05 AM", ny, "2025-01-04T00:05:00-05:00 "},
		{"01/04/2025 0513", ny, "2025-01-04T05:13:00-05:00 "},
		{"20250104051300", ny, "2025-01-04T05:13:00-05:00 "},
		{"01/04/2025", ny, "2025-01-04 "},
		{"01/04/2025 25:00", ny, " time-unreadable"},
		{"02/30/2025 10:00", ny, " time-unreadable"},
		{"soon", ny, " time-unreadable"},
		{"N/A", ny, " "},
	} {
		m := ReadMoment(c.in, false, c.loc)
		if got := m.Value + " " + codes(m.Findings); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
	start := ReadMoment("11/02/2025 01:30", false, ny)
	if end := ReadMoment("11/02/2025 01:10", false, ny).Ending(start); end.Value != "2025-11-02T01:10:00-05:00" {
		t.Errorf("the second reading of the end fits: got %q", end.Value)
	}
	if end := ReadMoment("11/02/2025 00:10", false, ny).Ending(start); end.OK() || !strings.Contains(codes(end.Findings), "end-before-start") {
		t.Errorf("an end before its start must go: %+v", end)
	}
}

func TestTimestampsKeepPrecisionAndOffset(t *testing.T) {
	ny, _ := LoadZone("America/New_York")
	for in, want := range map[string]string{
		"2026": "2026 ", "202604": "2026-04 ", "20260419": "2026-04-19 ", "2026041910": "2026-04-19 ",
		"202604191014": "2026-04-19T10:14:00-04:00 ", "20260419101455.1234+0545": "2026-04-19T10:14:55+05:45 ",
		"20260230": " time-impossible", "202604192514": " time-impossible", "01/15/2025 14:30:00": " time-unreadable", "": " ",
		"20260419101400+2500": " time-impossible", "20260419101400+1430": " time-impossible", "20260419101400-1400": "2026-04-19T10:14:00-14:00 ",
		"185004191014": "1850-04-19T10:14:00-04:56 ",
	} {
		m := ReadTimestamp(in, ny)
		if got := m.Value + " " + codes(m.Findings); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if m := ReadTimestamp("202604191014", nil); m.Value != "2026-04-19" || codes(m.Findings) != "time-zone-missing" {
		t.Errorf("without a zone only the date counts: %+v", m)
	}
}

func TestPeopleAreToldFromWhatIsNone(t *testing.T) {
	for in, want := range map[string]string{
		"DOE|JOHN": Unidentified, "UNKNOWN|": Unidentified, "|": Unidentified, "DOE|": Unidentified, "JOHNSON|UNKNOWN": Unidentified,
		"SMITH|BABY BOY": Unidentified, "DOE, JANE|": Unidentified, "UNKNOWN|MIKE": Unidentified, "JOHN DOE|": Unidentified, "Doe #2|Jane": Unidentified,
		"RITE-WAY MARKET #112|": Organisation, "WALMART #2231|": Organisation, "CITY OF RIVERTON|": Organisation, "Cedar Services LLC|": Organisation,
		"STATE OF ZZ|": Organisation, "RIVERTON HIGH SCHOOL|": Organisation, "SOCIETY|": Organisation,
		"ZZTEST|TESTY": Fictitious, "TEST|TEST": Fictitious, "TEST|": Fictitious,
		"CHURCH|CHARLOTTE": KnownPerson, "BANKS|TYRA": KnownPerson, "BANK|ANA": KnownPerson, "DOE|SUSAN": Unidentified, "O’NEILL|SEÁN": KnownPerson,
		"BEGAY|JUNIOR": KnownPerson, "Al-Hassan|JAMES": KnownPerson, "MARKET|ANA": KnownPerson, "NGUYEN|THI": KnownPerson, "TEST|ANA": KnownPerson, "李|伟": KnownPerson,
	} {
		last, first, _ := strings.Cut(in, "|")
		if got := ReadPerson(last, first, "", "").Kind; got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestNamesAreSplit(t *testing.T) {
	for in, want := range map[string]string{
		"MUÑOZ, CURTIS |||":        "official MUÑOZ/[CURTIS]/[]",
		"GUTIÉRREZ JR|Dolores|M|":  "official GUTIÉRREZ/[Dolores M]/[JR]",
		"SMITH|JOHN||Jr":           "official SMITH/[JOHN]/[Jr]",
		"SMITH JR.|JOHN||Jr":       "official SMITH/[JOHN]/[JR.]",
		"SMITH, JR, JOHN PAUL|||":  "official SMITH/[JOHN PAUL]/[JR]",
		"DE LA CRUZ|ANA|NMN|":      "official DE LA CRUZ/[ANA]/[]",
		"FERNÁNDEZ-RUIZ|MARÍA G||": "official FERNÁNDEZ-RUIZ/[MARÍA G]/[]",
		"MuÃ±oz|Ana||":             "official Muñoz/[Ana]/[]",
	} {
		p := strings.Split(in, "|")
		got := ""
		for _, n := range ReadPerson(p[0], p[1], p[2], p[3]).Names {
			got += fmt.Sprintf("%s %s/%v/%v", n.Use, n.Family, n.Given, n.Suffix)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	got := ""
	for _, n := range ReadAliases(`HALL, CRYSTAL (maiden); "PEPE"; MOOKIE; MIKE J; THOMPSON, ALEX (prior legal); =HYPERLINK("http://x","y"); UNKNOWN; SID 1234567`).Names {
		got += fmt.Sprintf("%s:%s/%v/%s ", n.Use, n.Family, n.Given, n.Text)
	}
	if want := `maiden:HALL/[CRYSTAL]/ nickname:/[PEPE]/ nickname:/[MOOKIE]/ usual:/[]/MIKE J old:THOMPSON/[ALEX]/ `; got != want {
		t.Errorf("aliases: got %q, want %q", got, want)
	}
}

func TestTextIsRepairedOrWithheld(t *testing.T) {
	for in, want := range map[string]string{
		"Subj &amp; mother":          "Subj & mother text-html-entities",
		"â€œI am fineâ€\u009d":       "“I am fine” text-mojibake",
		"a\x00b\x07c":                "abc text-control-characters",
		"a\u202eb":                   "ab ",
		"two  words\nmore":           "two words more ",
		`="00501"`:                   "00501 ",
		`{\rtf1\ansi x}`:             " text-rtf",
		`=HYPERLINK("http://x","y")`: " spreadsheet-formula",
		"=1+cmd|' /C calc'!A0":       " spreadsheet-formula",
		"@SUM(A1)":                   " spreadsheet-formula",
		"+cmd|x":                     " spreadsheet-formula",
		"-5 degrees":                 "-5 degrees ",
		"+1 555 555 0100":            "+1 555 555 0100 ",
		"N??EZ":                      "N??EZ text-characters-lost",
		"SID ZZ1234567":              " criminal-history-in-text",
		"FBI# 123456AB7":             " criminal-history-in-text",
		"NCIC hit":                   " criminal-history-in-text",
		"has an active warrant":      " criminal-history-in-text",
		"State ID 87654321":          " criminal-history-in-text",
		"SID-WA-87654321":            " criminal-history-in-text",
		"S I D 87654321":             " criminal-history-in-text",
		"F.B.I. # 876543AB2":         " criminal-history-in-text",
		"WA87654321 (SID)":           " criminal-history-in-text",
		"State Identification Number: WA87654321": " criminal-history-in-text",
		"NYSID 01234567L":                         " criminal-history-in-text",
		"CII A12345678":                           " criminal-history-in-text",
		"Booking 876543":                          " criminal-history-in-text",
		"PCN 876543":                              " criminal-history-in-text",
		"convicted felon":                         " criminal-history-in-text",
		"probation":                               " criminal-history-in-text",
		"criminal hx":                             " criminal-history-in-text",
		"DOC 445566":                              " criminal-history-in-text",
		"hx of arrests":                           " criminal-history-in-text",
		"on probation":                            " criminal-history-in-text",
		"prior arrests for assault":               " criminal-history-in-text",
		"registered ſex offender":                 " criminal-history-in-text",
		"he is an rso":                            " criminal-history-in-text",
		"in person, of course":                    "in person, of course ",
		"Henry VIII":                              "Henry VIII ",
		"sidewalk at 1234 Residence Inn":          "sidewalk at 1234 Residence Inn ",
		"Cedar County Jail":                       "Cedar County Jail ",
		strings.Repeat("x", MaxText+10)[:0]:       " ",
	} {
		c := Clean(in)
		if got := c.Value + " " + codes(c.Findings); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestResidences(t *testing.T) {
	for in, want := range map[string]string{
		"12 Mill Rd|Riverton|ZZ|00501":   "[12 Mill Rd]/Riverton/ZZ/00501//false ",
		"TRANSIENT|Riverton|ZZ|501":      "[]/Riverton/ZZ/00501/TRANSIENT/true postal-code-padded",
		"Homeless - downtown||ZZ|":       "[]//ZZ//Homeless - downtown/true ",
		"100 BLK 2ND AVE|Riverton|ZZ|":   "[]/Riverton/ZZ///false address-block-level",
		"400 block of Main St|||":        "[]/////false address-block-level",
		"UNKNOWN|UNK||":                  "[]/////false ",
		"1 A St|R|ZZ|005011234":          "[1 A St]/R/ZZ/00501-1234//false ",
		"1 A St|R|Zedland|K1A 0B1":       "[1 A St]/R////false address-state-unreadable,postal-code-unreadable",
		"1 Street Rd|06/12/2025 05:18||": "[1 Street Rd]/////false ",
	} {
		p := strings.Split(in, "|")
		a := ReadAddress(p[0], p[1], p[2], p[3])
		if got := fmt.Sprintf("%v/%s/%s/%s/%s/%v %s", a.Lines, a.City, a.State, a.PostalCode, a.Text, a.Homeless, codes(a.Findings)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestPhones(t *testing.T) {
	for in, want := range map[string]string{
		"555-0183": "555-0183 ", "(555) 555-0100 x12": "(555) 555-0100 x12 ", "+1 555 555 0100": "+1 555 555 0100 ",
		"+5550199": " phone-spreadsheet-damaged", "000-0000": " phone-placeholder", "9999999999": " phone-placeholder",
		"call mom": " phone-unreadable", "123": " phone-unreadable", "NONE": " ", "": " ",
	} {
		p := ReadPhone(in)
		if got := p.Value + " " + codes(p.Findings); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestAgeEstimates(t *testing.T) {
	for in, want := range map[string]string{
		"30-35": "30 35", "~25": "25 25", "40ish": "40 40", "30s": "30 39", "approx 50 yrs": "50 50", "ADULT": "0 0 ADULT", "0": "0 0", "": "0 0", "999": "0 0", "35-30": "0 0",
	} {
		e := ReadEstimate(in)
		got := fmt.Sprintf("%d %d", e.Low, e.High)
		if e.Low == 0 && e.Text != "" {
			got += " " + e.Text
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestExpiries(t *testing.T) {
	ny, _ := LoadZone("America/New_York")
	start, end := ReadMoment("01/04/2025 05:00", false, ny), ReadMoment("01/04/2025 07:00", false, ny)
	for in, want := range map[string]string{
		"72 HRS":                  "2025-01-07T05:00:00-05:00 stated",
		"30 days":                 "2025-02-03T05:00:00-05:00 stated",
		"06/30/2026":              "2026-06-30 stated",
		"":                        "2025-01-06T05:00:00-05:00 default",
		"End of encounter":        "2025-01-04T07:00:00-05:00 event",
		"until case closed":       " review",
		"indefinite":              " review",
		"01/01/2025":              " review",
		"99 years":                " review",
		"0 HRS":                   " review",
		"until 03/01/2025 at 5pm": " review",
	} {
		x := ReadExpiry(in, start, end, 48, false, ny)
		if got := x.Value + " " + x.Basis; got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestCapacityReadsAssertionsOnly(t *testing.T) {
	for in, want := range map[string]string{
		"Subject was unconscious":                  "true []",
		"unconcious":                               "true []",
		"kept slipping in and out":                 "true []",
		"AVPU: U":                                  "true []",
		"post-ictal on arrival":                    "true []",
		"paciente inconsciente":                    "true []",
		"is not armed or conscious":                "true []",
		"unconsious, breathing":                    "true []",
		"semi-conscious":                           "true []",
		"in and out of consciousness":              "true []",
		"lost conciousness":                        "true []",
		"+LOC":                                     "true []",
		"LOC x2 min":                               "true []",
		"GCS: 7":                                   "true []",
		"GCS of 15":                                "false []",
		"non responsive":                           "true []",
		"out cold":                                 "true []",
		"could not wake him":                       "true []",
		"couldn't be roused":                       "true []",
		"can't wake":                               "true []",
		"lifeless":                                 "true []",
		"Not armed and unconscious on the floor":   "true []",
		"wasn't breathing and unconscious":         "true []",
		"wasnt responsive":                         "true []",
		"No family on scene unconscious male":      "true []",
		"denied drugs and then became unconscious": "true []",
		"Injury - unconscious":                     "true []",
		"patient breathing, calm":                  "false []",
		"no LOC":                                   "false []",
		"-LOC, (-) LOC":                            "false []",
		"denies any LOC or seizures":               "false []",
		"denies ever having passed out":            "false []",
		"didn't lose consciousness":                "false []",
		"UNCON":                                    "true []",
		"UNCONSCIOUS PERSON":                       "true []",
		"VERBAL (unconscious)":                     "true []",
		"passed-out":                               "true []",
		"minimally responsive":                     "true []",
		"responsive only to pain":                  "true []",
		"non-conscious":                            "true []",
		"subject was asleep":                       "true []",
		"A&Ox1":                                    "true []",
		"A&Ox4":                                    "false []",
		"does not appear unconscious":              "false []",
		"answered all questions, alert and oriented x4":  "false []",
		"too drunk to stand":                             "true [intoxicated]",
		"seemed unconcerned and unconditionally calm":    "false []",
		"found unresponsive, Narcan given":               "true [naloxone]",
		"intubated by AMR":                               "true []",
		"not breathing":                                  "true []",
		"was not unconscious":                            "false []",
		"denies passing out":                             "false []",
		"never lost consciousness":                       "false []",
		"No weapons seen. Unconscious":                   "true []",
		"Opioid - Narcan x1":                             "false [intoxicated naloxone]",
		"not intoxicated":                                "false []",
		"talking to persons not present":                 "false [psychosis]",
		"Disorientation / Confusion":                     "false [confusion]",
		"conscious and alert":                            "false []",
		"SUBJECT UNCONSCIOUS ON ARRIVAL":                 "true []",
		"Un-conscious":                                   "true []",
		"did not answer; later found lying unresponsive": "true []",
	} {
		c := ReadCapacity(in)
		if got := fmt.Sprintf("%v %v", c.Lacking, c.Doubts); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestAssigningAuthorities(t *testing.T) {
	for in, want := range map[string]string{
		"CRMC|1.2.3.4|ISO": "urn:oid:1.2.3.4",
		"CRMC|1.2.03|ISO":  "base/CRMC",
		"X|9B3C2A10-1111-2222-3333-444455556666|UUID": "urn:uuid:9b3c2a10-1111-2222-3333-444455556666",
		"X|https://h.example/mrn|URI":                 "https://h.example/mrn",
		"X|javascript:alert(1)|URI":                   "base/X",
		"MR A||":                                      "base/MR%20A",
		"||":                                          "base/unspecified",
		"KNOWN||":                                     "https://known.example",
		"https://x.example/ids||":                     "https://x.example/ids",
		"2.16.840.1.113883.3.7||":                     "urn:oid:2.16.840.1.113883.3.7",
	} {
		p := strings.Split(in, "|")
		if got := AssigningAuthority(p[0], p[1], p[2], "base", map[string]string{"KNOWN": "https://known.example"}); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestStaffAndQuotedNamesOfNothing(t *testing.T) {
	for _, in := range []string{",,,", ", , ,", " ,,, "} {
		if n := ReadStaff(in); n.Text != "" || n.Family != "" || len(n.Given) > 0 {
			t.Errorf("%q: %+v", in, n)
		}
	}
	if p := ReadPerson("-", ",", "-", ", ,"); p.Kind != Unidentified || len(p.Names) > 0 {
		t.Errorf("a person of commas: %+v", p)
	}
	if p := ReadPerson("N/A, JR", "", "", ""); p.Kind != Unidentified || len(p.Names) > 0 {
		t.Errorf("a suffix alone: %+v", p)
	}
	for _, n := range append(ReadPerson(", =cmd|x", "SMITH", "", "").Names, ReadAliases("SMITH, =cmd|x; \"@x\"").Names...) {
		if n.Family != "" && n.Family != "SMITH" || strings.ContainsAny(strings.Join(n.Given, ""), "=@") {
			t.Errorf("a formula behind a comma: %+q", n)
		}
	}
	if c := ReadCityLine(", =cmd|x"); c.City != "" || codes(c.Findings) != "spreadsheet-formula" {
		t.Errorf("a formula behind a comma: %+v", c)
	}
	if n := ReadStaff("N/A, JR"); len(n.Suffix) > 0 {
		t.Errorf("a suffix alone: %+v", n)
	}
	late := ReadTimestamp("99991231235959+0000", nil)
	for _, in := range []string{"", "72 HRS"} {
		if x := ReadExpiry(in, late, late, 72, false, time.UTC); x.Value != "" || x.Basis != "review" {
			t.Errorf("beyond all years: %+v", x)
		}
	}
	if p := ReadPerson("SMITH", "JOHN", "", ","); len(p.Names) != 1 || len(p.Names[0].Suffix) > 0 {
		t.Errorf("a suffix of a comma: %+q", p.Names)
	}
	for _, in := range []string{`JOSE " " NUNEZ`, `"-"`, `x; JOSE "  " NUNEZ (usual)`} {
		for _, n := range ReadAliases(in).Names {
			if !told(n) {
				t.Errorf("%q: %+q", in, n)
			}
		}
	}
}

// told says that a name holds something, and no empty part.
func told(n Name) bool {
	empty := func(s string) bool { return strings.TrimSpace(s) == "" }
	return n.Text+n.Family+strings.Join(n.Given, "") != "" && !slices.ContainsFunc(slices.Concat(n.Given, n.Prefix, n.Suffix), empty)
}

// No reader may panic, make what FHIR does not know, or let through what Clean withholds.
func FuzzReaders(f *testing.F) {
	f.Add("MuÃ±oz", "06/12/1984 01:30")
	f.Add("=HYPERLINK(\"x\")", "1973-02-11T00:00:00")
	f.Add("DOE, JOHN JR", "07-MAR-1962")
	f.Add("-", ",\x1a")
	f.Add(",,,", "20260419101455.1234+1430")
	f.Add("JOSE \" \" NUNEZ", "2025-01-04 05:13 -1430")
	f.Add("N/A, JR", "99991231235959+0000")
	f.Add(", =cmd|x", "\"=A\"")
	f.Add("rso", "185001010000")
	f.Add("NYSID 01234567L", "10000 YRS")
	ny, err := LoadZone("America/New_York")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if v := Clean(a).Value; strings.ToValidUTF8(v, "") != v {
			t.Fatalf("Clean(%q) is not UTF-8", a)
		}
		if s := norm.NFKC.String(a); criminal.MatchString(s) && !hinted(s) {
			t.Fatalf("%q is criminal history, and no hint of it is found", a)
		}
		checkNames(t, a, b)
		checkPlaces(t, a, b)
		checkTimes(t, a, b, ny)
		if e := ReadEstimate(a); e.Low < 0 || e.Low > e.High || e.High > 120 || e.Low > 0 && e.Low < 18 && !e.Minor {
			t.Fatalf("ReadEstimate(%q) gives %+v", a, e)
		}
		ReadCapacity(a, b)
		PlaceholderKey(a)
	})
}

func checkNames(t *testing.T, a, b string) {
	t.Helper()
	names := slices.Concat(ReadPerson(a, b, a, b).Names, ReadAliases(a).Names)
	if n := ReadStaff(a); n.Text+n.Family != "" || len(n.Given) > 0 {
		names = append(names, n)
	}
	for _, n := range names {
		if !told(n) {
			t.Fatalf("%q and %q give %+q", a, b, n)
		}
		for _, part := range slices.Concat([]string{n.Text, n.Family}, n.Given, n.Prefix, n.Suffix) {
			if CriminalHistory(part) || n.Use != "" && Formula(part) {
				t.Fatalf("%q and %q give %+q", a, b, n)
			}
		}
	}
}

func checkPlaces(t *testing.T, a, b string) {
	t.Helper()
	place, line := ReadAddress(a, b, a, b), ReadCityLine(a)
	for _, part := range append(place.Lines, place.Text, place.City, line.City, ReadPhone(a).Value) {
		if CriminalHistory(part) || Formula(part) {
			t.Fatalf("%q and %q give %q", a, b, part)
		}
	}
	if place.PostalCode != "" && !postal.MatchString(place.PostalCode) || len(place.State) > 2 || len(place.Lines) > 0 && IsBlock(place.Lines[0]) {
		t.Fatalf("%q and %q give %+v", a, b, place)
	}
}

// dateTime is the form of R4, https://hl7.org/fhir/R4/datatypes.html#dateTime.
var dateTime = regexp.MustCompile(`^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?$`)

func checkTimes(t *testing.T, a, b string, zone *time.Location) {
	t.Helper()
	m := ReadMoment(b, false, zone)
	for _, got := range []Moment{m, ReadMoment(a, true, zone), ReadMoment(a, true, zone).Ending(m), ReadTimestamp(b, nil), ReadTimestamp(b, zone), ReadTimestamp(a, zone).Ending(m)} {
		if !got.OK() {
			continue
		}
		at, err := time.Parse(fhirTime, got.Value)
		if !dateTime.MatchString(got.Value) || got.Exact && (err != nil || !at.Equal(got.Time)) {
			t.Fatalf("%q and %q give %q at %v", a, b, got.Value, got.Time)
		}
	}
	for _, v := range []string{ReadBirth(b, false, contactDay).Value, ReadHL7Birth(b, contactDay).Value} {
		if v == "" {
			continue
		}
		if _, err := time.Parse("2006-01-02"[:len(v)], v); err != nil || v > contactDay.Format("2006-01-02") {
			t.Fatalf("%q is a birth date of %q", b, v)
		}
	}
	for _, start := range []Moment{m, ReadTimestamp(b, zone)} {
		if x := ReadExpiry(a, start, m, 72, false, zone); x.Value != "" && (!dateTime.MatchString(x.Value) || x.Basis == "review") || x.Value == "" && x.Basis != "review" {
			t.Fatalf("%q from %q expires %+v", a, b, x)
		}
	}
}
