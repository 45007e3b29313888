package transfer

import (
	"context"
	"errors"
	"testing"
)

// moving is a store of which others move the epoch.
type moving struct {
	Store
	epoch int64
	err   error
}

func (m *moving) Epoch(context.Context) (int64, error) { return m.epoch, m.err }

// A run's own word in the source is no change of it; whatever else is written before,
// between or after is.
func TestOnlyWhatOthersWriteIsAChange(t *testing.T) {
	away := errors.New("away")
	for name, tt := range map[string]struct {
		do   func(m *moving, own func())
		want error
	}{
		"nothing":              {func(*moving, func()) {}, nil},
		"its own":              {func(_ *moving, own func()) { own(); own() }, nil},
		"another's":            {func(m *moving, _ func()) { m.epoch++ }, ErrChanged},
		"another's before":     {func(m *moving, own func()) { m.epoch++; own() }, ErrChanged},
		"another's between":    {func(m *moving, own func()) { own(); m.epoch++; own() }, ErrChanged},
		"another's after":      {func(m *moving, own func()) { own(); m.epoch++ }, ErrChanged},
		"a store that is away": {func(m *moving, own func()) { m.err = away; own(); m.err = nil }, away},
	} {
		m := &moving{epoch: 7}
		w := &watch{side: Side{Store: m, Name: "the source"}}
		own := func() { w.own(t.Context(), func() { m.epoch++ }) }
		own() // before it watches
		if err := w.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		tt.do(m, own)
		if err := w.unchanged(t.Context()); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
