package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/replay"
)

// A shelf is an archive of a county: its store, and the forms in which systems'
// resources appeared.
type shelf struct {
	c     *county
	forms []string
}

func (s *shelf) version(ref string) (*store.Record, error) {
	name, version, _ := strings.Cut(ref, "/_history/")
	typ, id, _ := strings.Cut(name, "/")
	n, _ := strconv.ParseInt(version, 10, 64)
	rec, err := s.c.store.ReadVersion(s.c.t.Context(), keyOf(typ, id), n)
	if errors.Is(err, store.ErrNotFound) {
		return nil, replay.ErrGone
	}
	return rec, err
}

func (s *shelf) Resource(_ context.Context, j *audit.Judged) (*resource.Resource, error) {
	if !strings.Contains(j.Reference, "/_history/") {
		for _, raw := range s.forms {
			if audit.ContentDigest([]byte(raw)) == j.Digest {
				return resource.Parse([]byte(raw))
			}
		}
		return nil, replay.ErrNotKept
	}
	rec, err := s.version(j.Reference)
	if err != nil {
		return nil, err
	}
	if resource.Digest(rec.Raw) != j.Digest {
		return nil, replay.ErrChanged
	}
	return gateway.StoredForm(rec)
}

func (s *shelf) Consent(ctx context.Context, h *audit.Heard) (*resource.Resource, error) {
	if h.Brought() {
		raw, err := gateway.HeardConsent(ctx, s.c.store, h.Digest)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", replay.ErrGone, err)
		}
		return resource.Parse(raw)
	}
	rec, err := s.version(h.Reference)
	if err != nil {
		return nil, err
	}
	return resource.Parse(rec.Raw)
}

func (s *shelf) Instance(_ context.Context, entry string) (*resource.Resource, error) {
	ref, _, _ := strings.Cut(entry, " ")
	rec, err := s.version(ref)
	if err != nil {
		return nil, err
	}
	return resource.Parse(rec.Raw)
}

func (s *shelf) Engine(laws, directory []string) (*policy.Engine, error) {
	e := policy.New(policy.Options{Directory: directory})
	if strings.Join(e.Laws(), " ") != strings.Join(laws, " ") {
		return nil, replay.ErrNoRules
	}
	return e, nil
}

// again replays the newest event, as it comes out of the log.
func (s *shelf) again(change func(*audit.Event)) []replay.Result {
	s.c.t.Helper()
	raw, err := json.Marshal(s.c.trail.last())
	s.c.must(err)
	var e audit.Event
	s.c.must(json.Unmarshal(raw, &e))
	if change != nil {
		change(&e)
	}
	p := &replay.Replayer{Archive: s, Labeller: label.New(label.Options{}), LabelSet: label.LabelSetVersion, Zones: time.LoadLocation}
	out, err := p.Event(s.c.t.Context(), &e, nil)
	s.c.must(err)
	return out
}

// want checks that there are n results and all have the verdict.
func want(t *testing.T, what string, got []replay.Result, n int, v replay.Verdict, why string) {
	t.Helper()
	if len(got) != n {
		t.Errorf("%s: %d decisions, want %d", what, len(got), n)
	}
	for _, r := range got {
		if r.Verdict != v || !strings.Contains(r.Why, why) {
			t.Errorf("%s: %s is %s, %q; want %s, %q\nthen %+v\nnow %+v", what, r.Reference, r.Verdict, r.Why, v, why, r.Then, r.Now)
		}
	}
}

// learn notes what the ehr's resource looks like here, from an answer that sent
// it whole.
func (s *shelf) learn(body string) {
	s.c.t.Helper()
	var b struct {
		Entry []struct{ Resource json.RawMessage }
	}
	s.c.must(json.Unmarshal([]byte(body), &b))
	for _, e := range b.Entry {
		s.forms = append(s.forms, string(e.Resource))
	}
}

