package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A told is a request that a remedy is applied to by what it says alone: by a
// reader of its JSON, who knows nothing of how it was found.
type told struct {
	req      Request
	consents map[string]string // name → JSON
}

func (w *told) add(t testing.TB, name, raw string) {
	t.Helper()
	w.consents[name] = raw
	w.req.Consents = append(w.req.Consents, parseConsent(t, name, raw))
}

func parseConsent(t testing.TB, name, raw string) *consent.Consent {
	t.Helper()
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return consent.Parse(r, consent.Source{Entitled: true, Reference: name})
}

// attributes with which every type of basis is valid.
var attributes = map[string]any{
	"issuedBy": "a clerk", "satisfactoryAssurance": true, "relevantAndMaterial": true, "specificAndLimited": true,
	"deidentifiedInsufficient": true, "subject": "suspect", "victimAgrees": true, "attestedBy": "Practitioner/chief",
	"attestedAt": "2020-01-01T00:00:00Z", "represented": []any{"transport"}, "section": "2.65", "compulsoryProcess": true,
	"initiatedBy": "Organization/clinic", "law": "a statute", "reportedBy": "Practitioner/chief", "personHasDied": true,
	"suspectedCriminalConduct": true, "onPremises": true, "evidenceInGoodFaith": true, "alertsTo": []any{"crime"}, "resultOfAbuse": false,
	"statement": "I did it", "seriousHarmToVictim": true, "learnedInTherapy": false, "escapedFrom": "lawful-custody",
}

// with makes the changes, read back from JSON.
func (w *told) with(t testing.TB, r Remedy, sub *Subject) *Request {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read Remedy
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	q := w.req
	q.Consents = slices.Clone(q.Consents)
	for _, c := range read.Changes {
		switch c.Code {
		case NewConsent, NewPart2, NewPsychotherapy:
			q.Consents = append(q.Consents, parseConsent(t, "Consent/applied", string(c.Draft)))
		case EndConsent:
			i := slices.IndexFunc(q.Consents, func(k *consent.Consent) bool { return k.Reference() == c.Consent })
			if i < 0 {
				t.Fatalf("%s is ended, which nobody knows", c.Consent)
			}
			q.Consents[i] = parseConsent(t, c.Consent, strings.Replace(w.consents[c.Consent], `"status":"active"`, `"status":"inactive"`, 1))
		case ConsentPeriod:
			q.At = *c.At
		case AddScope:
			q.Scopes = append(slices.Clone(q.Scopes), smart.ParseGranted(c.Scope)...)
		case AddTreating, RemoveTreating:
			q.Requester.TreatingProvider = c.Code == AddTreating
		case OtherPurpose:
			i := strings.LastIndexByte(c.Purpose, '|')
			q.Purposes = []label.Code{{System: c.Purpose[:i], Code: c.Purpose[i+1:]}}
		case AddBasis:
			b := &LegalBasis{Type: c.Basis, Covers: []string{sub.Resource.Reference()}, Attributes: map[string]any{}}
			for _, n := range c.Needs {
				if n != "covers" {
					b.Attributes[n] = attributes[n]
				}
			}
			if strings.HasSuffix(c.Basis, "-off-premises") {
				b.Attributes["onPremises"] = false
			}
			q.LegalBases = append(slices.Clone(q.LegalBases), b)
		case WithdrawBasis:
			q.LegalBases = slices.DeleteFunc(slices.Clone(q.LegalBases), func(b *LegalBasis) bool { return b.ID == c.Basis })
		case AddAgreement:
			q.Agreements = []string{"any"}
		case RemoveAgreement:
			q.Agreements = nil
		case BreakTheGlass:
			q.BreakGlass = &BreakGlass{Declared: true, Reason: "collapse", ConsentCannotBeObtained: true}
		case RemoveBreakGlass:
			q.BreakGlass = nil
		case RemoveMedical:
			q.Requester.MedicalPersonnel = false
		case RemoveMemberships:
			q.Requester.CareTeams, q.Requester.Groups, q.Requester.Networks = nil, nil, nil
		default:
			t.Fatalf("nobody knows what %q is", c.Code)
		}
	}
	return &q
}

