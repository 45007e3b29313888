package transfer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A proven resource was read whole on both sides and found the same.
type proven struct {
	key    store.Key
	prints [sha256.Size]byte   // pairSum of both sides at that time
	sums   [][sha256.Size]byte // what a comparison adds up: of its versions, oldest first, and of the rest
}

// pairSum is over the prints of a resource on both sides.
func pairSum(x, y *store.Print) [sha256.Size]byte {
	var parts [][]byte
	for _, p := range []*store.Print{x, y} {
		deleted := byte(0)
		if p.Deleted {
			deleted = 1
		}
		parts = append(parts, []byte(p.Type), []byte(p.ID), number(p.Version), instant(p.LastUpdated), []byte{deleted}, p.Beside[:], p.Chain[:])
	}
	return digest(parts...)
}

// The ledger of what is proven stands in the destination: facts of about ledgerBytes
// under ledgerPrefix and a name that each writing has for itself, which the state names
// once it is whole. One resource that takes more than ledgerMost is read again instead.
const (
	ledgerPrefix = stateKey + "/"
	ledgerBytes  = 256 << 10
	ledgerMost   = 4 << 20
)

func (p *proven) append(b []byte) []byte {
	for _, s := range []string{p.key.Type, p.key.ID} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendUvarint(append(b, p.prints[:]...), uint64(len(p.sums)))
	for _, s := range p.sums {
		b = append(b, s[:]...)
	}
	return b
}

var errLedger = fmt.Errorf("%w: the ledger of what was verified ahead cannot be read; compare without it", store.ErrDamaged)

// read takes one proven resource off b.
func (p *proven) read(b []byte) (rest []byte, err error) {
	for _, s := range []*string{&p.key.Type, &p.key.ID} {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, errLedger
		}
		*s, b = string(b[used:used+int(n)]), b[used+int(n):] //nolint:gosec // not above len(b)
	}
	if len(b) < sha256.Size {
		return nil, errLedger
	}
	copy(p.prints[:], b)
	n, used := binary.Uvarint(b[sha256.Size:])
	b = b[min(len(b), sha256.Size+max(used, 0)):]
	if used <= 0 || n > uint64(len(b)/sha256.Size) {
		return nil, errLedger
	}
	p.sums = make([][sha256.Size]byte, n)
	for i := range p.sums {
		copy(p.sums[i][:], b)
		b = b[sha256.Size:]
	}
	return b, nil
}

// ledgerOf reads a ledger of the destination in order; "" is an empty one.
func ledgerOf(to Side, name string) reader[proven] {
	return func(ctx context.Context, emit func(proven) error) error {
		if name == "" {
			return nil
		}
		for after := ""; ; {
			const atOnce = 4
			fs, err := to.Scan(ctx, ledgerPrefix+name+"/", after, atOnce)
			if err != nil || len(fs) == 0 {
				return named(to, err)
			}
			for _, f := range fs {
				for b := f.Value; len(b) > 0; {
					var p proven
					if b, err = p.read(b); err != nil {
						return named(to, err)
					}
					if err := emit(p); err != nil {
						return err
					}
				}
			}
			after = fs[len(fs)-1].Key
		}
	}
}

// A ledgerWriter makes a new ledger.
type ledgerWriter struct {
	c     *copier
	name  string
	parts int
	block []byte
}

func (c *copier) newLedger() *ledgerWriter { return &ledgerWriter{c: c, name: rand.Text()} }

func (w *ledgerWriter) add(ctx context.Context, p *proven) error {
	if len(p.sums)*sha256.Size > ledgerMost {
		return nil
	}
	if w.block = p.append(w.block); len(w.block) < ledgerBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *ledgerWriter) flush(ctx context.Context) error {
	if len(w.block) == 0 {
		return nil
	}
	if err := w.c.save(ctx); err != nil {
		return err
	}
	w.parts++
	_, err := w.c.to.PutIfAbsent(ctx, fmt.Sprintf("%s%s/%08d", ledgerPrefix, w.name, w.parts), w.block, time.Time{})
	w.block = w.block[:0]
	return named(w.c.to, err)
}

// end has the destination go by the new ledger, and drops others.
func (w *ledgerWriter) end(ctx context.Context) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	w.c.state.Ledger = w.name
	if err := w.c.save(ctx); err != nil {
		return err
	}
	return w.c.dropLedgers(ctx)
}

// dropLedgers removes ledgers that the state does not name.
func (c *copier) dropLedgers(ctx context.Context) error {
	keep := ledgerPrefix + c.state.Ledger + "/"
	for after := ""; ; {
		const atOnce = 8
		fs, err := c.to.Scan(ctx, ledgerPrefix, after, atOnce)
		if err != nil || len(fs) == 0 {
			return named(c.to, err)
		}
		var drop []string
		for _, f := range fs {
			if !strings.HasPrefix(f.Key, keep) {
				drop = append(drop, f.Key)
			}
		}
		if len(drop) > 0 {
			if err := c.to.DropFacts(ctx, drop); err != nil {
				return named(c.to, err)
			}
		}
		after = fs[len(fs)-1].Key
	}
}