func TestADecisionIsMadeAgainFromTheVersionsOfThen(t *testing.T) {
	c := newCounty(t)
	c.populate()
	s := &shelf{c: c}
	for _, path := range []string{"Patient/p1", "Patient/p1/_history/1", "Encounter/e1", "Encounter?patient=Patient/p1", "Patient?_id=p1"} {
		for _, who := range []string{"officer", "clinician", "deputy"} {
			if c.get(who, path); len(c.trail.last().Resources) == 0 {
				t.Fatalf("%s as %s: nothing was judged", path, who)
			}
			for _, r := range s.again(nil) {
				if r.Verdict != replay.Same && !strings.HasPrefix(r.Reference, "Patient/k-") && !strings.HasPrefix(r.Reference, "Encounter/k-") {
					t.Errorf("%s as %s: %+v", path, who, r)
				}
			}
		}
	}
	id := created(t, c.do("clinician", http.MethodPost, "Consent", release, asFHIR))
	a := c.get("officer", "CarePlan?patient=Patient/p1")
	if len(a.ids(t)) != 1 {
		t.Fatalf("the Consent opens nothing: %s", a)
	}
	s.learn(a.body)
	want(t, "under a Consent", s.again(nil), 1, replay.Same, "")
	opened := c.trail.last()
	revoked := strings.Replace(strings.Replace(release, `"active"`, `"inactive"`, 1), `"Consent"`, `"Consent","id":"`+id+`"`, 1)
	if a := c.do("clinician", http.MethodPut, "Consent/"+id, revoked, with("If-Match", `W/"1"`)); a.status != http.StatusOK {
		t.Fatal(a)
	}
	c.trail.events = append(c.trail.events, opened)
	want(t, "after the revocation, of the decision before it", s.again(nil), 1, replay.Same, "")
	if r := s.again(nil)[0]; r.Now == nil || r.Now.Reasons[0].Consent != "Consent/"+id+"/_history/1" {
		t.Errorf("it does not go by the version that was heard: %+v", r)
	}
	c.must(c.store.Expunge(t.Context(), keyOf("Consent", id)))
	want(t, "after the Consent was expunged", s.again(nil), 1, replay.NotReplayable, "Consent/"+id+"/_history/1, which was heard: it was expunged")
}

func TestWhatCannotBeHadIsSaidToBeNotReplayable(t *testing.T) {
	c := newCounty(t)
	c.populate()
	s := &shelf{c: c}
	c.get("officer", "Encounter/e1")
	want(t, "as it was", s.again(nil), 1, replay.Same, "")
	for name, b := range map[string]struct {
		change  func(*audit.Event)
		verdict replay.Verdict
		why     string
	}{
		"an older event":        {func(e *audit.Event) { e.Facts = nil }, replay.NotReplayable, "recorded before"},
		"policy not asked":      {func(e *audit.Event) { e.Resources[0].Question = 0 }, replay.NotReplayable, "Consents could not be read"},
		"no such question":      {func(e *audit.Event) { e.Resources[0].Question = 7 }, replay.NotReplayable, "no question 7"},
		"other rules":           {func(e *audit.Event) { e.Facts.Laws = []string{"moon@2020.01"} }, replay.NotReplayable, "not archived"},
		"an unknown fact":       {func(e *audit.Event) { e.Facts.Questions[0].Facts = []byte(`{"Mood":"good"}`) }, replay.NotReplayable, "Mood"},
		"another label set":     {func(e *audit.Event) { e.Facts.LabelSet, e.Resources[0].Labelled = "rules1/x", "x" }, replay.NotReplayable, "rules1/x"},
		"the same labels":       {func(e *audit.Event) { e.Facts.LabelSet = "rules1/x" }, replay.Same, ""},
		"other labels":          {func(e *audit.Event) { e.Resources[0].Labelled = "x" }, replay.NotReplayable, "another release"},
		"another content":       {func(e *audit.Event) { e.Resources[0].Digest = "x" }, replay.NotReplayable, "not what was decided on"},
		"another decision":      {func(e *audit.Event) { e.Resources[0].Decision = "deny" }, replay.Different, "it was deny and is permit"},
		"other obligations":     {func(e *audit.Event) { e.Resources[0].Obligations = nil }, replay.Different, "obligations"},
		"other reasons":         {func(e *audit.Event) { e.Resources[0].Reasons[0].Rule = "x" }, replay.Different, "reasons"},
		"something cut":         {func(e *audit.Event) { e.Resources[0].Cut = "1-2" }, replay.Different, "cut out"},
		"a fact of then":        {func(e *audit.Event) { e.Resources[0].Origin.Custodian = "Organization/so" }, replay.Different, "it was permit and is deny"},
		"a Consent of no place": {func(e *audit.Event) { e.Facts.Questions[0].Consents = []int{4} }, replay.NotReplayable, "no Consent 4"},
	} {
		want(t, name, s.again(b.change), 1, b.verdict, b.why)
	}
	c.must(c.store.Expunge(t.Context(), keyOf("Encounter", "e1")))
	want(t, "expunged", s.again(nil), 1, replay.NotReplayable, "expunged")
	c.put(contact)
	want(t, "made anew", s.again(nil), 1, replay.Same, "")
	c.must(c.store.Expunge(t.Context(), keyOf("Encounter", "e1")))
	c.put(strings.Replace(contact, `"status":"finished"`, `"status":"cancelled"`, 1))
	want(t, "made anew with another content", s.again(nil), 1, replay.NotReplayable, "not what was decided on")
}

