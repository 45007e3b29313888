package peers

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

func open(t *testing.T) backend.Backend {
	t.Helper()
	return backendtest.Open(t, backend.Options{})
}

// join has a gateway enter and serve.
func join(t *testing.T, facts store.Facts, id string, log *slog.Logger) *Peers {
	t.Helper()
	p := enter(t, facts, id, log)
	if err := p.Stay(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func enter(t *testing.T, facts store.Facts, id string, log *slog.Logger) *Peers {
	t.Helper()
	var now func() time.Time
	if db, ok := facts.(backend.Backend); ok {
		now = db.Now
	}
	p, err := Join(t.Context(), Options{Facts: facts, ID: id, Name: "host " + id, Now: now, Look: time.Millisecond, Beat: 20 * time.Millisecond, Dead: 100 * time.Millisecond, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// at gives a gateway a monotonic clock of its own.
func (p *Peers) at(offset *atomic.Int64) {
	began := time.Now()
	p.now = func() time.Time { return began.Add(time.Duration(offset.Load())) }
}

func step(t *testing.T, ps ...*Peers) {
	t.Helper()
	for _, p := range ps {
		if err := p.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func beats(t *testing.T, facts store.Facts) (out []int64) {
	t.Helper()
	list, err := List(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		out = append(out, m.Beat)
	}
	return out
}

func TestGatewaysNoticeEachOther(t *testing.T) {
	db := open(t)
	a := join(t, db, "a", nil)
	var now atomic.Int64
	a.at(&now)
	for range 100 {
		now.Add(int64(30 * time.Millisecond))
		step(t, a)
	}
	if a.Others() || beats(t, db)[0] != 2 { // it has entered, and serves
		t.Fatalf("alone: others %v, beats %v", a.Others(), beats(t, db))
	}
	b := join(t, db, "b", nil)
	b.at(&now)
	step(t, a)
	if !a.Others() || !b.Others() {
		t.Fatal("two did not notice each other")
	}
	for range 20 { // both live for longer than it takes to be dead
		now.Add(int64(25 * time.Millisecond))
		step(t, a, b)
		if !a.Others() || !b.Others() {
			t.Fatal("one that lives was taken for dead")
		}
	}
	for range 5 { // b is killed
		now.Add(int64(25 * time.Millisecond))
		step(t, a)
	}
	if a.Others() {
		t.Error("a dead one counts")
	}
	before := beats(t, db)
	for range 20 {
		now.Add(int64(25 * time.Millisecond))
		step(t, a)
	}
	if now := beats(t, db); now[0] != before[0] {
		t.Error("alone it goes on beating")
	}
	// b only stood still: it wakes, and both notice.
	b.step(t.Context())
	step(t, a)
	if !a.Others() || !b.Others() {
		t.Error("one that slept is not noticed", a.Others(), b.Others())
	}
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	step(t, a)
	if !a.Others() {
		t.Error("one that has left a moment ago does not count: it may be back at once")
	}
	now.Add(int64(110 * time.Millisecond))
	if step(t, a); a.Others() {
		t.Error("one that has left counts")
	}
	// It starts again, as the same member.
	join(t, db, "b", nil)
	step(t, a)
	if list, err := List(t.Context(), db); err != nil || len(list) != 2 || !a.Others() {
		t.Error(list, err, a.Others())
	}
	// It was heard of just now; a minute after it was killed it can be forgotten.
	if err := Forget(t.Context(), db, "b", db.Now()); !errors.Is(err, ErrServes) || !strings.Contains(err.Error(), "host b") {
		t.Error(err)
	}
	if err := Forget(t.Context(), db, "b", db.Now().Add(defaultDead)); err != nil {
		t.Fatal(err)
	}
	if err := Forget(t.Context(), db, "b", db.Now()); !errors.Is(err, ErrNoMember) {
		t.Error(err)
	}
}

// A gateway that serves stays on the list, so that its trail is asked for and others
// share their limits with it.
func TestAGatewayThatWasForgottenWhileItServesEntersAgain(t *testing.T) {
	db := open(t)
	a, b := join(t, db, "a", nil), join(t, db, "b", nil)
	step(t, a, b)
	// It stood still for a minute, so that it could be forgotten.
	if err := Forget(t.Context(), db, "b", db.Now().Add(defaultDead)); err != nil {
		t.Fatal(err)
	}
	step(t, a, b, a)
	if list, err := List(t.Context(), db); err != nil || len(list) != 2 || !a.Others() {
		t.Error(list, err, a.Others())
	}
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Forget(t.Context(), db, "b", db.Now()); err != nil {
		t.Fatal(err)
	}
	step(t, a)
	if list, err := List(t.Context(), db); err != nil || len(list) != 1 {
		t.Error("one that has stopped came back:", list, err)
	}
}

func TestOneOfWhichNothingIsHeardWhileOthersGoOnIsSilent(t *testing.T) {
	at := func(seconds int) time.Time { return time.Date(2026, 5, 1, 12, 0, seconds, 0, time.UTC) }
	member := func(id string, heard int, stopped bool) Member {
		return Member{ID: id, Instance: id, Heard: at(heard), Stopped: stopped}
	}
	command := Member{ID: "command", Heard: at(100_000), Stopped: true}
	for name, c := range map[string]struct {
		list []Member
		want []bool
	}{
		"alone":                        {[]Member{member("a", 0, false), command}, []bool{false, false}},
		"both go on":                   {[]Member{member("a", 0, false), member("b", 15, false)}, []bool{false, false}},
		"one was killed":               {[]Member{member("a", 0, false), member("b", 61, false)}, []bool{true, false}},
		"one has stopped":              {[]Member{member("a", 0, true), member("b", 61, false)}, []bool{false, false}},
		"the other stopped long after": {[]Member{member("a", 0, false), member("b", 61, true)}, []bool{true, false}},
	} {
		for i := range c.list {
			if got := c.list[i].Silent(c.list); got != c.want[i] {
				t.Errorf("%s: %s silent: %v", name, c.list[i].ID, got)
			}
		}
	}
}

// Whoever stopped before a gateway started is no reason to wait or to share limits.
func TestOneThatStoppedBeforeDoesNotCount(t *testing.T) {
	db := open(t)
	if err := join(t, db, "b", nil).Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := join(t, db, "a", nil)
	if step(t, a); a.Others() {
		t.Error("it counts")
	}
}

// One that has not got so far as to serve has nothing in its trail of which others would
// have to know.
func TestOneThatServedNothingLeavesNoEntry(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	listed := func(t *testing.T, facts store.Facts) *Member {
		t.Helper()
		list, err := List(t.Context(), facts)
		if err != nil || len(list) > 1 {
			t.Fatal(list, err)
		}
		if len(list) == 0 {
			return nil
		}
		return &list[0]
	}
	leave := func(t *testing.T, p *Peers) {
		t.Helper()
		if err := p.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, db store.Facts)
		want *Member // its states; nil: it is not listed
	}{
		"it enters": {func(t *testing.T, db store.Facts) { enter(t, db, "a", nil) }, &Member{Entering: true}},
		"it serves": {func(t *testing.T, db store.Facts) { join(t, db, "a", nil) }, &Member{}},
		"refused":   {func(t *testing.T, db store.Facts) { leave(t, enter(t, db, "a", nil)) }, nil},
		"refused, and has served before": {func(t *testing.T, db store.Facts) {
			leave(t, join(t, db, "a", nil))
			leave(t, enter(t, db, "a", nil))
		}, &Member{Stopped: true}},
		"refused, and was killed while it served": {func(t *testing.T, db store.Facts) {
			join(t, db, "a", nil)
			leave(t, enter(t, db, "a", nil))
		}, &Member{Stopped: true}},
		"refused twice": {func(t *testing.T, db store.Facts) {
			leave(t, enter(t, db, "a", nil))
			leave(t, enter(t, db, "a", nil))
		}, nil},
		"killed before it served": {func(t *testing.T, db store.Facts) {
			enter(t, db, "a", nil)
			ahead.Add(int64(enteringFor))
		}, nil},
		"killed before it served, and refused": {func(t *testing.T, db store.Facts) {
			enter(t, db, "a", nil)
			leave(t, enter(t, db, "a", nil))
		}, nil},
		"slower than its entry lasts": {func(t *testing.T, db store.Facts) {
			p := enter(t, db, "a", nil)
			ahead.Add(int64(enteringFor))
			if err := p.Stay(t.Context()); err != nil {
				t.Fatal(err)
			}
			ahead.Add(int64(enteringFor))
		}, &Member{}},
		"it serves for long": {func(t *testing.T, db store.Facts) {
			join(t, db, "a", nil)
			ahead.Add(int64(enteringFor))
		}, &Member{}},
		"it could not say that it serves": {func(t *testing.T, db store.Facts) {
			p := enter(t, db, "a", nil)
			ended, end := context.WithCancel(t.Context())
			end()
			if err := p.Stay(ended); err == nil {
				t.Fatal("it has said it")
			}
			leave(t, p)
		}, nil},
		"killed before it served, and a command wrote its trail": {func(t *testing.T, db store.Facts) {
			enter(t, db, "a", nil)
			if err := Note(t.Context(), db, Member{ID: "a"}); err != nil {
				t.Fatal(err)
			}
			ahead.Add(int64(enteringFor))
		}, &Member{Stopped: true}},
		"a command wrote its trail": {func(t *testing.T, db store.Facts) {
			for range 2 {
				if err := Note(t.Context(), db, Member{ID: "a"}); err != nil {
					t.Fatal(err)
				}
			}
			leave(t, enter(t, db, "a", nil))
		}, &Member{Stopped: true}},
	} {
		t.Run(name, func(t *testing.T) {
			db := backendtest.Open(t, backend.Options{Now: now})
			c.do(t, db)
			switch got := listed(t, db); {
			case got == nil && c.want == nil:
			case got == nil || c.want == nil || got.Stopped != c.want.Stopped || got.Entering != c.want.Entering:
				t.Errorf("%+v is listed, want %+v", got, c.want)
			}
		})
	}
}

// retaken lets who has written a gateway's entry read it again when another has taken
// it back, which a busy machine may let wait for longer than two looks.
type retaken struct {
	store.Facts
	id, by string
	wrote  bool
}

func (r *retaken) CompareAndSet(ctx context.Context, key string, version int64, value []byte, until time.Time) (store.Fact, error) {
	f, err := r.Facts.CompareAndSet(ctx, key, version, value, until)
	r.wrote = r.wrote || err == nil
	return f, err
}

func (r *retaken) Get(ctx context.Context, key string) (store.Fact, error) {
	for began := time.Now(); r.wrote && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) {
		if m, err := read(ctx, r.Facts, r.id); err != nil || m != nil && m.Name == r.by {
			break
		}
	}
	return r.Facts.Get(ctx, key)
}

// A gateway that finds one running with a copy of its trail does not serve. One that
// was killed takes its place again.
func TestACopyOfATrailIsRefused(t *testing.T) {
	db := open(t)
	join(t, db, "a", nil)
	a := join(t, db, "a", nil) // the one before was killed
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	_, err := Join(t.Context(), Options{Facts: &retaken{Facts: db, id: "a", by: "host a"}, ID: "a", Name: "a copy", Look: time.Millisecond})
	if !errors.Is(err, ErrCopy) || !strings.Contains(err.Error(), "host a, started ") {
		t.Error(err)
	}
	stop()
	<-done
	if m, err := read(t.Context(), db, "a"); err != nil || m.Name != "host a" || !a.Others() {
		t.Errorf("%+v, %v, others %v", m, err, a.Others())
	}
}

// Of two that stood still while the other began each is told, and counts the other.
func TestACopyOfATrailIsTold(t *testing.T) {
	db := open(t)
	var one, two strings.Builder
	a := join(t, db, "a", slog.New(slog.NewTextHandler(&one, nil)))
	b := join(t, db, "a", slog.New(slog.NewTextHandler(&two, nil)))
	step(t, a, b, a, b, a, b)
	for name, out := range map[string]string{"the first": one.String(), "the second": two.String()} {
		if n := strings.Count(out, "copy of this gateway's audit trail"); n != 1 {
			t.Errorf("%s: told %d times: %s", name, n, out)
		}
	}
	if !a.Others() || !b.Others() {
		t.Error("each counts itself alone")
	}
}

func TestKeysMustBeTheSame(t *testing.T) {
	db, ctx := open(t), t.Context()
	site, other := []byte("a site key of at least 32 bytes!!"), []byte("another site key of 32 bytes!!!!!")
	keys := func(site []byte, issuer string) Keys {
		return Keys{SiteKey: Fingerprint(site, SiteKey, nil), IssuerKey: Fingerprint(site, IssuerKey, []byte(issuer))}
	}
	check := func(id string, k Keys, want string) {
		t.Helper()
		err := CheckKeys(ctx, db, id, k)
		switch {
		case want == "" && err != nil:
			t.Fatal(err)
		case want != "" && (!errors.Is(err, ErrKeys) || !strings.Contains(err.Error(), want)):
			t.Fatalf("%v, want %s", err, want)
		}
	}
	if err := MayMakeKeys(ctx, db, "a", IssuerKey); err != nil {
		t.Fatal("the first gateway:", err)
	}
	check("a", keys(site, "one"), "")
	a := join(t, db, "a", nil)
	check("b", keys(site, "one"), "")
	check("b", keys(other, "one"), "site.key")
	check("a", keys(other, "one"), "site.key") // itself too
	check("b", keys(site, "two"), "issuer.keyFile is not the key of host a")
	if err := MayMakeKeys(ctx, db, "b", IssuerKey); !errors.Is(err, ErrKeys) {
		t.Error("a second gateway may make a key of its own:", err)
	}
	if err := MayMakeKeys(ctx, db, "b", IDTokenKey); err != nil {
		t.Error("one that nobody has:", err)
	}
	check("a", keys(site, "two"), "") // alone it may have a new one
	check("b", keys(site, "one"), "issuer.keyFile")
	if err := a.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	check("b", keys(site, "one"), "")
	check("b", keys(other, "one"), "site.key")
	if err := AcceptKeys(ctx, db); err != nil {
		t.Fatal(err)
	}
	check("b", keys(other, "one"), "")
	if known, err := KnownKeys(ctx, db); err != nil || strings.Contains(known[SiteKey], string(other)) || len(known) != 2 {
		t.Error(known, err)
	}
}

// hooked is a store with something that happens once, just before a write of the keys.
type hooked struct {
	store.Facts
	before func()
}

func (h *hooked) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if f := h.before; f != nil && key == factKeys {
		h.before = nil
		f()
	}
	return h.Facts.CompareAndSet(ctx, key, version, value, expires)
}

// Two gateways that start at once with keys of their own do not both serve, in
// whatever order their steps come.
func TestOfTwoThatStartAtOnceWithKeysOfTheirOwnOneIsRefused(t *testing.T) {
	mine := func(key string) Keys {
		return Keys{IssuerKey: Fingerprint([]byte("a site key of at least 32 bytes!!"), IssuerKey, []byte(key))}
	}
	check := func(t *testing.T, db store.Facts, id string) error { return CheckKeys(t.Context(), db, id, mine(id)) }
	enter := func(t *testing.T, db store.Facts, id string) error {
		enter(t, db, id, nil)
		return ConfirmKeys(t.Context(), db, mine(id))
	}
	t.Run("the other checks before it enters", func(t *testing.T) {
		db := open(t)
		for _, id := range []string{"a", "b"} {
			if err := check(t, db, id); err != nil {
				t.Fatal(err)
			}
		}
		if err := enter(t, db, "a"); !errors.Is(err, ErrKeys) || !strings.Contains(err.Error(), "started at the same time has another issuer.keyFile") {
			t.Error("the first:", err)
		}
		if err := enter(t, db, "b"); err != nil {
			t.Error("the one whose key counts:", err)
		}
	})
	t.Run("it enters while the other checks", func(t *testing.T) {
		db := open(t)
		if err := check(t, db, "a"); err != nil {
			t.Fatal(err)
		}
		var entered error
		other := &hooked{db, func() { entered = enter(t, db, "a") }}
		if err := check(t, other, "b"); entered != nil || !errors.Is(err, ErrKeys) {
			t.Errorf("the first: %v; the other, which had not seen it: %v", entered, err)
		}
	})
}

func TestASiteKeyIsCheckedByItself(t *testing.T) {
	db, ctx := open(t), t.Context()
	site, other := []byte("a site key of at least 32 bytes!!"), []byte("another site key of 32 bytes!!!!!")
	for i, c := range []struct {
		key   []byte
		keep  bool
		err   error
		known bool // afterwards
	}{
		{site, false, nil, false}, // looking leaves nothing behind
		{other, false, nil, false},
		{site, true, nil, true},
		{site, false, nil, true},
		{site, true, nil, true},
		{other, false, ErrKeys, true},
		{other, true, ErrKeys, true},
	} {
		if err := CheckSite(ctx, db, c.key, c.keep); !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), "gateways list") {
			t.Errorf("%d: %v", i, err)
		}
		known, err := KnownKeys(ctx, db)
		if err != nil || (known[SiteKey] != "") != c.known || c.known && known[SiteKey] != Fingerprint(site, SiteKey, site) {
			t.Errorf("%d: the store knows %v, %v", i, known, err)
		}
	}
	// It is the key that a gateway is held to, and leaves what the issuer's are.
	k := Keys{SiteKey: Fingerprint(site, SiteKey, site), IssuerKey: "x"}
	if err := CheckKeys(ctx, db, "a", k); err != nil {
		t.Fatal(err)
	}
	if err := CheckSite(ctx, db, site, true); err != nil {
		t.Fatal(err)
	}
	if known, err := KnownKeys(ctx, db); err != nil || len(known) != 2 {
		t.Error(known, err)
	}
}
