package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A world makes random Consents, resources and requests.
type world struct{ *rand.Rand }

func newWorld(seed uint64) world { return world{rand.New(rand.NewPCG(seed, 7))} }

func pick[T any](w world, from ...T) T { return from[w.IntN(len(from))] }

func (w world) coding(system, code string) string {
	return fmt.Sprintf(`{"system":%q,"code":%q}`, system, code)
}

const tho = "http://terminology.hl7.org/CodeSystem/"

// condition is one element of a rule.
func (w world) condition() (name, value string) {
	switch w.IntN(9) {
	case 0:
		return "purpose", "[" + pick(w, w.coding(terminology.PurposeOfUse.URI(), "CRISIS"), w.coding(terminology.PurposeOfUse.URI(), "LAWENF"), w.coding(tho+"v3-ActReason", "TREAT")) + "]"
	case 1:
		role := pick(w, w.coding(tho+"v3-ParticipationType", "IRCP"), w.coding(tho+"v3-ParticipationType", "CST"), w.coding(terminology.ActorRole.URI(), "law-enforcement-officer"))
		ref := pick(w, `{"reference":"Organization/pd"}`, `{"reference":"Organization/clinic"}`, `{"display":"any"}`, `{"reference":"CareTeam/t"}`)
		return "actor", fmt.Sprintf(`[{"role":{"coding":[%s]},"reference":%s}]`, role, ref)
	case 2:
		return "securityLabel", "[" + pick(w, w.coding(tho+"v3-Confidentiality", pick(w, "L", "N", "R", "V")), w.coding(tho+"v3-ActCode", pick(w, "SUD", "PSY", "MH", "HIV", "42CFRPart2"))) + "]"
	case 3:
		return "class", "[" + w.coding("http://hl7.org/fhir/resource-types", pick(w, "CarePlan", "Condition", "Encounter")) + "]"
	case 4:
		return "dataPeriod", pick(w, `{"start":"2026-01-01"}`, `{"end":"2026-03-31"}`, `{"start":"2026-03-01","end":"2026-03-31"}`)
	case 5:
		return "period", pick(w, `{"start":"2026-01-01","end":"2026-12-31"}`, `{"end":"2026-01-31"}`)
	case 6:
		return "data", fmt.Sprintf(`[{"meaning":%q,"reference":{"reference":%q}}]`, pick(w, "instance", "related", "dependents", "authoredby"), pick(w, "CarePlan/x", "Encounter/x", "Practitioner/a"))
	case 7:
		return "action", `[{"coding":[` + w.coding(tho+"consentaction", pick(w, "access", "use")) + `]}]`
	default:
		return "code", `[{"coding":[` + w.coding("http://hl7.org/fhir/sid/icd-10-cm", pick(w, "F11.20", "I10")) + `]}]`
	}
}

// rule makes a provision without braces, so that members can be added.
func (w world) rule(depth int) string {
	members := map[string]string{"type": pick(w, `"permit"`, `"deny"`)}
	for range w.IntN(4) {
		name, value := w.condition()
		members[name] = value
	}
	if depth > 0 && w.IntN(2) == 0 {
		var nested []string
		for range 1 + w.IntN(2) {
			nested = append(nested, "{"+w.rule(depth-1)+"}")
		}
		members["provision"] = "[" + strings.Join(nested, ",") + "]"
	}
	var out []string
	for _, k := range slices.Sorted(maps(members)) {
		out = append(out, fmt.Sprintf("%q:%s", k, members[k]))
	}
	return strings.Join(out, ",")
}