// explained makes a random request, subject and explanation.
func explained(t testing.TB, seed uint64, labeller *label.Labeller, engine *Engine) (*told, *Subject, Explanation) {
	t.Helper()
	w := newWorld(seed)
	sub := w.subject(labeller)
	r := &told{req: *officer(w), consents: map[string]string{}}
	r.req.Person = pick(w, nil, []string{"Patient/p"})
	if w.IntN(2) == 0 {
		r.req.Requester = Requester{
			Reference: "Practitioner/d", Organization: "Organization/other", TreatingProvider: w.IntN(2) == 0, MedicalPersonnel: w.IntN(2) == 0,
			CareTeams: []string{"CareTeam/t"},
		}
		r.req.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: pick(w, "TREAT", "BTG", "HLEGAL")}}
		r.req.BreakGlass = pick(w, nil, &BreakGlass{Declared: true, Reason: "r", ConsentCannotBeObtained: true})
	}
	if w.IntN(4) == 0 {
		r.req.Direction = PoliceToHealth
		r.req.Agreements = pick(w, nil, []string{"moa"})
	}
	if w.IntN(5) == 0 {
		r.req.Scopes = pick(w, nil, smart.ParseGranted("user/Patient.rs"))
	}
	if w.IntN(4) == 0 {
		r.req.LegalBases = []*LegalBasis{{ID: "Task/b", Type: pick(w, "warrant", "administrative-request"), Covers: []string{sub.Resource.Reference()}, Attributes: map[string]any{}}}
	}
	if w.IntN(6) == 0 {
		r.add(t, "Consent/team", consentJSON(`"type":"permit","actor":[{"role":{"coding":[{"system":"`+tho+`v3-ParticipationType","code":"IRCP"}]},"reference":{"reference":"CareTeam/t"}}]`, ""))
	}
	for i := range w.IntN(4) {
		r.add(t, fmt.Sprintf("Consent/c%d", i), consentJSON(w.rule(2), w.policyRule()))
	}
	return r, sub, engine.Begin(&r.req).Explain(sub)
}

// TestARemedyChangesTheAnswer: whoever does what a remedy says gets the answer
// that it promises.
func TestARemedyChangesTheAnswer(t *testing.T) {
	labeller, engine := label.New(label.Options{}), New(Options{})
	seen := map[ChangeCode]int{}
	denied, without, pairs := 0, 0, 0
	for seed := range uint64(2000) {
		r, sub, e := explained(t, seed, labeller, engine)
		now := engine.Begin(&r.req).Decide(sub)
		if now.Effect != e.Decision.Effect || len(now.Remove) != len(e.Decision.Remove) {
			t.Fatalf("seed %d: explained %v, decided %v", seed, e.Decision, now)
		}
		opens := 0
		for _, remedy := range e.Remedies {
			then := engine.Begin(r.with(t, remedy, sub)).Decide(sub)
			text := fmt.Sprintf("seed %d: %v; now %v %v, then %v %v", seed, remedy, now.Effect, now.Reasons, then.Effect, then.Reasons)
			if then.Effect.String() != remedy.Effect {
				t.Fatalf("another answer than promised: %s", text)
			}
			if c := then.compare(&now); remedy.Opens && c <= 0 || !remedy.Opens && c >= 0 {
				t.Fatalf("not the way it says: %s", text)
			}
			if remedy.Opens {
				opens++
			}
			if len(remedy.Changes) > 1 {
				pairs++
			}
			for _, c := range remedy.Changes {
				seen[c.Code]++
				if c.Detail == "" {
					t.Fatalf("a change without words: %s", text)
				}
			}
		}
		if now.Effect == Deny {
			denied++
			if opens == 0 {
				without++
				// The person can open what is behind no gate, or behind one where the
				// custodian is known that must be named; an authorization for
				// psychotherapy notes covers no other sensitivity.
				g := needOf(sub.Labels)
				openable := g == 0 || sub.Origin.Custodian != "" && (g&consent.PsychotherapyNote == 0 || len(sub.Labels.Sensitivity) == 1)
				if len(sub.Labels.CJI) == 0 && len(r.req.Consents) == 0 && openable {
					t.Errorf("seed %d: nothing opens it, and no Consent and no CJI is in the way: %v", seed, now.Reasons)
				}
			}
		}
	}
	for _, code := range []ChangeCode{NewConsent, NewPart2, NewPsychotherapy, EndConsent, ConsentPeriod, AddScope, AddTreating, RemoveTreating,
		OtherPurpose, AddBasis, WithdrawBasis, AddAgreement, RemoveAgreement, BreakTheGlass, RemoveBreakGlass, RemoveMedical, RemoveMemberships} {
		if seen[code] == 0 {
			t.Errorf("no world has the remedy %s: the test says nothing of it", code)
		}
	}
	if pairs == 0 || denied < 500 || without > denied/3 {
		t.Errorf("%d pairs; %d denied, %d of them without remedy", pairs, denied, without)
	}
}

