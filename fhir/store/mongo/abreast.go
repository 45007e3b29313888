package mongo

import (
	"errors"
	"slices"
	"sync"
)

// How many documents of a unit one command writes. It is done on one of the server's
// processors; more are written by commands side by side, which a replica set confirms one
// by one. So those that cost it a millisecond or more each, for their index entries, are
// parted sooner.
const (
	rolledTogether  = 40  // heads rolled forward
	writtenTogether = 160 // versions, intents
)

// abreast does something to all of a list, in parts side by side: two if there are more
// than so many, four if there are four times as many. Each part is in order, so that of
// all that wait for each other in the server one can go on.
func abreast[T any](all []T, most int, do func([]T) error) error {
	parts := 1
	switch n := len(all); {
	case n == 0:
		return nil
	case n > 4*most:
		parts = 4
	case n > most:
		parts = 2
	}
	if parts == 1 {
		return do(all)
	}
	var (
		group sync.WaitGroup
		errs  = make([]error, parts)
		next  = 0
	)
	for part := range slices.Chunk(all, (len(all)+parts-1)/parts) {
		k := next
		group.Go(func() { errs[k] = do(part) })
		next++
	}
	group.Wait()
	return errors.Join(errs...)
}
