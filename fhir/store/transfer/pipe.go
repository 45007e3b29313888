package transfer

import "context"

const (
	pieceBytes = 4 << 20
	pieceItems = 500
)

// pipe reads items and writes them in pieces, reading ahead while a piece is
// written. At most three pieces are held.
func pipe[T any](ctx context.Context, size func(T) int, read func(context.Context, func(T) error) error, write func(context.Context, []T) error) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	pieces, ended := make(chan []T, 1), make(chan error, 1)
	go func() {
		defer close(pieces)
		var piece []T
		bytes := 0
		send := func() error {
			select {
			case pieces <- piece:
				piece, bytes = nil, 0
				return nil
			case <-reading.Done():
				return reading.Err()
			}
		}
		err := read(reading, func(item T) error {
			piece, bytes = append(piece, item), bytes+size(item)
			if bytes < pieceBytes && len(piece) < pieceItems {
				return nil
			}
			return send()
		})
		if err == nil && len(piece) > 0 {
			err = send()
		}
		ended <- err
	}()
	for piece := range pieces {
		if err := write(ctx, piece); err != nil {
			stop()
			for range pieces { // let the reader end
			}
			<-ended
			return err
		}
	}
	return <-ended
}