// needOf is what data of these labels need of a Consent, said without the packs.
func needOf(l *label.Labels) (n consent.Need) {
	if l.HasLaw(label.Part2) {
		n |= consent.Part2
	}
	if l.HasLaw("HIPAAPsyNotes") || slices.Contains(l.Sensitivity, "PSYTHPN") {
		n |= consent.PsychotherapyNote
	}
	return n
}

// TestExplainIsPure: the request is as it was.
func TestExplainIsPure(t *testing.T) {
	labeller, engine := label.New(label.Options{}), New(Options{})
	for seed := range uint64(200) {
		r, sub, first := explained(t, seed, labeller, engine)
		before := fmt.Sprintf("%+v", r.req)
		again := engine.Begin(&r.req).Explain(sub)
		a, _ := json.Marshal(first.Remedies)
		b, _ := json.Marshal(again.Remedies)
		if string(a) != string(b) || before != fmt.Sprintf("%+v", r.req) {
			t.Fatalf("seed %d: explaining changes something", seed)
		}
	}
}

func TestRemedies(t *testing.T) {
	const clinic = "Organization/clinic"
	sud := strings.Replace(carePlan, `"id":"x"`, `"id":"x","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SUD"}]}`, 1)
	notes := strings.Replace(carePlan, `"id":"x"`, `"id":"x","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSYTHPN"}]}`, 1)
	chri := strings.Replace(carePlan, `"id":"x"`, `"id":"x","meta":{"security":[{"system":"https://handoff-health.github.io/fhir/CodeSystem/cji-label","code":"CHRI"}]}`, 1)
	opens := func(e Explanation) []string {
		var out []string
		for _, r := range e.Remedies {
			var codes []string
			for _, c := range r.Changes {
				text := string(c.Code)
				if c.Basis != "" {
					text += " " + c.Basis
				}
				codes = append(codes, text)
			}
			if r.Opens {
				out = append(out, strings.Join(codes, " + "))
			} else {
				out = append(out, "- "+strings.Join(codes, " + "))
			}
		}
		return out
	}
	doctor := func(q *Request) {
		q.Requester = Requester{Reference: "Practitioner/d", Organization: "Organization/er", TreatingProvider: true}
		q.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: "TREAT"}}
	}
	for name, c := range map[string]struct {
		raw     string
		origin  resource.Origin
		consent string // provision
		change  func(*Request)
		has     []string
		hasNot  []string
	}{
		"police without a Consent": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic},
			has:    []string{"consent/new", "basis/accept warrant", "basis/accept court-order"},
			hasNot: []string{"treating/add", "scope/add", "consent/new-part2", "agreement/add", "basis/accept hipaa-512k5-custody"},
		},
		"police, Part 2": {
			raw: sud, origin: resource.Origin{Custodian: clinic, Part2: true},
			has:    []string{"consent/new-part2", "basis/accept part2-court-order"},
			hasNot: []string{"consent/new", "basis/accept warrant", "basis/accept subpoena"},
		},
		"a doctor, Part 2": {
			raw: sud, origin: resource.Origin{Custodian: clinic, Part2: true}, change: doctor,
			has: []string{"consent/new-part2"}, hasNot: []string{"consent/new", "treating/add", "break-glass/declare"},
		},
		"medical personnel, Part 2": {
			raw: sud, origin: resource.Origin{Custodian: clinic, Part2: true},
			change: func(q *Request) { doctor(q); q.Requester.MedicalPersonnel = true },
			has:    []string{"purpose/replace + break-glass/declare"},
		},
		"psychotherapy notes": {
			raw: notes, origin: resource.Origin{Custodian: clinic}, change: doctor,
			has: []string{"consent/new-psychotherapy-notes"}, hasNot: []string{"consent/new", "basis/accept warrant"},
		},
		"criminal history to a doctor": {
			raw: chri, origin: resource.Origin{Custodian: "Organization/pd", Police: true},
			change: func(q *Request) { doctor(q); q.Direction = PoliceToHealth },
			hasNot: []string{"consent/new", "agreement/add", "treating/add"},
		},
		"a call record to a doctor": {
			raw: carePlan, origin: resource.Origin{Custodian: "Organization/pd", Police: true},
			change: func(q *Request) { doctor(q); q.Direction = PoliceToHealth },
			has:    []string{"agreement/add", "consent/new"},
		},
		"a deny in the way": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic}, change: doctor, consent: `"type":"deny","period":{"end":"2027-01-01"}`,
			has: []string{"consent/end", "consent/period"}, hasNot: []string{"consent/new", "treating/add"},
		},
		"police and a deny": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic}, consent: `"type":"deny"`,
			has: []string{"basis/accept warrant"}, hasNot: []string{"consent/end", "consent/new"},
		},
		"a token without the scope": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic}, change: func(q *Request) { doctor(q); q.Scopes = smart.ParseGranted("user/Patient.rs") },
			has: []string{"scope/add"}, hasNot: []string{"consent/new"},
		},
		"neither scope nor treatment": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic}, change: func(q *Request) {
				doctor(q)
				q.Requester.TreatingProvider, q.Scopes = false, nil
			},
			has: []string{"scope/add + treating/add", "scope/add + consent/new"},
		},
		"a purpose that is not treatment": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic}, change: func(q *Request) {
				doctor(q)
				q.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: "HMARKT"}}
			},
			has: []string{"purpose/replace", "consent/new"},
		},
		"treatment": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic}, change: doctor,
			has: []string{"- treating/remove"}, hasNot: []string{"consent/new"},
		},
		"police on a Consent that expires": {
			raw: carePlan, origin: resource.Origin{Custodian: clinic}, consent: `"type":"permit","period":{"end":"2026-12-31"}`,
			has: []string{"- consent/end", "- consent/period"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := officer(newWorld(1))
			if c.change != nil {
				c.change(req)
			}
			if c.consent != "" {
				req.Consents = []*consent.Consent{consentOf(c.consent, "")}
			}
			e := New(Options{}).Begin(req).Explain(subjectOf(t, c.raw, c.origin))
			got := opens(e)
			for _, want := range c.has {
				if !slices.Contains(got, want) {
					t.Errorf("%q is missing in %q (%v)", want, got, e.Decision)
				}
			}
			for _, bad := range c.hasNot {
				if slices.Contains(got, bad) {
					t.Errorf("%q in %q", bad, got)
				}
			}
		})
	}
}