func maps(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func consentJSON(rule, extra string) string {
	return `{"resourceType":"Consent","id":"c","status":"active","patient":{"reference":"Patient/p"},"dateTime":"2026-01-05","performer":[{"reference":"Patient/p"}],` +
		`"organization":[{"reference":"Organization/clinic"}],"sourceReference":{"reference":"DocumentReference/d"},` +
		`"scope":{"coding":[{"system":"` + tho + `consentscope","code":"patient-privacy"}]},` + extra + `"provision":{` + rule + `}}`
}

func consentOf(rule, extra string) *consent.Consent {
	raw := consentJSON(rule, extra)
	r, err := resource.Parse([]byte(raw))
	if err != nil {
		panic(fmt.Sprintf("%v: %s", err, raw))
	}
	return consent.Parse(r, consent.Source{Entitled: true})
}

func (w world) policyRule() string {
	return fmt.Sprintf(`"policyRule":{"coding":[%s]},`, w.coding(tho+"v3-ActCode", pick(w, "HIPAAConsentCD", "42CFRPart2CD", "HIPAAAuthCD")))
}

func (w world) subject(l *label.Labeller) *Subject {
	security := pick(w, ``, w.coding(tho+"v3-Confidentiality", "R"), w.coding(tho+"v3-ActCode", "SUD"), w.coding(tho+"v3-ActCode", "42CFRPart2"),
		w.coding(tho+"v3-ActCode", "PSYTHPN"), w.coding(terminology.CJILabel.URI(), "CHRI"), w.coding(tho+"v3-Confidentiality", "V")+","+w.coding(tho+"v3-ActCode", "PSY"))
	body := pick(w,
		`"resourceType":"CarePlan","status":"active","intent":"plan","created":"2026-03-05","author":{"reference":"Practitioner/a"},"addresses":[{"reference":"Condition/x"}]`,
		`"resourceType":"Condition","code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]},"recordedDate":"2026-05-05"`,
		`"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"period":{"start":"2026-03-05T10:00:00Z"},"reasonCode":[{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"I10"}]},{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F33.1"}]}]`,
	)
	r, err := resource.Parse([]byte(`{"id":"x","subject":{"reference":"Patient/p"},"meta":{"tag":[{"code":"t"}],"security":[` + security + `]},` + body + `}`))
	if err != nil {
		panic(err)
	}
	s := &Subject{Resource: r, Labels: new(label.Labels), Patient: "Patient/p"}
	s.Origin = pick(w, resource.Origin{Custodian: "Organization/clinic"}, resource.Origin{Custodian: "Organization/clinic", Part2: true}, resource.Origin{})
	l.Label(r, s.Origin, s.Labels)
	return s
}

func officer(w world) *Request {
	return &Request{
		At: time.Date(2026, 8, 5, 12, 0, 0, 0, time.FixedZone("", -5*3600)), Scopes: smart.ParseGranted("user/*.rs"),
		Requester: Requester{Reference: "Practitioner/o", Organization: "Organization/pd", Roles: []label.Code{{System: terminology.ActorRole.URI(), Code: "law-enforcement-officer"}}},
		Purposes:  []label.Code{{System: terminology.PurposeOfUse.URI(), Code: pick(w, "CRISIS", "LAWENF")}},
	}
}

// shows is what of a resource goes out: 0 nothing, else how much.
func shows(d Decision) int {
	switch d.Effect {
	case Permit:
		return 1 << 20
	case Redact:
		return 1<<20 - len(d.Remove)
	}
	return 0
}

func TestLessConsentNeverShowsPoliceMore(t *testing.T) {
	labeller, engine := label.New(label.Options{}), New(Options{})
	granted := 0
	for seed := range uint64(6000) {
		w := newWorld(seed)
		var rules, extras []string
		for range w.IntN(4) {
			rules, extras = append(rules, w.rule(2)), append(extras, w.policyRule())
		}
		build := func() (cs []*consent.Consent) {
			for i := range rules {
				cs = append(cs, consentOf(rules[i], extras[i]))
			}
			return cs
		}
		req, sub := officer(w), w.subject(labeller)
		req.Consents = build()
		before := shows(engine.Begin(req).Decide(sub))
		if before > 0 {
			granted++
		}
		var what string
		switch w.IntN(3) {
		case 0:
			what = "one more Consent that denies"
			r := w.rule(0)
			req.Consents = append(build(), consentOf(strings.NewReplacer(`"permit"`, `"deny"`).Replace(r), ""))
		case 1:
			what = "a condition more on a permit"
			i := slices.IndexFunc(rules, func(r string) bool {
				return strings.HasSuffix(r, `"type":"permit"`) && !strings.Contains(r, `"provision"`) && !strings.Contains(r, `"code"`)
			})
			if i < 0 {
				continue
			}
			r := rules[i]
			req.Consents = build()
			req.Consents[i] = consentOf(`"code":[{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"I10"}]}],`+r, extras[i])
		default:
			what = "no purpose"
			req.Consents, req.Purposes = build(), nil
		}
		if after := shows(engine.Begin(req).Decide(sub)); after > before {
			t.Fatalf("seed %d: %s shows more: %d, before %d\n%s\n%s", seed, what, after, before, strings.Join(rules, "\n"), sub.Resource.Raw())
		}
	}
	if granted < 300 {
		t.Errorf("only %d of the worlds grant anything: the test proves little", granted)
	}
}

func TestRemovingAPermitNeverShowsPoliceMore(t *testing.T) {
	labeller, engine := label.New(label.Options{}), New(Options{})
	for seed := range uint64(4000) {
		w := newWorld(seed)
		req, sub := officer(w), w.subject(labeller)
		for range 1 + w.IntN(3) {
			r := strings.ReplaceAll(w.rule(0), `"deny"`, `"permit"`)
			req.Consents = append(req.Consents, consentOf(r, w.policyRule()))
		}
		before := shows(engine.Begin(req).Decide(sub))
		req.Consents = req.Consents[1:]
		if after := shows(engine.Begin(req).Decide(sub)); after > before {
			t.Fatalf("seed %d: %d, before %d", seed, after, before)
		}
	}
}

func TestOrderIsIrrelevantAndDecideIsPure(t *testing.T) {
	labeller, engine := label.New(label.Options{}), New(Options{})
	for seed := range uint64(3000) {
		w := newWorld(seed)
		req, sub := officer(w), w.subject(labeller)
		if w.IntN(2) == 0 {
			req.Requester = Requester{Reference: "Practitioner/d", Organization: "Organization/clinic", TreatingProvider: true, MedicalPersonnel: true}
			req.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: pick(w, "TREAT", "BTG", "HLEGAL")}}
		}
		for range w.IntN(4) {
			req.Consents = append(req.Consents, consentOf(w.rule(2), w.policyRule()))
		}
		raw, labels := bytes.Clone(sub.Resource.Raw()), fmt.Sprintf("%+v", sub.Labels)
		s := engine.Begin(req)
		first, again := s.Decide(sub), s.Decide(sub)
		if !reflect.DeepEqual(first, again) || !bytes.Equal(raw, sub.Resource.Raw()) || labels != fmt.Sprintf("%+v", sub.Labels) {
			t.Fatalf("seed %d: Decide is not pure", seed)
		}
		slices.Reverse(req.Consents)
		turned := engine.Begin(req).Decide(sub)
		if turned.Effect != first.Effect || len(turned.Remove) != len(first.Remove) || !slices.Equal(turned.Obligations, first.Obligations) {
			t.Fatalf("seed %d: the order of Consents matters: %v and %v", seed, first, turned)
		}
	}
}

