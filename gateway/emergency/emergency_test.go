package emergency

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
)

var (
	noon   = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	doctor = Personnel{Organization: "Organization/er", OrganizationName: "County ER", Client: "er", User: "npi-9", Name: "Ana Ortiz, MD"}
)

func declaration() *Declaration {
	return &Declaration{
		By: doctor, Patient: "Patient/p1", Reason: "unresponsive", ConsentCannotBeObtained: true, Encounter: "Encounter/e1", At: noon, Until: noon.Add(time.Hour),
	}
}

func record() *Record {
	r := &Record{
		Declaration: "Task/d1", Custodian: "Organization/harbor", CustodianName: "Harbor", Patient: "Patient/w-1", To: doctor, Reason: "unresponsive",
		Purpose: "ETREAT", Part2: true,
	}
	r.Add(noon, "Condition/w-2", "Condition/w-3")
	return r
}

// parsed reads what was written and holds it against R4.
func parsed(t *testing.T, raw []byte, err error) *resource.Resource {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	r, err := resource.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if issues := validate.Resource(r); validate.Failed(issues) {
		t.Errorf("not valid: %v\n%s", issues, raw)
	}
	return r
}

func TestADeclarationIsReadAsItWasWritten(t *testing.T) {
	claimed := declaration()
	claimed.By.User, claimed.By.Claimed, claimed.Encounter, claimed.ConsentCannotBeObtained = "", true, "", false
	ended, err := declaration().End()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Declaration{declaration(), claimed, ended} {
		raw, err := d.Task("d1")
		got, err := ReadDeclaration(parsed(t, raw, err))
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("%v: read %+v\nwritten %+v", err, got, d)
		}
	}
	if _, err := ended.End(); !errors.Is(err, ErrEnded) {
		t.Errorf("ended twice: %v", err)
	}
}

func TestADeclarationStandsForItsTimeAndItsUser(t *testing.T) {
	d := declaration()
	ended, _ := d.End()
	for _, c := range []struct {
		d    *Declaration
		at   time.Time
		want bool
	}{{d, noon.Add(-1), false}, {d, noon, true}, {d, noon.Add(time.Hour - 1), true}, {d, noon.Add(time.Hour), false}, {ended, noon, false}, {&Declaration{}, noon, false}} {
		if got := c.d.InForce(c.at); got != c.want {
			t.Errorf("%+v at %s: %v", c.d, c.at, got)
		}
	}
	if !d.Binds("er", "npi-9") || d.Binds("er", "") || d.Binds("er2", "npi-9") {
		t.Error("bound to somebody else")
	}
	if b := d.BreakGlass(); !b.Declared || b.Reason != "unresponsive" || !b.ConsentCannotBeObtained {
		t.Errorf("%+v", b)
	}
}

func TestWhatIsNoWholeDeclarationIsNotRead(t *testing.T) {
	raw, err := declaration().Task("d1")
	parsed(t, raw, err)
	for name, change := range map[string][2]string{
		"another profile":  {"emergency-declaration", "x"},
		"an unknown field": {`"code":"consent-cannot-be-obtained"`, `"code":"sudo"`},
		"no end":           {`"end":"2026-11-27T13:00:00.000Z"`, `"end":"later"`},
		"nobody":           {`"Ana Ortiz, MD"`, `""`},
		"no reason":        {`"text":"unresponsive"`, `"text":""`},
	} {
		text := strings.Replace(string(raw), change[0], change[1], 1)
		if text == string(raw) {
			t.Fatalf("%s: nothing was changed", name)
		}
		r, err := resource.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := ReadDeclaration(r); err == nil {
			t.Errorf("%s: read %+v", name, d)
		}
	}
}