func TestADeclaredBasisIsToldWhatItLacks(t *testing.T) {
	req := officer(newWorld(1))
	req.LegalBases = []*LegalBasis{{ID: "Task/1", Type: "administrative-request", Covers: []string{"CarePlan/x"}, Attributes: map[string]any{"relevantAndMaterial": true}}}
	e := New(Options{}).Begin(req).Explain(subjectOf(t, carePlan, resource.Origin{Custodian: "Organization/clinic"}))
	for _, r := range e.Remedies {
		if c := r.Changes[0]; c.Basis == "administrative-request" {
			slices.Sort(c.Needs)
			if !slices.Equal(c.Needs, []string{"deidentifiedInsufficient", "specificAndLimited"}) {
				t.Errorf("needs %q", c.Needs)
			}
			return
		}
	}
	t.Errorf("no such remedy: %+v", e.Remedies)
}

func TestTheInstantOfAnExpiry(t *testing.T) {
	req := officer(newWorld(1))
	req.Consents = []*consent.Consent{consentOf(`"type":"permit","period":{"end":"2026-12-31"}`, "")}
	e := New(Options{}).Begin(req).Explain(subjectOf(t, carePlan, resource.Origin{Custodian: "Organization/clinic"}))
	want := time.Date(2027, 1, 1, 0, 0, 0, 0, req.At.Location())
	for _, r := range e.Remedies {
		if c := r.Changes[0]; c.Code == ConsentPeriod {
			if !c.At.Equal(want) || r.Opens || r.Effect != "deny" {
				t.Errorf("%v, want %v", c.At, want)
			}
			return
		}
	}
	t.Errorf("no such remedy: %+v", e.Remedies)
}
