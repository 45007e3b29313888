package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/presence"
)

// stateKey is the fact in which a destination keeps of what it is a copy, and that it
// is not finished. It is written again before each piece, so that of two runs one is
// stopped. It stays when the copy is finished, so that a run that is started again finds
// that nothing is left to do.
const stateKey = "store-copy"

// The steps of a run, in order. Only the last one says something of what is there: a
// run that goes on begins at the first.
const (
	stepResources = "resources"
	stepFacts     = "facts"
	stepStreams   = "streams"
	stepLive      = "copied while the source was in use"
	stepCopied    = "copied"   // all is there; not compared yet
	stepVerified  = "verified" // compared: the copy is finished
)

// A state is the fact's value.
type state struct {
	Source  string    `json:"source"` // identity
	Address string    `json:"address"`
	Began   time.Time `json:"began"`
	Step    string    `json:"step"` // that is under way
	// Ledger names what was verified ahead, "" nothing.
	Ledger string `json:"ledger,omitempty"`
	// Putting are the resources of the piece that is being written.
	Putting []store.Key `json:"putting,omitempty"`
}

func readState(ctx context.Context, facts store.Facts) (st *state, version int64, err error) {
	f, err := facts.Get(ctx, stateKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	st = &state{}
	if err := json.Unmarshal(f.Value, st); err != nil {
		return nil, 0, fmt.Errorf("the fact %q: %w: %w", stateKey, store.ErrDamaged, err)
	}
	return st, f.Version, nil
}

// ErrUnfinished is what a store gives that is a copy without its end.
var ErrUnfinished = errors.New("an unfinished copy")

// Ready refuses a store that is an unfinished copy: it may lack a seal or a
// revocation that its source holds. Whoever serves from a store asks.
func Ready(ctx context.Context, facts store.Facts) error {
	st, _, err := readState(ctx, facts)
	if err != nil || st == nil || st.Step == stepVerified {
		return err
	}
	return fmt.Errorf("the store is %w of %s (begun %s, step %q): run 'handoff store copy' again until it has verified it",
		ErrUnfinished, st.Address, st.Began.Format(time.RFC3339), st.Step)
}

// private says of a fact's key that it is about one store and no part of what is
// copied.
func private(key string) bool {
	return key == stateKey || strings.HasPrefix(key, ledgerPrefix) || strings.HasPrefix(key, presence.Prefix)
}

// Copied says whether a store is a copy of another: its epoch and its times of writing
// are its own then, and not those of the store of which gateways' trails may tell.
func Copied(ctx context.Context, facts store.Facts) (bool, error) {
	st, _, err := readState(ctx, facts)
	return st != nil, err
}
