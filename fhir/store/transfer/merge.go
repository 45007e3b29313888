package transfer

import "context"

// readAhead is how many items a feed holds that nobody has taken yet.
const readAhead = 64

// A feed is what one side gives in order, read in the background.
type feed[T any] struct {
	ch  chan T
	err error // may be read when ch is closed
}

// A reader gives items in order, until it has given all or emit fails.
type reader[T any] func(ctx context.Context, emit func(T) error) error

func feeding[T any](ctx context.Context, read reader[T]) *feed[T] {
	f := &feed[T]{ch: make(chan T, readAhead)}
	go func() {
		defer close(f.ch)
		f.err = read(ctx, func(x T) error {
			select {
			case f.ch <- x:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return f
}

// next gives the next item, nil at the end. A feed that fails has no end: what else
// there would have been nobody knows.
func (f *feed[T]) next() (*T, error) {
	if x, ok := <-f.ch; ok {
		return &x, nil
	}
	return nil, f.err
}

// merge reads two sides at once and walks them side by side: do is given what stands at
// one place, nil for the side that has nothing there. It ends with the first error of
// either side, and when nobody reads any more.
func merge[T any](ctx context.Context, a, b reader[T], place func(x, y *T) int, do func(x, y *T) error) (err error) {
	reading, stop := context.WithCancel(ctx)
	left, right := feeding(reading, a), feeding(reading, b)
	defer func() {
		stop()
		for range left.ch { // let the readers end
		}
		for range right.ch {
		}
	}()
	x, err := left.next()
	if err != nil {
		return err
	}
	y, err := right.next()
	for err == nil && (x != nil || y != nil) {
		var order int
		switch {
		case y == nil:
			order = -1
		case x == nil:
			order = 1
		default:
			order = place(x, y)
		}
		l, r := x, y
		if order > 0 {
			l = nil
		}
		if order < 0 {
			r = nil
		}
		if err = do(l, r); err == nil && l != nil {
			x, err = left.next()
		}
		if err == nil && r != nil {
			y, err = right.next()
		}
	}
	return err
}
