package rollback

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

const (
	factMarks = "gateways/marks"
	// fileName is what stands beside a trail.
	fileName = "store.seen"
)

// A Line is a stretch of a store's time: from its beginning, or from where an operator
// has accepted that it was put back, on.
type Line struct {
	Name  string    `json:"name"` // random; that of the first line names the store
	Marks int64     `json:"marks"`
	At    time.Time `json:"at"` // of the last mark, by the store's clock
}

// A Seen is how far a store has come: its lines, the present one last. None: nobody
// has marked it.
type Seen struct {
	Lines []Line `json:"lines"`
}

func (s Seen) last() *Line {
	if len(s.Lines) == 0 {
		return nil
	}
	return &s.Lines[len(s.Lines)-1]
}

// is says that two are of one store.
func (s Seen) is(o Seen) bool {
	return len(s.Lines) > 0 && len(o.Lines) > 0 && s.Lines[0].Name == o.Lines[0].Name
}

func (s Seen) line(name string) *Line {
	i := slices.IndexFunc(s.Lines, func(l Line) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Lines[i]
}

// lacks gives what a store that was seen so far has no more; nil if it has all.
func (s Seen) lacks(have Seen) *Line {
	for i := range s.Lines {
		if l := have.line(s.Lines[i].Name); l == nil || l.Marks < s.Lines[i].Marks {
			return &s.Lines[i]
		}
	}
	return nil
}

func (s Seen) equal(o Seen) bool {
	return slices.EqualFunc(s.Lines, o.Lines, func(a, b Line) bool { return a.Name == b.Name && a.Marks == b.Marks })
}

// begun starts another line.
func (s Seen) begun(now time.Time) Seen {
	return Seen{append(slices.Clone(s.Lines), Line{Name: strings.ToLower(rand.Text()), At: now})}
}

// marked is one mark further.
func (s Seen) marked(now time.Time) Seen {
	next := Seen{slices.Clone(s.Lines)}
	if next.last() == nil {
		next = next.begun(now)
	}
	l := next.last()
	l.Marks, l.At = l.Marks+1, now
	return next
}

// inStore reads how far a store has come.
func inStore(ctx context.Context, facts store.Facts) (s Seen, f store.Fact, err error) {
	f, err = facts.Get(ctx, factMarks)
	if errors.Is(err, store.ErrNotFound) {
		return s, f, nil
	}
	if err != nil {
		return s, f, fmt.Errorf("marks of the store: %w", err)
	}
	if s, err = parse(f.Value); err != nil {
		return s, f, fmt.Errorf("%w: the fact %s: %w", store.ErrDamaged, factMarks, err)
	}
	return s, f, nil
}

// intoStore writes in place of the fact that was read.
func intoStore(ctx context.Context, facts store.Facts, was store.Fact, s Seen) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if was.Key == "" {
		_, err = facts.PutIfAbsent(ctx, factMarks, raw, time.Time{})
	} else {
		_, err = facts.CompareAndSet(ctx, factMarks, was.Version, raw, time.Time{})
	}
	return err
}

func parse(raw []byte) (s Seen, err error) {
	if err := json.Unmarshal(raw, &s); err != nil {
		return Seen{}, err
	}
	for i, l := range s.Lines {
		if l.Name == "" || l.Marks < 0 || slices.ContainsFunc(s.Lines[:i], func(o Line) bool { return o.Name == l.Name }) {
			return Seen{}, fmt.Errorf("line %d has no name, or another's, or a negative number of marks", i)
		}
	}
	if len(s.Lines) == 0 {
		return Seen{}, errors.New("no line")
	}
	return s, nil
}

// noted reads what stands beside a trail; nothing where nothing was noted.
func noted(dir string) (s Seen, err error) {
	path := filepath.Join(dir, fileName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		s, err = parse(raw)
	}
	if err != nil {
		return s, fmt.Errorf("what was noted of the store, %s: %w; if the file is damaged and you know that the store is no older one, remove the file", path, err)
	}
	return s, nil
}

// note writes it whole or not at all, and waits for the disk.
func note(dir string, s Seen) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, fileName)
	f, err := os.CreateTemp(dir, "."+fileName+"-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("note how far the store has come: %w", err)
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("note how far the store has come: %w", err)
	}
	return nil
}
