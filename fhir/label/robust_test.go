package label

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// However a code or a concept is written, it says the same.
func TestWaysToWriteAConcept(t *testing.T) {
	coding := func(c string) string {
		return `{"resourceType":"Condition","code":{"coding":[` + c + `]},"subject":{"reference":"Patient/p"}}`
	}
	concept := func(text string) string {
		return `{"resourceType":"Condition","code":{"text":"` + text + `"},"subject":{"reference":"Patient/p"}}`
	}
	for in, want := range map[string]string{
		coding(`{` + icd + `,"code":"F1120"}`):                                                     "R SUD",
		coding(`{` + icd + `,"code":" f11.20 "}`):                                                  "R SUD",
		coding(`{` + icd + `,"code":"F11 20"}`):                                                    "R SUD",
		coding(`{` + icd + `,"code":"F11.2A9"}`):                                                   "R SUD",
		coding(`{"code":"F1120"}`):                                                                 "R SUD",
		coding(`{"code":"6471006"}`):                                                               "R PSY",
		coding(`{"code":"44260-8"}`):                                                               "R PSY",
		coding(`{"code":"H0020"}`):                                                                 "R SUD",
		coding(`{"code":"G2067"}`):                                                                 "R SUD",
		coding(`{"system":"urn:oid:1.2.3.4","code":"F11.20"}`):                                     "R SUD",
		coding(`{"system":"urn:oid:1.2.3.4","code":"F1120"}`):                                      "R SUD",
		coding(`{"system":"urn:local","code":"17","display":"Heroin use disorder"}`):               "R SUD",
		coding(`{"system":"urn:local","code":"17","display":"HIV POSITIVE"}`):                      "R HIV",
		coding(`{"system":"http://snomed.info/sct","code":"99999","display":"Suicidal thoughts"}`): "R PSY",
		coding(`{"system":"http://hl7.org/fhir/sid/ndc","code":"1","display":"Sublocade"}`):        "R SUD",
		concept("heroin use disorder"):                                                             "R SUD", concept("HIV positive"): "R HIV", concept("suicidal ideation"): "R PSY",
		concept("SUICIDAL\\nIDEATION"): "R PSY", concept("hero\\u0069n use"): "R SUD", concept("Opioid&nbsp;use&nbsp;disorder"): "R SUD",
		concept("diagnosis: F20"): "R PSY", concept("F1120 opioid"): "R SUD",
		`{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"8251-1"}]},"valueString":"HIV positive"}`:      "R HIV",
		`{"resourceType":"Procedure","code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/HCPCS-all-codes","code":"H0020"}]}}`: "R SUD",
		// what is none
		coding(`{` + icd + `,"code":"I10","display":"Hypertension"}`): "N", coding(`{"code":"J4500"}`): "N", coding(`{"code":"1234567"}`): "N",
		coding(`{"system":"urn:local","code":"6471006"}`): "N",
		coding(`{"system":"urn:local","code":"F15"}`):     "N",
		concept("heroine"):         "N",
		concept("ST depression"):   "N",
		concept("bipolar cautery"): "N",
		concept("hearing aids"):    "N",
		concept("alcohol swab"):    "N",
		concept("Ford F150"):       "N",
		concept("asthma"):          "N",
		`{"resourceType":"Patient","name":[{"family":"Heroin"}],"address":[{"line":["1 Bipolar St, F11.20"]}]}`: "N",
		`{"resourceType":"Organization","name":"Harbor Methadone Clinic"}`:                                      "N",
	} {
		l := labelled(t, in, resource.Origin{})
		if got := summary(l); got != want || want == "N" && len(l.Elements) > 0 {
			t.Errorf("%s: %q %q, want %q", in, got, elements(l), want)
		}
	}
}

// In a secondary element words label the element that holds them.
func TestWordsInSecondaryElements(t *testing.T) {
	for in, want := range map[string]string{
		`{"resourceType":"Encounter","reasonCode":[{"text":"heroin overdose"}]}`:                                               `"heroin overdose" → R SUD`,
		`{"resourceType":"Encounter","reasonCode":[{"coding":[{"system":"urn:x","code":"1","display":"Suicidal ideation"}]}]}`: `{"system":"urn:x","code":"1","display":"Suic → R PSY`,
		`{"resourceType":"CareTeam","participant":[{"member":{"display":"County Detox"}}]}`:                                    `{"display":"County Detox"} → R SUD`,
		`{"resourceType":"Condition","code":{"coding":[{` + icd + `,"code":"I10"}]},"note":[{"text":"HIV+, on Biktarvy"}]}`:    `"HIV+, on Biktarvy" → R HIV`,
		`{"resourceType":"Encounter","contained":[{"resourceType":"Condition","id":"c","code":{"text":"PTSD"}}]}`:              `{"resourceType":"Condition","id":"c","code": → R PSY`,
	} {
		l := labelled(t, in, resource.Origin{})
		if got := strings.Join(elements(l), "; "); got != want || summary(l) != "N" {
			t.Errorf("%s: %s, elements %s, want %s", in, summary(l), got, want)
		}
	}
}