// 42 CFR 2.51(c)(1)-(4), in the patient's records.
func TestARecordHoldsWhatTheLawAsksFor(t *testing.T) {
	rec := record()
	if rec.Add(noon.Add(time.Minute), "Condition/w-3") {
		t.Error("what is on record is noted again")
	}
	if !rec.Add(noon.Add(2*time.Minute), "Condition/w-3", "Encounter/w-4") {
		t.Error("what is new is not noted")
	}
	raw, err := rec.Communication("c1")
	r := parsed(t, raw, err)
	if got := compartment.Subject(r); got != "Patient/w-1" {
		t.Errorf("in the records of %s", got)
	}
	for _, want := range []string{
		"Ana Ortiz, MD, County ER", `"reference":"Organization/er"`, "Harbor, through the Handoff gateway on its behalf", `"sent":"2026-11-27T12:00:00.000Z"`,
		`"text":"unresponsive"`, `"code":"ETREAT"`, "2026-11-27T12:02:00.000Z Encounter/w-4", "npi-9", "Task/d1",
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%q is missing in %s", want, raw)
		}
	}
	items, err := ReadItems(r)
	if err != nil || !reflect.DeepEqual(items, rec.Items) {
		t.Errorf("read %+v, %v", items, err)
	}
	if !Part2Record(r) {
		t.Error("no record under 42 CFR 2.51")
	}
	other := record()
	other.Part2, other.To.Claimed, other.To.User = false, true, ""
	raw, err = other.Communication("c2")
	if Part2Record(parsed(t, raw, err)) || !strings.Contains(string(raw), "(as stated by the client er)") {
		t.Errorf("%s", raw)
	}
	if _, err := (&Record{}).Communication("c3"); err == nil {
		t.Error("a record of nothing")
	}
	if _, err := ReadItems(parsed(t, []byte(`{"resourceType":"Communication","status":"completed"}`), nil)); err == nil {
		t.Error("any Communication is read as a record")
	}
}

func TestAReviewEndsOnceAndNotByWhoDeclared(t *testing.T) {
	open := &Review{Custodian: "Organization/er", Contact: "Pat", Patient: "Patient/w-1", Record: "Communication/c1", Of: doctor, At: noon, Due: noon.Add(72 * time.Hour)}
	if _, err := open.Close("Organization/er", Closing{Outcome: Justified, User: "npi-9"}); !errors.Is(err, ErrOwnCase) {
		t.Errorf("reviewed by who declared it: %v", err)
	}
	if _, err := open.Close("Organization/er", Closing{Outcome: "fine", User: "u"}); err == nil {
		t.Error("an outcome that is none")
	}
	// The same id at another organisation is another person.
	if _, err := open.Close("Organization/x", Closing{Outcome: Justified, User: "npi-9"}); err != nil {
		t.Error(err)
	}
	closed, err := open.Close("Organization/er", Closing{Outcome: NotJustified, User: "u", Name: "U", At: noon.Add(time.Hour), Note: "could be asked"})
	if err != nil || open.Closed != nil {
		t.Fatalf("%v %+v", err, open)
	}
	if _, err := closed.Close("Organization/er", Closing{Outcome: Justified, User: "u"}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	for _, v := range []*Review{open, closed} {
		raw, err := v.Task("r1")
		got, err := ReadReview(parsed(t, raw, err))
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%v: read %+v %+v\nwritten %+v", err, got, got.Closed, v)
		}
	}
}

func TestANoticeIsReadAsItWasWritten(t *testing.T) {
	for _, n := range []*Notice{
		{Kind: GlassBroken, Custodian: "Organization/harbor", Contact: "Pat", About: []string{"Task/r1", "Communication/c1"}, At: noon, Due: noon.Add(time.Hour), Waits: true},
		{Kind: BasisDeclared, Custodian: "Organization/harbor", About: []string{"Task/t1"}, At: noon},
		{Kind: AcceptedInAdvance, Custodian: "Organization/harbor", About: []string{"Task/t1"}, At: noon, Waits: true, Delivered: noon.Add(time.Second)},
	} {
		raw, err := n.Communication("n1")
		got, err := ReadNotice(parsed(t, raw, err))
		if err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("%v: read %+v\nwritten %+v", err, got, n)
		}
		waits := strings.Contains(string(raw), `"in-progress"`)
		if waits != (n.Waits && n.Delivered.IsZero()) {
			t.Errorf("%s", raw)
		}
	}
}

func FuzzRead(f *testing.F) {
	a, _ := declaration().Task("d1")
	b, _ := record().Communication("c1")
	c, _ := (&Review{Custodian: "Organization/er", Record: "Communication/c1", Patient: "Patient/p", Of: doctor, At: noon, Due: noon}).Task("r1")
	d, _ := (&Notice{Kind: GlassBroken, Custodian: "Organization/er", At: noon, Due: noon}).Communication("n1")
	for _, raw := range [][]byte{a, b, c, d} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := resource.Parse(raw)
		if err != nil {
			return
		}
		if d, err := ReadDeclaration(r); err == nil && (d.By.Client == "" || d.Patient == "" || d.Reason == "") {
			t.Errorf("half a declaration: %+v", d)
		}
		_, _ = ReadItems(r)
		_, _ = ReadReview(r)
		if n, err := ReadNotice(r); err == nil && n.Custodian == "" {
			t.Errorf("a notice for nobody: %+v", n)
		}
	})
}
