package broker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// Defaults of [Options].
const (
	DefaultTimeout     = 2 * time.Second
	DefaultOverall     = 5 * time.Second
	DefaultConcurrency = 32
	DefaultMaxBytes    = 32 << 20
	DefaultMaxEntries  = 10_000
)

// Options says which systems there are and what asking them may take.
type Options struct {
	Systems []System
	IDs     *identity.IDMap
	Timeout time.Duration // of one system; 0: DefaultTimeout
	Overall time.Duration // of one request; 0: DefaultOverall
	// Concurrency is how many requests one system gets at once. 0: DefaultConcurrency.
	Concurrency int
	// MaxBytes and MaxEntries bound what is read from one system for one
	// search. 0: DefaultMaxBytes, DefaultMaxEntries.
	MaxBytes   int64
	MaxEntries int
	Breaker    BreakerOptions
	Now        func() time.Time // nil: time.Now
	// Observe is told how each request to a system ended, for metrics and logs.
	// err is for operators; it names no patient. May be nil.
	Observe func(system string, took time.Duration, err error)
}

// A System is an upstream with limits of its own.
type System struct {
	Upstream upstream.Upstream
	Timeout  time.Duration // 0: Options.Timeout
}

// A Broker asks systems. It is safe for concurrent use.
type Broker struct {
	o       Options
	systems map[string]*system
	flights flights
}

type system struct {
	upstream.Upstream
	timeout time.Duration
	slots   chan struct{}
	breaker *breaker
}

// New makes a broker. Every system that has ids of its own needs a slug.
func New(o Options) (*Broker, error) {
	setDefaults(&o)
	b := &Broker{o: o, systems: map[string]*system{}}
	for _, s := range o.Systems {
		name := s.Upstream.Name()
		if b.systems[name] != nil {
			return nil, fmt.Errorf("broker: system %s is there twice", name)
		}
		if len(s.Upstream.Bases()) > 0 {
			if o.IDs == nil {
				return nil, errors.New("broker: an id map is needed")
			}
			if _, ok := o.IDs.Slug(name); !ok {
				return nil, fmt.Errorf("broker: system %s has no slug", name)
			}
		}
		if s.Timeout <= 0 {
			s.Timeout = o.Timeout
		}
		b.systems[name] = &system{s.Upstream, s.Timeout, make(chan struct{}, o.Concurrency), newBreaker(o.Breaker, o.Now)}
	}
	return b, nil
}

func setDefaults(o *Options) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Overall <= 0 {
		o.Overall = DefaultOverall
	}
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration, error) {}
	}
}

// A Target is a patient at a system, by the system's own id.
type Target = identity.Target

// A Query is one search about one person.
type Query struct {
	Type string
	// Params are the caller's, checked. Only those of a short list go out; all
	// have to be matched again on what comes back.
	Params  url.Values
	Targets []Target
	// Share lets requests with the same key, type, parameters and target that
	// run at the same time use one answer. It must tell tokens and purposes
	// apart. "": not shared.
	Share string
}

// An Entry is a resource of a system as it appears on this gateway.
type Entry struct {
	upstream.Item
	System string // its key in the configuration
	// Remote is the type and id at the system, for audit alone.
	Remote string
}

// An Outcome is how asking one target ended.
type Outcome uint8

// The outcomes. The zero value is the one that promises nothing.
const (
	Failed     Outcome = iota // no answer, or one that broke off
	Partial                   // the system itself says that there is more
	Suppressed                // the system withholds by its own rules; telling so may itself disclose
	Complete
)

// A Report says how asking one target ended, for the pipeline and the audit.
type Report struct {
	System  string
	Outcome Outcome
	Err     error // for operators; names no patient; nil if Complete
	Entries int   // handed on
	Foreign int   // dropped: not about the patient asked for, or not readable
	Took    time.Duration
}

// An Answer sums up a search. Entries were yielded before.
type Answer struct {
	// Failed are the keys of the systems of which something may be missing,
	// each once, in the order of the targets. Suppressed ones are not in it,
	// except for Consents.
	Failed []string
	// Incomplete is true if Failed is not empty.
	Incomplete bool
	Reports    []Report // one per target, in their order
	Stopped    bool     // yield ended it: what had not come by then counts as neither
}

// ErrImpatient is the cause (context.WithTimeoutCause) of a deadline that a
// caller sets for reasons of its own: a system that is cut off by it has not
// failed, and its breaker does not count it.
var ErrImpatient = errors.New("broker: the caller waits no longer")