// TestPossibleIsAnUpperBound: whatever could be permitted, the system is asked.
func TestPossibleIsAnUpperBound(t *testing.T) {
	labeller, engine := label.New(label.Options{}), New(Options{})
	asked, spared := 0, 0
	for seed := range uint64(8000) {
		w := newWorld(seed)
		req, sub := officer(w), w.subject(labeller)
		req.Person = pick(w, nil, []string{"Patient/p"})
		switch w.IntN(4) {
		case 0:
			req.Requester = Requester{Reference: "Practitioner/d", Organization: "Organization/clinic", TreatingProvider: true, MedicalPersonnel: true}
			req.Purposes = []label.Code{{System: tho + "v3-ActReason", Code: pick(w, "TREAT", "BTG", "HLEGAL")}}
			req.BreakGlass = pick(w, nil, &BreakGlass{Declared: true, Reason: "r", ConsentCannotBeObtained: true})
		case 1:
			req.LegalBases = []*LegalBasis{{Type: pick(w, "warrant", "part2-court-order", "crime-on-part2-premises"), Covers: []string{"CarePlan/x", "Condition/x"},
				Attributes: map[string]any{"section": "2.65", "compulsoryProcess": true, "initiatedBy": "Organization/clinic"}}}
		}
		for range w.IntN(3) {
			req.Consents = append(req.Consents, consentOf(w.rule(2), w.policyRule()))
		}
		s := engine.Begin(req)
		possible, d := s.Possible(sub.Origin), s.Decide(sub)
		if d.Effect >= Permit && !possible {
			t.Fatalf("seed %d: permitted by %+v, though not possible", seed, d.Reasons)
		}
		if possible {
			asked++
		} else {
			spared++
		}
	}
	if spared < asked/4 {
		t.Errorf("Possible is true %d times and false %d times: it says little", asked, spared)
	}
}
