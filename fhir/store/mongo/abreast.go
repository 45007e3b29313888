package mongo

import (
	"errors"
	"slices"
	"sync"
)

// perCommand is how many documents one command of a unit writes: they take the server a
// millisecond or more each, on one of its processors. More are written by commands side
// by side, two, or four of very many. Each goes in order of id, so that of all that wait
// for each other in the server one can go on.
const perCommand = 40

// abreast does something to all of a list, in as many parts as are to be done side by
// side.
func abreast[T any](all []T, do func([]T) error) error {
	parts := 1
	switch n := len(all); {
	case n == 0:
		return nil
	case n > 4*perCommand:
		parts = 4
	case n > perCommand:
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