// ErrUnknownSystem is a target or a read of a system that is not configured.
var ErrUnknownSystem = errors.New("broker: the system is not configured")

// Search asks all targets at once and yields entries as they come, in no
// particular order and one at a time, until yield returns false. It returns
// when every target has ended or its deadline has passed: a system that hangs
// is then reported as failed. The way back of every id in an entry is stored
// before the entry is yielded. The error is about the query itself, never about
// a system.
func (b *Broker) Search(ctx context.Context, q Query, yield func(Entry) bool) (Answer, error) {
	if !resource.ValidType(q.Type) {
		return Answer{}, fmt.Errorf("broker: %q is not a resource type", q.Type)
	}
	for _, t := range q.Targets {
		if b.systems[t.System] == nil || !resource.ValidID(t.ID) {
			return Answer{}, fmt.Errorf("%w, or a target has no FHIR id", ErrUnknownSystem)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, b.o.Overall)
	defer cancel()
	return b.gather(ctx, q, yield)
}

// Read fetches one resource by the system's own id. The error is
// upstream.ErrNotFound, ErrSuppressed, ErrRefused or ErrFailed, wrapped; all of
// them look the same to a caller who may not know that the system is asked.
func (b *Broker) Read(ctx context.Context, key, typ, id, share string) (Entry, error) {
	s := b.systems[key]
	if s == nil {
		return Entry{}, ErrUnknownSystem
	}
	if !resource.ValidType(typ) || !resource.ValidID(id) {
		return Entry{}, fmt.Errorf("system %s: read: %w", key, upstream.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, min(s.timeout, b.o.Overall))
	defer cancel()
	var got Entry
	r := b.flights.join(ctx, flightKey(share, key, "read", typ, id), s.timeout, func(ctx context.Context, f *flight) error {
		return b.ask(ctx, s, func(ctx context.Context) error { return b.read(ctx, s, typ, id, f) })
	})
	if _, err := r.each(ctx, func(e Entry) bool { got = e; return true }); err != nil {
		return Entry{}, failed(key, "read "+typ, err)
	}
	if got.Resource == nil {
		return Entry{}, fmt.Errorf("system %s: read %s: %w", key, typ, upstream.ErrFailed)
	}
	return got, nil
}

// read is the work of one Read, done once for all who share it.
func (b *Broker) read(ctx context.Context, s *system, typ, id string, f *flight) error {
	it, err := s.Read(ctx, typ, id)
	if err != nil {
		return err
	}
	if it.Resource.Type() != typ || it.Resource.ID() != id {
		return fmt.Errorf("system %s: read %s: another resource came: %w", s.Name(), typ, upstream.ErrFailed)
	}
	w := b.rewriter(s)
	w.about(w.subject(it.Resource))
	e, err := w.entry(it)
	if err != nil {
		return err
	}
	if err := w.save(ctx); err != nil {
		return err
	}
	f.put(ctx, e)
	return nil
}

// ask runs one request to a system behind its breaker and within its slots.
func (b *Broker) ask(ctx context.Context, s *system, do func(context.Context) error) error {
	done, ok := s.breaker.allow()
	if !ok {
		return fmt.Errorf("system %s: not asked after many failures: %w", s.Name(), upstream.ErrFailed)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		done(abandoned)
		return fmt.Errorf("system %s: too many requests at once: %w", s.Name(), upstream.ErrFailed)
	}
	start := b.o.Now()
	err := do(ctx)
	took := b.o.Now().Sub(start)
	done(verdict(ctx, s, took, err))
	b.o.Observe(s.Name(), took, err)
	return err
}

// verdict says what an error means for the system's health: only its own
// failure to answer counts against it, not a caller who went away early.
func verdict(ctx context.Context, s *system, took time.Duration, err error) result {
	switch cause := context.Cause(ctx); {
	case err == nil:
		return success
	case errors.Is(err, errStore), errors.Is(cause, errNobody), errors.Is(cause, errSlow) && took < s.timeout/2:
		return abandoned
	case errors.Is(err, upstream.ErrFailed), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return failure
	}
	return success
}

// failed makes every error of a read one of package upstream's.
func failed(system, op string, err error) error {
	for _, known := range []error{upstream.ErrNotFound, upstream.ErrSuppressed, upstream.ErrRefused, upstream.ErrFailed} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("system %s: %s: %w: %w", system, op, upstream.ErrFailed, err)
}