// A Consent that a connected system keeps is heard; what was heard stays for a
// replay, and goes with the person.
func TestConsentsOfConnectedSystemsAreKeptForReplay(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.ehr.set(false, 0, remote, plan, diagnosis, asthma, heardDeny)
	s := &shelf{c: c}
	c.get("clinician", "Condition?patient=Patient/p1")
	e := c.trail.last()
	if len(e.Resources) == 0 || e.Facts == nil || len(e.Facts.Consents) == 0 || !e.Facts.Consents[0].Brought() {
		t.Fatalf("the Consent was not recorded: %+v", e.Facts)
	}
	heard := e.Facts.Consents[0]
	raw, err := gateway.HeardConsent(t.Context(), c.store, heard.Digest)
	if err != nil || audit.ContentDigest(raw) != heard.Digest || !strings.Contains(string(raw), `"deny"`) {
		t.Fatalf("%v: %s", err, raw)
	}
	for _, r := range s.again(nil) {
		if r.Verdict == replay.NotReplayable && strings.Contains(r.Why, "heard") {
			t.Errorf("%+v", r)
		}
	}
	text, _ := json.Marshal(e)
	for _, clinical := range []string{"F31.81", "J45", "Asthma", "signed"} {
		if strings.Contains(string(text), clinical) {
			t.Errorf("%q is in the trail: %s", clinical, text)
		}
	}
	c.must(gateway.Forget(t.Context(), c.store, c.links, c.ids, "Patient/p1"))
	if _, err := gateway.HeardConsent(t.Context(), c.store, heard.Digest); !errors.Is(err, gateway.ErrNotKept) {
		t.Errorf("after the expunge: %v", err)
	}
	if left, _ := c.store.Scan(t.Context(), "heard-of/p1/", "", 10); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// One question stands once however many resources it was asked about, and a
// page stays small.
func TestAPageOfTheTrailStaysSmall(t *testing.T) {
	c := newCounty(t)
	c.populate()
	for i := range 200 {
		c.put(strings.Replace(contact, `"id":"e1"`, fmt.Sprintf(`"id":"many%d"`, i), 1))
	}
	c.get("officer", "Encounter?patient=Patient/p1&_count=200")
	e := c.trail.last()
	raw, err := json.Marshal(e)
	c.must(err)
	if len(e.Resources) < 200 || len(e.Facts.Questions) > 2 || len(raw) > 200*130 {
		t.Errorf("%d resources, %d questions, %d bytes", len(e.Resources), len(e.Facts.Questions), len(raw))
	}
	for i := range e.Resources {
		if len(e.Resources[i].Obligations) == 0 && e.Resources[i].Decision != "deny" {
			t.Errorf("%s went out without its obligations in the trail", e.Resources[i].Reference)
		}
	}
	for _, r := range (&shelf{c: c}).again(nil) {
		if r.Verdict == replay.Different {
			t.Errorf("%+v", r)
		}
	}
}

// A decision whose facts cannot be recorded gives no answer.
func TestNoRecordNoAnswer(t *testing.T) {
	c := newCounty(t)
	c.populate()
	c.tokens["officer"].Requester.CareTeams = []string{"bad \xff"}
	if a := c.get("officer", "Patient/p1"); a.status != http.StatusInternalServerError || strings.Contains(a.body, "Quintana") {
		t.Errorf("got %s", a)
	}
	if e := c.trail.last(); e.Status != http.StatusInternalServerError || len(e.Resources) > 0 {
		t.Errorf("got %+v", e)
	}
}
