package rollback

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A scene is a store that can be put back, with gateways.
type scene struct {
	t   *testing.T
	db  backend.Backend
	log bytes.Buffer
}

func newScene(t *testing.T) *scene { return &scene{t: t, db: backendtest.Open(t, backend.Options{})} }

func (s *scene) options(dir string, others ...string) Options {
	return Options{Facts: s.db, Store: "db", Dir: dir, Others: others, Now: func() time.Time { return noon },
		Logger: slog.New(slog.NewTextHandler(&s.log, nil))}
}

func (s *scene) begin(o Options) (*Watch, error) { return Begin(s.t.Context(), o) }

// serves begins and marks a number of times.
func (s *scene) serves(o Options, marks int) *Watch {
	s.t.Helper()
	w, err := s.begin(o)
	for range marks {
		if err == nil {
			err = w.Mark(s.t.Context())
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

// kept gives what puts the marks back to what they are now.
func (s *scene) kept() (restore func()) {
	s.t.Helper()
	ctx := context.Background()
	then, err := s.db.Get(ctx, factMarks)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		s.t.Fatal(err)
	}
	absent := err != nil
	return func() {
		s.t.Helper()
		err := s.db.Delete(ctx, factMarks)
		if err == nil && !absent {
			_, err = s.db.PutIfAbsent(ctx, factMarks, then.Value, time.Time{})
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *scene) accept(o Options) string {
	s.t.Helper()
	lost, err := Accept(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return lost
}

func TestAnOlderStoreIsRefused(t *testing.T) {
	s := newScene(t)
	o := s.options(t.TempDir())
	s.serves(o, 2)
	restore := s.kept()
	s.serves(o, 3) // as after a restart
	restore()
	_, err := s.begin(o)
	for _, want := range []string{"2026-03-01T12:00:00Z", "a mark of", "(5, the store has 2)", "docs/store.md", "accept-store", filepath.Join(o.Dir, fileName)} {
		if !errors.Is(err, store.ErrOlder) || !strings.Contains(err.Error(), want) {
			t.Errorf("without %q: %v", want, err)
		}
	}
	if lost := s.accept(o); !strings.Contains(lost, "up to 5") {
		t.Errorf("lost: %q", lost)
	}
	s.serves(o, 20) // more marks than were lost
	restore()       // the same backup once more
	if _, err := s.begin(o); !errors.Is(err, store.ErrOlder) {
		t.Errorf("put back to before it was accepted: %v", err)
	}
}

// One gateway accepts and goes on; another that has seen the lost stretch is still
// refused, however many marks came since, until it is accepted there too.
func TestEachGatewayAcceptsByItself(t *testing.T) {
	s := newScene(t)
	a, b := s.options(t.TempDir()), s.options(t.TempDir())
	s.serves(a, 2)
	restore := s.kept()
	s.serves(b, 6)
	s.serves(a, 1)
	restore()
	s.accept(a)
	s.serves(a, 30)
	if _, err := s.begin(b); !errors.Is(err, store.ErrOlder) {
		t.Fatalf("the other: %v", err)
	}
	s.accept(b)
	s.serves(b, 1)
	s.serves(a, 1)
	if s.log.Len() > 0 {
		t.Errorf("told: %s", s.log.String())
	}
}

// What another gateway has seen counts, where its folder can be read.
func TestWhatOthersNotedCounts(t *testing.T) {
	s := newScene(t)
	a := s.options(t.TempDir())
	b := s.options(t.TempDir(), a.Dir)
	s.serves(b, 1)
	restore := s.kept()
	s.serves(a, 3)
	restore()
	if _, err := s.begin(b); !errors.Is(err, store.ErrOlder) || !strings.Contains(err.Error(), a.Dir) {
		t.Errorf("%v", err)
	}
}

// What is not certain is told and refuses nobody.
func TestUncertainSignsWarn(t *testing.T) {
	fell := func(context.Context) (EpochSeen, error) { return EpochSeen{Trail: 9, At: noon, Store: 4}, nil }
	for name, c := range map[string]struct {
		prepare func(s *scene, o *Options)
		warns   string // "" nothing
		older   bool
	}{
		"a new store and a new trail":                 {func(*scene, *Options) {}, "", false},
		"a new gateway of a store":                    {func(s *scene, _ *Options) { s.serves(s.options(s.t.TempDir()), 3) }, "", false},
		"the same store":                              {func(s *scene, o *Options) { s.serves(*o, 3) }, "", false},
		"a new store and an old folder":               {func(s *scene, o *Options) { r := s.kept(); s.serves(*o, 3); r() }, "of another store", false},
		"another store and an old folder":             {func(s *scene, o *Options) { r := s.kept(); s.serves(*o, 3); r(); s.serves(s.options(s.t.TempDir()), 1) }, "of another store", false},
		"a store that went on, as after a kill":       {func(s *scene, o *Options) { s.serves(*o, 1); s.serves(s.options(s.t.TempDir()), 3) }, "", false},
		"a later epoch in the trail, and no note":     {func(_ *scene, o *Options) { o.Epoch = fell }, "later epoch", false},
		"a later epoch in the trail of another store": {func(s *scene, o *Options) { r := s.kept(); s.serves(*o, 3); r(); o.Epoch = fell }, "later epoch", false},
		"a later epoch in the trail of this store":    {func(s *scene, o *Options) { s.serves(*o, 3); o.Epoch = fell }, "", true},
		"another's note that is damaged": {func(s *scene, o *Options) {
			o.Others = []string{s.t.TempDir()}
			if err := os.WriteFile(filepath.Join(o.Others[0], fileName), []byte("{"), 0o600); err != nil {
				s.t.Fatal(err)
			}
		}, "cannot be read", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			o := s.options(t.TempDir())
			c.prepare(s, &o)
			w, err := s.begin(o)
			if c.older {
				if !errors.Is(err, store.ErrOlder) || !strings.Contains(err.Error(), "epoch 9") {
					t.Errorf("%v", err)
				}
				return
			}
			if err == nil {
				err = w.Mark(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if (c.warns == "") != (s.log.Len() == 0) || !strings.Contains(s.log.String(), c.warns) {
				t.Errorf("told: %s", s.log.String())
			}
			before := s.log.Len()
			o.Epoch = nil
			s.serves(o, 1) // told once
			if strings.Contains(s.log.String()[before:], "another store") {
				t.Errorf("told again: %s", s.log.String()[before:])
			}
		})
	}
}

func TestANoteThatIsDamagedStopsTheStart(t *testing.T) {
	for _, text := range []string{"", "{", `{"lines":[]}`, `{"lines":[{"name":"a","marks":-1}]}`, `{"lines":[{"name":"a"},{"name":"a"}]}`} {
		s := newScene(t)
		o := s.options(t.TempDir())
		if err := os.WriteFile(filepath.Join(o.Dir, fileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.begin(o); err == nil || !strings.Contains(err.Error(), filepath.Join(o.Dir, fileName)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A store that is put back under a gateway is found by its next look, also by a gateway
// that does nothing, and also where another store takes its place.
func TestAStoreIsPutBackUnderAGateway(t *testing.T) {
	for name, idle := range map[string]bool{"busy": false, "idle": true} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			o := s.options(t.TempDir())
			o.Look = time.Millisecond
			if idle {
				o.Changed, o.Idle = func() uint64 { return 0 }, time.Hour
			}
			gone := s.kept()
			s.serves(o, 1)
			restore := s.kept()
			for _, back := range []func(){restore, gone} {
				w := s.serves(o, 4)
				found := make(chan error, 1)
				go func() { found <- w.Run(t.Context()) }()
				back()
				if err := <-found; !errors.Is(err, store.ErrOlder) {
					t.Errorf("%v", err)
				}
				if err := w.End(t.Context()); err != nil {
					t.Error(err)
				}
				s.accept(o)
			}
		})
	}
}

// A gateway that does nothing marks seldom, and notes what others have marked.
func TestAnIdleGatewayNotesWhatOthersMark(t *testing.T) {
	s := newScene(t)
	a, b := s.options(t.TempDir()), s.options(t.TempDir())
	a.Changed, a.Idle = func() uint64 { return 7 }, time.Hour
	w := s.serves(a, 1)
	for range 3 {
		if err := w.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.seen.last().Marks; n != 2 { // of the start, and of what was done before the first look
		t.Errorf("%d marks", n)
	}
	s.serves(b, 5)
	if err := w.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen, err := noted(a.Dir); err != nil || seen.last().Marks != 7 {
		t.Errorf("noted %+v, %v", seen, err)
	}
}
