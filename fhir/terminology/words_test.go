package terminology

import (
	"slices"
	"strings"
	"testing"
)

// named lists the sensitivities that a text names, by words and by codes.
func named(t *Table, text string, services bool) string {
	var out []string
	note := func(s *Set) {
		if !slices.Contains(out, s.Sensitivity) {
			out = append(out, s.Sensitivity)
		}
	}
	t.Words([]byte(text), services, func(s *Set, _ string) { note(s) })
	t.TextCodes([]byte(text), func(_ []byte, s *Set) { note(s) })
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestWords(t *testing.T) {
	table := load(t)
	for text, want := range map[string]string{
		"Heroin use disorder": "SUD", "HEROIN  USE\nDISORDER": "SUD", "opioid-use disorder, severe": "SUD", "Opioid Use Disorder": "SUD",
		"alcohol use disorder": "SUD", "Alcoholism in remission": "SUD", "polysubstance": "SUD", "SUBOXONE 8 mg/2 mg film": "SUD", "on Vivitrol": "SUD",
		"HIV positive": "HIV", "hiv+": "HIV", "HIV-1 infection": "HIV", "(HIV)": "HIV", "HIV/AIDS": "HIV", "Biktarvy 50 mg": "HIV",
		"suicidal ideation": "PSY", "Suicide attempt by hanging": "PSY", "threatened to kill himself": "PSY", "self-harm": "PSY", "self harming": "PSY",
		"Schizophrenia, paranoid": "PSY", "Bipolar I disorder": "PSY", "Bipolar II": "PSY", "PTSD": "PSY", "post-traumatic stress": "PSY", "Major depression": "PSY", "Depression": "PSY",
		"Intentional self‑harm": "PSY", "domestic violence": "SDV", "victim of RAPE": "SDV", "chlamydia": "STD", "elective termination of pregnancy": "SEX",
		"heroin and suicidal": "PSY SUD", "ICD-10: B20": "HIV", "Dx: F20": "PSY", "F1120": "SUD", "F11.20": "SUD", "f32.a": "PSY", "R45851": "PSY", "T40.1X1A": "SUD", "X710XXA": "PSY",
		// what is none
		"": "", "heroine of the story": "", "the Heroinic": "", "Methadones Corp": "", "ST depression in V4": "", "ST-segment depression": "", "respiratory depression": "", "Bone marrow depression": "",
		"Depression of the skull": "", "bipolar cautery": "", "bipolar hemiarthroplasty": "", "hearing aids": "", "HEARING AIDS": "", "walking aid": "", "shiv": "", "Hivemind": "", "archive": "", "achiving": "",
		"alcohol swab": "", "isopropyl alcohol": "", "non-alcoholic cirrhosis": "", "nonalcoholic fatty liver": "", "Alcohol use: none": "", "grape juice": "", "rapeseed oil": "", "drape": "",
		"spontaneous abortion": "", "Chlamydia pneumoniae": "", "drug-induced fever": "", "drug use evaluation": "", "tobacco use": "", "smoker": "", "Narcan given": "", "naloxone 4 mg": "",
		"agitated, paranoid": "", "Ford F150": "", "apt F20": "", "plate F2041": "PSY", "I10, E11.9": "", "F11.pdf": "", "F11": "", "form F1120-77-4812x": "SUD", "AF1120": "", "F11201234": "",
		"depressed skull fracture": "", "Diabetes": "", "Crisis plan": "", "detox": "", "Riverton Mental Health Center": "", "Behavioral Health Hospital": "",
	} {
		if got := named(table, text, false); got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"Harbor Methadone Clinic": "SUD", "County Detox": "SUD", "Detoxia Harbor": "", "Harbor Hospital": ""} {
		if got := named(table, text, true); got != want {
			t.Errorf("the service %q names %q, want %q", text, got, want)
		}
	}
}

// The filter never misses what a closer look finds.
func checkFilter(t *testing.T, table *Table, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\\") { // spelled out: not the filter's task
		return
	}
	found := ""
	table.Words([]byte(text), true, func(_ *Set, p string) { found = p })
	table.TextCodes([]byte(text), func(code []byte, _ *Set) { found = string(code) })
	if found != "" && table.Mentions([]byte(`"`+text+`"`))&MentionText == 0 {
		t.Errorf("the filter misses %q in %q", found, text)
	}
}

