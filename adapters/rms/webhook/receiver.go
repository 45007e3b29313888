package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
)

const (
	// DefaultMax is the largest body unless configuration says otherwise.
	DefaultMax = 1 << 20
	// bodies are read side by side, and of one address perPeer: whoever has no
	// secret can make no more of them stand in memory, nor take all places.
	bodies  = 32
	perPeer = 4
	// retryAfter is when a sender may try again, in seconds.
	retryAfter = 5
	// logPause is how often refused requests are logged at most.
	logPause = 10 * time.Second
)

// An Attempt is one request, for the trail. It holds nothing of the body.
type Attempt struct {
	At       time.Time
	Duration time.Duration
	Source   string // address
	Method   string
	Status   int
	Reason   string // why it was refused; "" if it was taken
	Events   int    // in it, if it could be read
}

// Options are the parts of a receiver. Inbox and Scheme are required.
type Options struct {
	System string // key of the feed
	Scheme Scheme
	Inbox  inbox.Receiver
	// IDs are the names under which events carry their id; default event_id,
	// eventId, id.
	IDs     []string
	MaxBody int64 // bytes; default 1 MiB
	// Record keeps every request on record; what cannot be is not acknowledged.
	Record func(ctx context.Context, a Attempt) error
	// Observe counts: the status of each answer, "duplicate", "collision", "busy".
	Observe func(what string)
	Now     func() time.Time
	Logger  *slog.Logger
}

// A Receiver is the handler of one feed's path.
type Receiver struct {
	o Options

	mu      sync.Mutex
	logged  time.Time
	refused int
	reading int            // bodies being read
	peers   map[string]int // and of whom
}

// New makes a receiver.
func New(o Options) (*Receiver, error) {
	if o.Inbox == nil || o.System == "" {
		return nil, errors.New("webhook: a receiver needs a system and its inbox")
	}
	if err := o.Scheme.Check(); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", o.System, err)
	}
	if len(o.IDs) == 0 {
		o.IDs = []string{"event_id", "eventId", "id"}
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMax
	}
	if o.Record == nil {
		o.Record = func(context.Context, Attempt) error { return nil }
	}
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Receiver{o: o, peers: map[string]int{}}, nil
}

// MaxBytes is the largest body that it reads.
func (rc *Receiver) MaxBytes() int64 { return rc.o.MaxBody }

// An answer is what a request gets.
type answer struct {
	status int
	body   any
	reason string
	events int
}

// told is what a caller may know of a failure: without a proof, its status alone.
type told struct {
	Error string `json:"error"`
}

// A Receipt says what became of one event of a request.
type Receipt struct {
	Event string `json:"event"` // its id, or a hash of it
	Seq   uint64 `json:"seq"`
	State string `json:"state"` // received, duplicate, collision
}

// Receipts is the body of 200, 202 and 409.
type Receipts struct {
	Received   int       `json:"received"`
	Duplicates int       `json:"duplicates"`
	Collisions int       `json:"collisions"`
	Receipts   []Receipt `json:"receipts"`
}

// ServeHTTP implements http.Handler.
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := rc.o.Now()
	a := rc.take(r)
	attempt := Attempt{At: began, Source: source(r), Method: r.Method[:min(len(r.Method), 16)], Status: a.status, Reason: a.reason, Events: a.events}
	if attempt.Duration = rc.o.Now().Sub(began); attempt.Duration < 0 {
		attempt.Duration = 0
	}
	if err := rc.o.Record(context.WithoutCancel(r.Context()), attempt); err != nil {
		rc.o.Logger.Error("webhook: a request cannot be put on record", "system", rc.o.System, "error", err)
		a = answer{status: http.StatusServiceUnavailable, body: told{"busy"}}
	}
	rc.o.Observe(strconv.Itoa(a.status))
	h := w.Header()
	switch a.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Signature")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	text, err := json.Marshal(a.body)
	if err != nil { // made of texts and numbers
		text = []byte("{}")
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(append(text, '\n')) // a sender that has gone will ask again
}

