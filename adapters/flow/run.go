package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A Mapper turns a record into resources. *mappings.Map is one.
type Mapper interface {
	Apply(rec *tree.Record, opts mappings.Options) (*mappings.Result, error)
}

// A Mapped is one item of a source with what the mapping made of it.
type Mapped struct {
	Item   adapters.Item
	Result *mappings.Result // for Data
	Cursor adapters.Cursor  // the place after it
	// Head is the header before it, if it is read by one: without it the record's
	// text could not be read again.
	Head []byte
	// Of is the key of the record that a rejected item is of, if that can be told
	// without a Result.
	Of string

	ready chan struct{}
}

// Key is the key of the record that the item is of; empty if that is not known.
func (m *Mapped) Key() string {
	if m.Result != nil {
		return m.Result.Key
	}
	return m.Of
}

// Partial says that the item is a record that says only what changes.
func (m *Mapped) Partial() bool { return m.Result != nil && m.Result.Partial }

// window is how many items are read ahead of the handler: a bound on memory.
const window = 256

// Run reads src to its end and calls handle for each item, in order, from one
// goroutine. A mapping that fails or panics is a Result with Action Reject. It
// returns the first error of the source, of handle, or of the context.
func Run(ctx context.Context, src adapters.Source, m Mapper, opts mappings.Options, handle func(*Mapped) error) error {
	g, ctx := errgroup.WithContext(ctx)
	ordered := make(chan *Mapped, window)
	todo := make(chan *Mapped, window)
	g.Go(func() error {
		defer close(ordered)
		defer close(todo)
		var head []byte
		var headOf string // an inbox is one source of many messages
		for {
			item, err := src.Next(ctx)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if item.Kind == adapters.Header {
				head, headOf = item.Raw, item.Pos.Source
			} else if item.Pos.Source != headOf {
				head = nil
			}
			job := &Mapped{Item: item, Cursor: src.Cursor(), Head: head}
			if item.Kind == adapters.Rejected && item.Unread != nil {
				job.Of = Apply(m, item.Unread, opts).Key
			}
			if item.Kind == adapters.Data {
				job.ready = make(chan struct{})
				select {
				case todo <- job:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			select {
			case ordered <- job:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	for range max(1, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			for job := range todo {
				job.Result = Apply(m, job.Item.Record, opts)
				close(job.ready)
			}
			return nil
		})
	}
	g.Go(func() error {
		for job := range ordered {
			if job.ready != nil {
				select {
				case <-job.ready:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if err := handle(job); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return g.Wait()
}

// Apply maps one record. What breaks off is a reject of this record alone.
func Apply(m Mapper, rec *tree.Record, opts mappings.Options) (res *mappings.Result) {
	broke := func(code, message string) *mappings.Result {
		return &mappings.Result{Action: mappings.Reject, Reason: code,
			Issues: []mappings.Issue{{Severity: mappings.Error, Code: code, Message: message, Pos: rec.Pos}}}
	}
	defer func() {
		if r := recover(); r != nil {
			// The panic's value may quote the record: only its type is told.
			res = broke("mapping-failed", fmt.Sprintf("the mapping broke off with a %T", r))
		}
	}()
	res, err := m.Apply(rec, opts)
	if err != nil {
		return broke("mapping-failed", err.Error())
	}
	if res == nil {
		return broke("mapping-failed", "the mapping gave no result")
	}
	return res
}