func TestTheFilterPassesEveryPhraseAndCode(t *testing.T) {
	table := load(t)
	n := 0
	for _, bucket := range table.words.byFirst {
		for _, p := range bucket {
			if p.except {
				continue
			}
			n++
			plain := strings.ReplaceAll(p.text, "*", "")
			for _, text := range []string{plain, strings.ToUpper(plain), "a " + plain + ".", "(" + plain + "s)", "x\n" + strings.ReplaceAll(plain, " ", "-"), strings.ReplaceAll(plain, " ", " / ") + ", 5"} {
				checkFilter(t, table, text)
			}
			if named(table, plain, true) == "" {
				t.Errorf("%q does not find itself", p.text)
			}
		}
	}
	for _, e := range table.entries {
		if e.system == ICD10CM {
			c := table.text(e)
			for _, text := range []string{c, c[:3] + "." + c[3:], "ICD-10 " + c, "(" + strings.ToLower(c) + "1)", "Dx " + c[:3] + "." + c[3:] + "1A"} {
				checkFilter(t, table, text)
			}
		}
	}
	if n < 200 {
		t.Errorf("only %d phrases", n)
	}
}

func FuzzMentions(f *testing.F) {
	for _, s := range []string{"heroin use disorder", "HIV+", "x F11.20", "ICD F20", "ptsd-", "self\u2011harm", "Dx: B20.", "T36.0X2A", "nHIV", "kill himself"} {
		f.Add(s)
	}
	table := load(f)
	f.Fuzz(func(t *testing.T, s string) { checkFilter(t, table, s) })
}

func TestWordsDoNotAllocate(t *testing.T) {
	table := load(t)
	text, hits := []byte("Essential hypertension, heroin use disorder F11.20, no depression"), 0
	count := func(*Set, string) { hits++ }
	code := func([]byte, *Set) { hits++ }
	if n := testing.AllocsPerRun(100, func() {
		table.Words(text, false, count)
		table.TextCodes(text, code)
		table.Mentions(text)
	}); n != 0 || hits == 0 {
		t.Errorf("%v allocations, %d hits", n, hits)
	}
}

func TestDataErrorsSayWhere(t *testing.T) {
	const about = "= source s\n= licence l\n"
	for in, want := range map[string]string{
		"F11":                                    "x:1: codes before the first heading",
		about + "@ SUD icd-10-cm":                `x:3: heading "@ SUD icd-10-cm": want @ sensitivity system set-id version name`,
		about + "@ NOPE icd-10-cm a 1 n":         `"NOPE" is no sensitivity`,
		about + "@ SUD http://nobody a 1 n":      `the system "http://nobody" is not known`,
		"@ SUD icd-10-cm a 1 n":                  "name a source and a licence first",
		"= colour red":                           "x:1:",
		about + "@ SUD words a 1 n\nHeroin":      "want lower-case words",
		about + "@ SUD words a 1 n\nat":          "no word of three letters",
		about + "@ SUD words a 1 n\nhero* thing": "* only at the end",
		about + "@ SUD icd-10-cm a 1 n\nF1 " + strings.Repeat("9", 40): "x:4: code",
	} {
		if _, err := read([]file{{"x", in}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestEverySetSaysWhereItComesFrom(t *testing.T) {
	table := load(t)
	for _, s := range table.Sets() {
		if s.Source == "" || s.Licence == "" || s.Version == "" || s.Name == "" || s.Codes == 0 || len(s.Hash) != len("sha256:")+16 {
			t.Errorf("%+v", s)
		}
	}
	a, err := read([]file{{"x", "= source s\n= licence l\n@ SUD icd-10-cm a 1 n\nF11\n"}})
	b, _ := read([]file{{"x", "= source s\n= licence l\n@ SUD icd-10-cm a 1 n\nF12\n"}})
	if err != nil || a.Sets()[0].Hash == b.Sets()[0].Hash || a.Version() == b.Version() {
		t.Errorf("%v: two contents look the same", err)
	}
}

// BenchmarkMentions skims a text of a kilobyte without anything sensitive.
func BenchmarkMentions(b *testing.B) {
	table, text := load(b), []byte(strings.Repeat("Follow-up visit for hypertension, blood pressure 128/82, lungs clear. ", 15))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if table.Mentions(text)&MentionText != 0 {
			b.Fatal("wrong answer")
		}
	}
}
