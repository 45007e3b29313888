package inbox

import "time"

// Standing is where the messages of an inbox are at one moment: each that was taken
// is in one of Stored, Rejected, Deferred and Waiting, and Received is their sum. It
// tells what is durable: a message is settled when the place beyond it is kept.
type Standing struct {
	Progress
	Received     int64 // falls only if what waited turns out never to have been acknowledged (Lost)
	Deferred     int64
	Waiting      int64
	WaitingBytes int64
	Oldest       time.Time // of what waits, when it came; zero if nothing does
}

// Counts returns where the messages are now.
func (b *Box) Counts() Standing {
	b.mu.Lock()
	defer b.mu.Unlock() // before the progress is read: what it has settled counts as waiting no more
	p, deferred := b.counts.snapshot()
	out := Standing{Progress: p, Deferred: int64(deferred)}
	for seq, s := range b.waiting {
		if seq <= p.Seq || !s.decided || s.lost {
			continue
		}
		out.Waiting++
		out.WaitingBytes += s.size
		if out.Oldest.IsZero() || s.at.Before(out.Oldest) {
			out.Oldest = s.at
		}
	}
	out.Received = p.Stored + p.Rejected + out.Deferred + out.Waiting
	return out
}