// take reads a request: first what it costs, then who sent it, then what it is.
func (rc *Receiver) take(r *http.Request) answer {
	if r.Method != http.MethodPost {
		return answer{status: http.StatusMethodNotAllowed, body: told{"method not allowed"}, reason: "method"}
	}
	if err := rc.o.Scheme.Present(r.Header); err != nil {
		return rc.unproven(r, err)
	}
	body, refused := rc.read(r)
	if refused != nil {
		return *refused
	}
	if err := rc.o.Scheme.Verify(r.Header, body, rc.o.Now()); err != nil {
		return rc.unproven(r, err)
	}
	if r.Header.Get("Content-Encoding") != "" {
		return answer{status: http.StatusUnsupportedMediaType, body: told{"a body with a Content-Encoding is not read"}, reason: "content-encoding"}
	}
	lines, ok := readable(r.Header.Get("Content-Type"))
	if !ok {
		return answer{status: http.StatusUnsupportedMediaType, body: told{"Content-Type must be application/json or application/x-ndjson, in UTF-8"}, reason: "content-type"}
	}
	events, err := Events(body, lines)
	switch {
	case errors.Is(err, ErrTooMany):
		return answer{status: http.StatusRequestEntityTooLarge, body: told{err.Error() + "; send them in several requests"}, reason: "too-many-events"}
	case err != nil:
		return answer{status: http.StatusBadRequest, body: told{"the body is no JSON: " + err.Error()}, reason: "not-json"}
	}
	return rc.keep(r, events)
}

// read reads a body before it is known who sent it.
func (rc *Receiver) read(r *http.Request) ([]byte, *answer) {
	peer := source(r)
	if !rc.enter(peer) {
		a := rc.busy("too-many-at-once")
		return nil, &a
	}
	defer rc.leave(peer)
	large := &answer{status: http.StatusRequestEntityTooLarge, body: told{"too large"}, reason: "too-large"}
	if r.ContentLength > rc.o.MaxBody {
		return nil, large
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, rc.o.MaxBody+1))
	var most *http.MaxBytesError
	switch {
	case errors.As(err, &most) || int64(len(body)) > rc.o.MaxBody:
		return nil, large
	case err != nil:
		return nil, &answer{status: http.StatusBadRequest, body: told{"incomplete"}, reason: "body-incomplete"}
	}
	return body, nil
}

func (rc *Receiver) enter(peer string) bool {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if rc.reading >= bodies || rc.peers[peer] >= perPeer {
		return false
	}
	rc.reading++
	rc.peers[peer]++
	return true
}

func (rc *Receiver) leave(peer string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.reading--
	if rc.peers[peer]--; rc.peers[peer] == 0 {
		delete(rc.peers, peer)
	}
}

// keep makes the events durable, in their order. If the inbox fills up on the
// way, the sender repeats them all, and those that are kept are duplicates then.
func (rc *Receiver) keep(r *http.Request, events [][]byte) answer {
	out := Receipts{Receipts: make([]Receipt, 0, len(events))}
	for _, e := range events {
		id := identify(e, rc.o.IDs)
		got, err := rc.o.Inbox.Receive(r.Context(), inbox.Arrival{Source: "webhook " + source(r), Key: id, Body: e, At: rc.o.Now()})
		state := "received"
		switch {
		case errors.Is(err, inbox.ErrCollision):
			state = "collision"
			out.Collisions++
			rc.o.Observe(state)
		case errors.Is(err, inbox.ErrBusy):
			rc.o.Observe("busy")
			return rc.busy("inbox-full")
		case err != nil:
			rc.o.Logger.Error("webhook: an event could not be kept", "system", rc.o.System, "error", err)
			return rc.busy("not-kept")
		case got.Duplicate:
			state = "duplicate"
			out.Duplicates++
			rc.o.Observe(state)
		default:
			out.Received++
		}
		out.Receipts = append(out.Receipts, Receipt{Event: id, Seq: got.Seq, State: state})
	}
	a := answer{status: http.StatusAccepted, body: out, events: len(events)}
	switch {
	case out.Collisions > 0:
		a.status, a.reason = http.StatusConflict, "collision"
	case out.Received == 0:
		a.status = http.StatusOK
	}
	return a
}

func (rc *Receiver) busy(reason string) answer {
	return answer{status: http.StatusServiceUnavailable, body: told{"busy"}, reason: reason}
}

// unproven is the one answer to whoever does not prove to hold the secret. Why is
// logged, not more often than somebody can read it.
func (rc *Receiver) unproven(r *http.Request, why error) answer {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.refused++
	if now := rc.o.Now(); now.Sub(rc.logged) >= logPause {
		rc.o.Logger.Warn("webhook: requests were refused", "system", rc.o.System, "reason", why.Error(), "peer", source(r), "refused", rc.refused)
		rc.logged, rc.refused = now, 0
	}
	return answer{status: http.StatusUnauthorized, body: told{"unauthorized"}, reason: why.Error()}
}

// source is the address of the sender.
func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