func TestALabelsOwnDisplaySaysNothing(t *testing.T) {
	in := `{"resourceType":"Consent","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"HIV","display":"HIV/AIDS information sensitivity"}]},
	"provision":{"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY","display":"psychiatric disorder information"}],"code":[{"text":"heroin use disorder"}]}}`
	if l := labelled(t, in, resource.Origin{}); len(l.Elements) > 0 {
		t.Errorf("elements %q", elements(l))
	}
	in = `{"resourceType":"Flag","extension":[{"url":"http://x","valueCoding":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SUD","display":"substance abuse information sensitivity"}}]}`
	if l := labelled(t, in, resource.Origin{}); len(l.Elements) > 0 {
		t.Errorf("elements %q", elements(l))
	}
}

// What an officer codes in the project's systems weighs as much as the SNOMED CT
// code beside it.
func TestPoliceCodes(t *testing.T) {
	obs := func(code, system, value string) string {
		return `{"resourceType":"Observation","code":{"coding":[{"system":"` + terminology.PoliceObservation.URI() + `","code":"` + code + `"}]},"valueCodeableConcept":{"coding":[{"system":"` + system + `","code":"` + value + `"}]}}`
	}
	for in, want := range map[string]string{
		obs("suicide-risk", terminology.SuicideRisk.URI(), "ideation"):             "R PSY",
		obs("suicide-risk", "http://snomed.info/sct", "6471006"):                   "R PSY",
		obs("suicide-risk", terminology.SuicideRisk.URI(), "new-code"):             "R PSY",
		obs("behavior", terminology.ObservedBehavior.URI(), "agitated"):            "N",
		obs("behavior", "http://snomed.info/sct", "24199005"):                      "N",
		obs("behavior", terminology.ObservedBehavior.URI(), "suicidal-statements"): "R PSY",
		obs("substance", terminology.ObservedSubstance.URI(), "alcohol"):           "R SUD",
		obs("substance", terminology.ObservedSubstance.URI(), "other"):             "R SUD",
		obs("weapon", "http://x", "knife"):                                         "N",
	} {
		if got := summary(labelled(t, in, resource.Origin{Police: true})); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// notices are the wordings of 42 CFR 2.32 and its predecessor since 1975, and
// how senders write about it.
var notices = []string{
	"This information has been disclosed to you from records whose confidentiality is protected by Federal law. Federal regulations (42 CFR Part 2) prohibit you from making any further disclosure of it without the specific written consent of the person to whom it pertains.",
	"This information has been disclosed to you from records protected by Federal confidentiality rules (42 CFR part 2). The Federal rules prohibit you from making any further disclosure of this information unless further disclosure is expressly permitted by the written consent of the person to whom it pertains.",
	"This record which has been disclosed to you is protected by federal confidentiality rules (42 CFR part 2). The federal rules prohibit you from making any further disclosure of this record unless further disclosure is expressly permitted.",
	"42 CFR part 2 prohibits unauthorized disclosure of these records.",
	"42 CFR part 2 prohibits unauthorized use or disclosure of these records.",
	"This record which has been disclosed to you is protected by Federal confidentiality rules (42 CFR part 2). These rules prohibit you from using or disclosing this record, or testimony that describes the information contained in this record, in any civil, criminal, administrative, or legislative proceedings",
	"PROHIBITION ON REDISCLOSURE OF ALCOHOL OR DRUG TREATMENT RECORDS: 42 C.F.R. PART 2",
	"Records protected under Title 42 of the Code of Federal Regulations, Part 2",
	"redisclosure is subject to 42CFR Part 2",
}

func TestNoticesInEveryPlaceMakePart2(t *testing.T) {
	places := map[string]func(string) string{
		"note": func(s string) string { return `"note":[{"text":"` + s + `"}]` },
		"narrative": func(s string) string {
			return `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>` + s + `</p></div>"}`
		},
		"extension": func(s string) string { return `"extension":[{"url":"http://x","valueString":"` + s + `"}]` },
		"label": func(s string) string {
			return `"meta":{"security":[{"system":"http://x","code":"y","display":"` + s + `"}]}`
		},
		"label mark": func(s string) string {
			return `"meta":{"security":[{"extension":[{"url":"http://x/extension-display-sec-label","valueString":"` + s + `"}],"code":"R"}]}`
		},
		"contained": func(s string) string {
			return `"contained":[{"resourceType":"Basic","id":"b","text":{"status":"generated","div":"<div>` + s + `</div>"}}]`
		},
		"attachment": func(s string) string {
			return `"content":[{"attachment":{"contentType":"text/plain; charset=utf-8","data":"` + base64.StdEncoding.EncodeToString([]byte("Dear colleague,\n"+s)) + `"}}]`
		},
	}
	for where, place := range places {
		for _, text := range notices {
			l := labelled(t, `{"resourceType":"DocumentReference","type":{"coding":[{"system":"http://loinc.org","code":"11503-0"}]},`+place(text)+`}`, resource.Origin{})
			if !l.HasLaw(Part2) {
				t.Errorf("%s: %q is not seen", where, text)
			}
		}
	}
	for _, text := range []string{
		"45 CFR part 164 prohibits", "42 CFR part 482 prohibits", "42 CFR 2.11 is a definition", "training on 42 CFR part 2 was given", "Federal rules prohibit smoking", "protected by federal law",
	} {
		if l := labelled(t, `{"resourceType":"Basic",`+places["note"](text)+`}`, resource.Origin{}); l.HasLaw(Part2) {
			t.Errorf("%q is no notice", text)
		}
	}
}

// Whoever reads it sees the notice, however its letters are written.
func TestANoticeThatIsSpelledOutMakesPart2(t *testing.T) {
	for _, text := range []string{
		`42 CFR p\u0061rt 2 pr\u006fhibits disclosure`, `\u0034\u0032 CFR part 2 prohibits`, `42 C<b>F</b>R part 2 prohibits`, `42 &#67;FR part 2 &#112;rohibits`,
		`42 CF\u200bR part 2 prohibits`, "42 CF\u200bR part\u00a02 prohi\u00adbits", `42 CFR part 2 pr\u003ci\u003eo\u003c/i\u003ehibits`,
	} {
		if l := labelled(t, `{"resourceType":"Basic","note":[{"text":"`+text+`"}]}`, resource.Origin{}); !l.HasLaw(Part2) {
			t.Errorf("%q is not seen", text)
		}
		if l := labelled(t, `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic","text":{"div":"<div>`+text+`</div>"}}}]}`, resource.Origin{}); len(l.Elements) == 0 || !l.Elements[0].Labels.HasLaw(Part2) {
			t.Errorf("%q is not seen in an entry: %q", text, elements(l))
		}
	}
}

func TestARecordThatSaysThatItIsPart2(t *testing.T) {
	for text, want := range map[string]bool{
		"ZPD|42CFRPart2": true, `{"label":"42CFRP\u0061rt2"}`: true, "NTE|1||42 CFR part 2 prohibits\\.br\\redisclosure": true,
		`{"note":"42 CFR p\u0061rt 2 prohibits"}`: true, "<Note>42 &#67;FR part 2 prohibits</Note>": true, "<Note>42 CFR <b>pa</b>rt 2: protected by law</Note>": true,
		`{"note":"42 CFR p\\u0061rt 2 prohibits"}`: false, "NTE|1||42 CFR part 482 prohibits": false, "MSH|^~\\&|A\rPID|1\\u": false, "": false,
	} {
		if SaysPart2([]byte(text)) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}

// No clinical code and no word makes a Part 2 record, and none unmakes one.
func TestNothingClinicalDecidesAboutPart2(t *testing.T) {
	table, err := terminology.Load()
	if err != nil {
		t.Fatal(err)
	}
	l := New(Options{Table: table})
	for _, s := range table.Sets() {
		if s.Sensitivity == Part2 {
			t.Errorf("%s marks Part 2", s.ID)
		}
	}
	for _, code := range []string{"F11.20", "I10", "F17.210", "Z79.891"} {
		for _, part2 := range []bool{false, true} {
			var labels Labels
			l.Label(parse(t, condition("", `"code":{"coding":[{`+icd+`,"code":"`+code+`"}],"text":"heroin use disorder, methadone clinic"},`)), resource.Origin{Part2: part2}, &labels)
			if labels.HasLaw(Part2) != part2 {
				t.Errorf("%s, origin %v: %s", code, part2, summary(&labels))
			}
		}
	}
}

func TestTheTextOfAnAttachmentLabelsIt(t *testing.T) {
	data := base64.StdEncoding.EncodeToString([]byte("Dx: F20.0 schizophrenia"))
	doc := `{"resourceType":"DocumentReference","type":{"coding":[{"system":"http://loinc.org","code":"11503-0"}]},"content":[{"attachment":{"contentType":"%s","data":"%s"}}]}`
	l := labelled(t, fmt.Sprintf(doc, "text/plain", data), resource.Origin{})
	if got := elements(l); len(got) != 1 || !strings.HasSuffix(got[0], "R PSY") || summary(l) != "N" {
		t.Errorf("%s %q", summary(l), got)
	}
	if l = labelled(t, strings.Replace(fmt.Sprintf(doc, "text/plain", data), `"data"`, `"d\u0061ta"`, 1), resource.Origin{}); len(elements(l)) != 1 {
		t.Errorf("with a name that is spelled out: %q", elements(l))
	}
	if l = labelled(t, fmt.Sprintf(doc, "image/png", data), resource.Origin{}); len(l.Elements) > 0 {
		t.Errorf("a picture is no text: %q", elements(l))
	}
	if l = labelled(t, `{"resourceType":"Binary","contentType":"text/plain","data":"`+data+`"}`, resource.Origin{}); summary(l) != "R PSY" {
		t.Errorf("Binary: %s", summary(l))
	}
}

// Of the codes of ObligationPolicy and RefrainPolicy only those stand on a
// Bundle that tell a recipient what to do with what it got, however they are
// written.
func TestHighWaterHoldsNothingThatReveals(t *testing.T) {
	duties := strings.Fields("AOD AUDIT AUDTR CPLYPOL CPLYCC CPLYCD CPLYCUI CPLYJPP CPLYJSP CPLYOPP CPLYOSP ENCRYPT ENCRYPTR ENCRYPTT ENCRYPTU HUAPRV MINEC PERSISTLABEL PRIVMARK NOPERSISTP NORDSCLCD NORDSCLCDS NORDSCLW NORELINK NOREUSE")
	all := strings.Fields("ANONY AOD AUDIT AUDTR CPLYPOL CPLYCC CPLYCD CPLYCUI CPLYJPP CPLYJSP CPLYOPP CPLYOSP DECLASSIFYLABEL DEID DELAU DOWNGRDLABEL DRIVLABEL ENCRYPT ENCRYPTR ENCRYPTT ENCRYPTU HUAPRV LABEL MASK MINEC PERSISTLABEL PRIVMARK PSEUD REDACT UPGRDLABEL PROCESSINLINELABEL NOAUTH NOCOLLECT NODSCLCD NODSCLCDS NOINTEGRATE NOLIST NOMOU NOORGPOL NOPAT NOPERSISTP NORDSCLCD NORDSCLCDS NORDSCLW NORELINK NOREUSE NOVIP ORCON")
	for _, code := range all {
		for _, written := range []string{
			`{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"` + code + `"}`, `{"system":"urn:oid:2.16.840.1.113883.5.4","code":"` + code + `"}`,
			`{"system":"http://hl7.org/fhir/v3/ActCode","code":"` + code + `"}`, `{"code":"` + code + `"}`, `{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"` + strings.ToLower(code) + `"}`,
		} {
			var h HighWater
			h.Add(labelled(t, condition(written, ""), resource.Origin{}))
			got := strings.ToUpper(string(h.MetaSecurity()))
			if want := slices.Contains(duties, code); strings.Contains(got, `"`+code+`"`) != want {
				t.Errorf("%s: %s, want it there: %v", written, got, want)
			}
		}
	}
}

func TestRetiredAndMisplacedLabelsAreNormalised(t *testing.T) {
	systems := []string{"http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "http://hl7.org/fhir/v3/Confidentiality", "urn:oid:2.16.840.1.113883.5.25", "https://terminology.hl7.org/CodeSystem/v3-Confidentiality/", "2.16.840.1.113883.5.25"}
	for code, want := range map[string]string{
		"ETH": "N ETH", "HIV": "N HIV", "PSY": "N PSY", "SDV": "N SDV", "T": "N TBOO", "C": "N CEL", "S": "R", "B": "R", "D": "R", "I": "R", "R": "R", "V": "V", "U": "U", "v": "V", "eth": "N ETH",
	} {
		for _, s := range systems {
			if got := summary(labelled(t, condition(`{"system":"`+s+`","code":"`+code+`"}`, ""), resource.Origin{})); got != want {
				t.Errorf("%s|%s: %q, want %q", s, code, got, want)
			}
		}
	}
	for _, s := range []string{"http://terminology.hl7.org/CodeSystem/v3-ActUSPrivacyLaw", "http://hl7.org/fhir/v3/ActUSPrivacyLaw", "urn:oid:2.16.840.1.113883.5.1138"} {
		if got := summary(labelled(t, condition(`{"system":"`+s+`","code":"42CFRPart2"}`, ""), resource.Origin{})); got != "N 42CFRPart2" {
			t.Errorf("%s: %q", s, got)
		}
	}
	l := labelled(t, condition(`{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"NORDSLCD"}`, ""), resource.Origin{})
	if !slices.Contains(l.Other, Code{ActCode, "NORDSCLCD"}) {
		t.Errorf("%v", l.Other)
	}
}
