package identity_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/identity/identitytest"
)

var (
	key   = []byte("a key of thirty-two bytes or more")
	slugs = map[string]string{"riverton-health": "qx", "ccbh": "kelp"}
	ctx   = context.Background()
)

func newMap(t testing.TB, f store.Facts, k []byte, s map[string]string) *identity.IDMap {
	t.Helper()
	m, err := identity.NewIDMap(f, k, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newLinks(t testing.TB) (*identity.Links, *identity.IDMap, *identitytest.Facts) {
	t.Helper()
	f := &identitytest.Facts{}
	ids := newMap(t, f, key, slugs)
	var mu sync.Mutex
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return identity.NewLinks(f, ids, func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(time.Second)
		return at
	}), ids, f
}

func TestNewIDMapRefusesUnsafeSettings(t *testing.T) {
	for name, c := range map[string]struct {
		key   []byte
		slugs map[string]string
	}{
		"a short key":       {key[:31], slugs},
		"an empty slug":     {key, map[string]string{"a": ""}},
		"a slug of nine":    {key, map[string]string{"a": "abcdefghi"}},
		"a slug with a dot": {key, map[string]string{"a": "a.b"}},
		"a capital":         {key, map[string]string{"a": "Ab"}},
		"a shared slug":     {key, map[string]string{"a": "x", "b": "x"}},
	} {
		if _, err := identity.NewIDMap(&identitytest.Facts{}, c.key, c.slugs); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestOpaqueIDsTellNothingAndLeadBack(t *testing.T) {
	f := &identitytest.Facts{}
	m := newMap(t, f, key, slugs)
	id, err := m.Forward(ctx, "riverton-health", "Patient", "12345")
	if err != nil {
		t.Fatal(err)
	}
	if !resource.ValidID(id) || !strings.HasPrefix(id, "qx-") || strings.Contains(id, "12345") || len(id) != 3+26 {
		t.Errorf("id %q", id)
	}
	if !m.IsOpaque(id) || m.IsOpaque("12345") || m.IsOpaque("zz"+id[2:]) || m.IsOpaque(id+"a") {
		t.Error("IsOpaque does not tell its own ids")
	}
	again, err := newMap(t, f, key, slugs).Forward(ctx, "riverton-health", "Patient", "12345")
	if err != nil || again != id {
		t.Errorf("after a restart: %q, %v", again, err)
	}
	fresh := newMap(t, f, key, slugs)
	system, remote, ok, err := fresh.Resolve(ctx, "Patient", id)
	if system != "riverton-health" || remote != "12345" || !ok || err != nil {
		t.Errorf("resolved to %q %q %v %v", system, remote, ok, err)
	}
	seen := map[string]bool{id: true}
	for _, other := range []struct{ system, typ, id string }{
		{"riverton-health", "Observation", "12345"}, {"riverton-health", "Patient", "12346"}, {"ccbh", "Patient", "12345"},
		{"riverton-health", "Patien", "t12345"},
	} {
		o, err := m.Forward(ctx, other.system, other.typ, other.id)
		if err != nil || seen[o] {
			t.Errorf("%v: %q, %v", other, o, err)
		}
		seen[o] = true
	}
	if o, _ := newMap(t, &identitytest.Facts{}, []byte("another key of thirty-two bytes.."), slugs).Opaque("riverton-health", "Patient", "12345"); o == id {
		t.Error("the id does not depend on the key")
	}
}

func TestResolveRefusesWhatItDidNotGive(t *testing.T) {
	f := &identitytest.Facts{}
	m := newMap(t, f, key, slugs)
	id, err := m.Forward(ctx, "ccbh", "Patient", "1")
	if err != nil {
		t.Fatal(err)
	}
	forged := "qx" + strings.TrimPrefix(id, "kelp")
	if _, err := f.PutIfAbsent(ctx, "id/Patient/"+forged, []byte(`{"system":"ccbh","type":"Patient","id":"1"}`), time.Time{}); err != nil {
		t.Fatal(err)
	}
	made := "qx-" + strings.Repeat("a", 26)
	if _, err := f.PutIfAbsent(ctx, "id/Patient/"+made, []byte(`{"system":"riverton-health","type":"Patient","id":"1"}`), time.Time{}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ typ, id string }{
		"another type":                 {"Observation", id},
		"another slug":                 {"Patient", forged},
		"a mapping the key denies":     {"Patient", made},
		"an id never given":            {"Patient", "qx-" + strings.Repeat("b", 26)},
		"an own id":                    {"Patient", "12345"},
		"a slug of no system":          {"Patient", "zz-" + strings.Repeat("b", 26)},
		"a path in place of an id":     {"Patient", "qx-../../../link/aaaaaaaaaaaa"},
		"nothing":                      {"Patient", ""},
		"an id with a letter more":     {"Patient", id + "a"},
		"an id written in upper case":  {"Patient", strings.ToUpper(id)},
		"a type that runs into the id": {"Patient/" + id, id},
	} {
		if s, r, ok, err := newMap(t, f, key, slugs).Resolve(ctx, c.typ, c.id); ok || err != nil {
			t.Errorf("%s: %q %q %v", name, s, r, err)
		}
	}
	delete1 := newMap(t, f, key, map[string]string{"riverton-health": "qx"})
	if _, _, ok, _ := delete1.Resolve(ctx, "Patient", id); ok {
		t.Error("an id of a system that is no longer configured was resolved")
	}
	if err := m.Forget(ctx, "Patient", id); err != nil {
		t.Fatal(err)
	}
	if _, _, ok, _ := m.Resolve(ctx, "Patient", id); ok {
		t.Error("a forgotten id was resolved")
	}
}

func TestABatchIsNotGoodBeforeItIsSaved(t *testing.T) {
	f := &identitytest.Facts{}
	m := newMap(t, f, key, slugs)
	boom := errors.New("disk full")
	f.Fail.Store(&boom)
	b := m.Batch("ccbh")
	for i := range 100 {
		if _, ok := b.Forward("Observation", fmt.Sprint("o", i)); !ok {
			t.Fatal("no id")
		}
	}
	if err := b.Save(ctx); !errors.Is(err, boom) {
		t.Fatalf("saved although the store failed: %v", err)
	}
	f.Fail.Store(nil)
	if err := b.Save(ctx); err != nil || b.Pending() != 0 {
		t.Fatal(err)
	}
	writes := f.Writes.Load()
	for i := range 100 {
		b.Forward("Observation", fmt.Sprint("o", i))
	}
	if err := b.Save(ctx); err != nil || f.Writes.Load() != writes {
		t.Errorf("known ids were written again: %v", err)
	}
	for _, bad := range []struct{ typ, id string }{{"Patient", ""}, {"Patient", "a/b"}, {"patient", "1"}, {"Patient", strings.Repeat("a", 65)}} {
		if o, ok := b.Forward(bad.typ, bad.id); ok {
			t.Errorf("%v got %q", bad, o)
		}
	}
	if _, ok := m.Batch("unknown").Forward("Patient", "1"); ok {
		t.Error("a system without a slug got an id")
	}
}

func class(t *testing.T, l *identity.Links, ref string) identity.Class {
	t.Helper()
	c, err := l.For(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func propose(t *testing.T, l *identity.Links, patient, system, id string, s identity.State) {
	t.Helper()
	if _, err := l.Propose(ctx, identity.Link{Patient: patient, System: system, RemoteID: id, State: s, Method: "roster"}); err != nil {
		t.Fatal(err)
	}
}

func TestAClassReachesAllThatConfirmedLinksJoin(t *testing.T) {
	l, ids, _ := newLinks(t)
	propose(t, l, "Patient/a", "riverton-health", "r1", identity.Confirmed)
	propose(t, l, "Patient/b", "riverton-health", "r1", identity.Confirmed)
	propose(t, l, "Patient/b", "", "c", identity.Confirmed)
	propose(t, l, "Patient/c", "ccbh", "x9", identity.Confirmed)
	propose(t, l, "Patient/a", "ccbh", "maybe", identity.Candidate)
	propose(t, l, "Patient/d", "ccbh", "x9", identity.Candidate)
	r1, err := ids.Forward(ctx, "riverton-health", "Patient", "r1")
	if err != nil {
		t.Fatal(err)
	}
	x9, err := ids.Forward(ctx, "ccbh", "Patient", "x9")
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Class{
		Own:        []string{"Patient/a", "Patient/b", "Patient/c"},
		Targets:    []identity.Target{{System: "ccbh", ID: "x9"}, {System: "riverton-health", ID: "r1"}},
		References: []string{"Patient/a", "Patient/b", "Patient/c", "Patient/" + x9, "Patient/" + r1},
	}
	for _, ref := range []string{"Patient/a", "Patient/b", "Patient/c", "Patient/" + r1, "Patient/" + x9} {
		if d := cmp.Diff(want, class(t, l, ref)); d != "" {
			t.Errorf("%s: %s", ref, d)
		}
	}
	if c := class(t, l, "Patient/d"); len(c.References) != 1 || len(c.Targets) != 0 {
		t.Errorf("a candidate widened the class: %+v", c)
	}
	if c := class(t, l, "Patient/nobody"); len(c.References) != 1 {
		t.Errorf("%+v", c)
	}
	for _, bad := range []string{"", "a", "Observation/a", "https://x/Patient/a", "Patient/a b", "Patient?x=1"} {
		if _, err := l.For(ctx, bad); err == nil {
			t.Errorf("%q was taken for a Patient", bad)
		}
	}
}

func TestUndoTakesEffectAtOnceAndKeepsItsHistory(t *testing.T) {
	l, _, f := newLinks(t)
	other := identity.NewLinks(f, newMap(t, f, key, slugs), time.Now) // another process
	propose(t, l, "Patient/a", "ccbh", "1", identity.Candidate)
	if len(class(t, l, "Patient/a").Targets) != 0 {
		t.Fatal("a candidate is used")
	}
	if err := l.Confirm(ctx, "Patient/a", "ccbh", "1", "rev"); err != nil {
		t.Fatal(err)
	}
	if len(class(t, l, "Patient/a").Targets) != 1 || len(class(t, other, "Patient/a").Targets) != 1 {
		t.Fatal("a confirmed link is not used")
	}
	if err := l.Undo(ctx, "Patient/a", "ccbh", "1", "rev2"); err != nil {
		t.Fatal(err)
	}
	if len(class(t, l, "Patient/a").Targets) != 0 || len(class(t, other, "Patient/a").Targets) != 0 {
		t.Error("an undone link is still used")
	}
	h, err := l.History(ctx, "Patient/a", "ccbh", "1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, v := range h {
		got = append(got, fmt.Sprintf("%s by %s%s", v.State, v.Method, v.Reviewer))
		if v.Version != i+1 || v.At.IsZero() {
			t.Errorf("version %+v", v)
		}
	}
	if d := cmp.Diff([]string{"candidate by roster", "confirmed by manualrev", "undone by manualrev2"}, got); d != "" {
		t.Error(d)
	}
	_, err = l.Propose(ctx, identity.Link{Patient: "Patient/a", System: "ccbh", RemoteID: "1", State: identity.Confirmed, Method: "roster"})
	if !errors.Is(err, identity.ErrUndone) {
		t.Errorf("a roster brought an undone link back: %v", err)
	}
	if err := l.Undo(ctx, "Patient/a", "ccbh", "2", "rev"); !errors.Is(err, identity.ErrNoLink) {
		t.Errorf("undo of no link: %v", err)
	}
	if l.Confirm(ctx, "Patient/a", "ccbh", "2", "") == nil || l.Undo(ctx, "Patient/a", "ccbh", "1", "") == nil {
		t.Error("nobody confirmed or undid a link")
	}
}

func TestALinkThatIsNoneIsRefused(t *testing.T) {
	l, ids, _ := newLinks(t)
	o, err := ids.Forward(ctx, "ccbh", "Patient", "1")
	if err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]identity.Link{
		"no Patient":          {Patient: "Observation/1", System: "ccbh", RemoteID: "1"},
		"no remote id":        {Patient: "Patient/1", System: "ccbh"},
		"a path":              {Patient: "Patient/1", System: "ccbh", RemoteID: "../2"},
		"an unknown system":   {Patient: "Patient/1", System: "nobody", RemoteID: "1"},
		"itself":              {Patient: "Patient/1", RemoteID: "1"},
		"an opaque Patient":   {Patient: "Patient/" + o, System: "riverton-health", RemoteID: "1"},
		"an opaque other end": {Patient: "Patient/1", RemoteID: o},
		"undone from nothing": {Patient: "Patient/1", System: "ccbh", RemoteID: "1", State: identity.Undone},
	} {
		if _, err := l.Propose(ctx, link); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestAClassThatIsTooLargeIsRefused(t *testing.T) {
	l, _, _ := newLinks(t)
	for i := range 70 {
		propose(t, l, "Patient/hub", "ccbh", fmt.Sprint("p", i), identity.Confirmed)
	}
	if _, err := l.For(ctx, "Patient/hub"); !errors.Is(err, identity.ErrClass) {
		t.Errorf("got %v", err)
	}
}

func TestConcurrentChangesOfOneLinkAllCount(t *testing.T) {
	l, _, _ := newLinks(t)
	propose(t, l, "Patient/a", "ccbh", "1", identity.Candidate)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 3 {
				var err error
				if i%2 == 0 {
					err = l.Confirm(ctx, "Patient/a", "ccbh", "1", "r")
				} else {
					err = l.Undo(ctx, "Patient/a", "ccbh", "1", "r")
				}
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	h, err := l.History(ctx, "Patient/a", "ccbh", "1")
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range h {
		if v.Version != i+1 || i > 0 && v.State == h[i-1].State {
			t.Fatalf("history %+v", h)
		}
	}
}

func TestExpungeLeavesNothingOfALink(t *testing.T) {
	l, _, f := newLinks(t)
	propose(t, l, "Patient/a", "ccbh", "1", identity.Confirmed)
	propose(t, l, "Patient/b", "", "a", identity.Confirmed)
	propose(t, l, "Patient/b", "ccbh", "2", identity.Confirmed)
	for range 2 { // an expunge that is repeated
		alone, err := l.Part(ctx, "Patient/a")
		if err != nil || len(alone) != 1 || alone[0] != (identity.Target{System: "ccbh", ID: "1"}) {
			t.Fatal(alone, err)
		}
	}
	if err := l.Parted(ctx, "Patient/a"); err != nil {
		t.Fatal(err)
	}
	want := []string{"idforgotten", "link/b/ccbh/2", "linkback/ccbh/2/b", "linkepoch"}
	if d := cmp.Diff(want, f.Keys()); d != "" {
		t.Error(d)
	}
	if c := class(t, l, "Patient/b"); len(c.Own) != 1 || len(c.Targets) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestReadRoster(t *testing.T) {
	l, _, _ := newLinks(t)
	lookup := func(_ context.Context, system, value string) ([]string, error) {
		switch system + "|" + value {
		case "urn:mrn|A1":
			return []string{"Patient/a1"}, nil
		case identity.SIDBase + "/ZZ0050100/mni|77":
			return []string{"Patient/a77"}, nil
		case "urn:mrn|two":
			return []string{"Patient/x", "Patient/y"}, nil
		}
		return nil, nil
	}
	roster := "\ufeffSystem,Remote ID,patient,identifier,ori,mni,comment\r\n" +
		"ccbh,r1,Patient/p1,,,,by reference\r\n" +
		"ccbh,Patient/r2,,urn:mrn|A1,,,by identifier\r\n" +
		"riverton-health,r3,,,zz0050100,77,\"by MNI,\r\nover two lines\"\r\n" +
		"\r\n" +
		"nowhere,r4,p1,,,,\r\n" + // 7
		"ccbh,r 5,p1,,,,\r\n" +
		"ccbh,r6,,urn:mrn|nobody,,,\r\n" +
		"ccbh,r7,,urn:mrn|two,,,\r\n" +
		"ccbh,r8,,A1,,,\r\n" +
		"ccbh,r9,,,,77,\r\n" +
		"ccbh,r10,,,,,\r\n" +
		"ccbh,r11,p1\r\n" +
		"ccbh,r12,p1,,,,\xff\r\n" +
		"ccbh,r\"13,p1,,,,\r\n"
	res, err := l.ReadRoster(ctx, strings.NewReader(roster), lookup)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range res.Rejected {
		lines = append(lines, fmt.Sprintf("%d %s", r.Line, r.Field))
	}
	want := []string{"7 system", "8 remote_id", "9 identifier", "10 identifier", "11 identifier", "12 ori", "13 ", "14 ", "15 ", "16 "}
	if d := cmp.Diff(want, lines); d != "" {
		t.Errorf("%s\n%v", d, res.Rejected)
	}
	if res.Added != 3 || res.Unchanged != 0 || res.Lines != 13 {
		t.Errorf("%+v", res)
	}
	if c := class(t, l, "Patient/a77"); len(c.Targets) != 1 || c.Targets[0].ID != "r3" {
		t.Errorf("%+v", c)
	}
	res, err = l.ReadRoster(ctx, strings.NewReader(roster), lookup)
	if err != nil || res.Added != 0 || res.Unchanged != 3 || len(res.Rejected) != 10 {
		t.Errorf("the second time: %+v, %v", res, err)
	}
}

func TestARosterThatIsNoneSaysSo(t *testing.T) {
	l, _, _ := newLinks(t)
	for _, text := range []string{"", "a,b\n1,2\n", "system,remote_id\nccbh,1\n", "system,system,remote_id,patient\n", "\"", "\x00\x01"} {
		if _, err := l.ReadRoster(ctx, strings.NewReader(text), nil); err == nil || !strings.Contains(err.Error(), "roster") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzReadRoster(f *testing.F) {
	f.Add("system,remote_id,patient\nccbh,1,p\n")
	f.Add("system,remote_id,identifier\nccbh,\"1\n,a|b")
	f.Fuzz(func(t *testing.T, text string) {
		l, _, _ := newLinks(t)
		res, err := l.ReadRoster(ctx, strings.NewReader(text), func(context.Context, string, string) ([]string, error) { return []string{"Patient/1"}, nil })
		if err == nil && res.Lines != res.Added+res.Unchanged+len(res.Rejected) {
			t.Fatalf("counts do not add up: %+v", res)
		}
	})
}

// people is an own store for the linker, the oldest first. It counts what is read.
type people struct {
	records []*store.Record
	read    int
}

func (p *people) find(ok func(resource.Node) bool) iter.Seq2[*store.Record, error] {
	return func(yield func(*store.Record, error) bool) {
		for _, rec := range p.records {
			r, err := resource.Parse(rec.Raw)
			if err != nil || ok(r.Root()) {
				if p.read++; !yield(rec, err) {
					return
				}
			}
		}
	}
}

func (p *people) WithBirthDate(_ context.Context, d string) iter.Seq2[*store.Record, error] {
	return p.find(func(r resource.Node) bool { return r.Get("birthDate").Is(d) })
}

func (p *people) WithName(_ context.Context, d, family string) iter.Seq2[*store.Record, error] {
	return p.find(func(r resource.Node) bool {
		for n := range r.All("name") {
			if n.Get("family").Is(family) {
				return r.Get("birthDate").Is(d)
			}
		}
		return false
	})
}

func (p *people) WithIdentifier(_ context.Context, system, value string) iter.Seq2[*store.Record, error] {
	return p.find(func(r resource.Node) bool {
		for n := range r.All("identifier") {
			if n.Get("system").Is(system) && n.Get("value").Is(value) {
				return true
			}
		}
		return false
	})
}

func TestTheLinkerFollowsTheRulesWhateverTheOrder(t *testing.T) {
	mk := func(id, system, phone string) *store.Record {
		return &store.Record{
			Key: store.Key{Type: "Patient", ID: id}, Origin: resource.Origin{System: system},
			Raw: fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"family":"Lee","given":["Ann"]}],"gender":"female","birthDate":"1984-06-12","telecom":[{"system":"phone","value":%q}]}`, id, phone),
		}
	}
	state := func(l *identity.Links) string {
		all, err := l.List(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, link := range all {
			out = append(out, fmt.Sprint(link.Patient, "-", link.RemoteID, " ", link.State))
		}
		return strings.Join(out, ", ")
	}
	one := mk("a1", "rms", "555-202-0143")
	two, three := mk("b1", "ccbh", "555-202-0143"), mk("b2", "ccbh", "555-202-0199")
	for _, order := range [][]*store.Record{{one, two, three}, {three, two, one}, {two, three, one}} {
		l, _, _ := newLinks(t)
		stored := &people{}
		for _, rec := range order {
			stored.records = append(stored.records, rec)
			r, err := resource.Parse(rec.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := identity.NewLinker(l, stored).Link(ctx, r, rec.Origin); err != nil {
				t.Fatal(err)
			}
			if len(stored.records) == 2 && stored.records[0] == one && stored.records[1] == two && state(l) != "Patient/a1-b1 confirmed" {
				t.Errorf("the first two: %s", state(l))
			}
		}
		if got, want := state(l), "Patient/a1-b1 candidate, Patient/a1-b2 candidate"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTheLinkerLeavesAReviewersWordAlone(t *testing.T) {
	l, _, _ := newLinks(t)
	if err := l.Confirm(ctx, "Patient/a1", "", "b1", "rev"); err != nil {
		t.Fatal(err)
	}
	r, err := resource.Parse([]byte(`{"resourceType":"Patient","id":"b1","birthDate":"1990-02-02"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := identity.NewLinker(l, &people{}).Link(ctx, r, resource.Origin{System: "ccbh"}); err != nil {
		t.Fatal(err)
	}
	if c := class(t, l, "Patient/a1"); len(c.Own) != 2 {
		t.Errorf("%+v", c)
	}
}

func BenchmarkFor(b *testing.B) {
	l, _, _ := newLinks(b)
	for _, id := range []string{"1", "2"} {
		if _, err := l.Propose(ctx, identity.Link{Patient: "Patient/a", System: "ccbh", RemoteID: id, State: identity.Confirmed}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.For(ctx, "Patient/a"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	m := newMap(b, &identitytest.Facts{}, key, slugs)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Forward(ctx, "ccbh", "Patient", "12345"); err != nil {
			b.Fatal(err)
		}
	}
}
