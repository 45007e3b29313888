package peers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// Options of Join. Facts, ID and Name are required.
type Options struct {
	Facts  store.Facts // the store's own, not a cache of it
	ID     string      // of the audit trail
	Name   string
	Trail  string
	Now    func() time.Time // the store's clock, for people; nil: time.Now
	Logger *slog.Logger     // nil: none

	// Look is how often the others are looked at, 0: 500 ms; Beat how often a
	// gateway says that it is there while it sees others, 0: 15 s; Dead after how
	// long without a change another counts as gone, 0: four beats.
	Look, Beat, Dead time.Duration
}

const (
	defaultBeat = 15 * time.Second
	defaultDead = 4 * defaultBeat
)

// Peers is one gateway's view of the others. It is safe for concurrent use.
type Peers struct {
	o        Options
	now      func() time.Time // with a monotonic reading
	others   atomic.Bool
	mu       sync.Mutex
	me       Member
	seen     map[string]sighting
	beaten   time.Time
	looked   time.Time
	impostor bool // another runs as this gateway: told of already
	robbed   bool // and has just taken its place
	absent   bool // this gateway's own fact was not there
}

// A sighting is since when a member's fact stands as it is, and whether this process
// has seen the member serve.
type sighting struct {
	version int64
	since   time.Time
	served  bool
}

// Join enters a gateway. Where others may serve it waits until they have noticed,
// so that nothing is served before limits are shared. Before it serves it says so
// (Stay); Leave ends it. After an error there is nothing to leave.
func Join(ctx context.Context, o Options) (*Peers, error) {
	if o.Facts == nil || o.ID == "" || o.Name == "" {
		return nil, errors.New("peers: facts, id or name are missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Look <= 0 {
		o.Look = 500 * time.Millisecond
	}
	if o.Beat <= 0 {
		o.Beat = defaultBeat
	}
	if o.Dead <= 0 {
		o.Dead = 4 * o.Beat
	}
	p := &Peers{o: o, now: time.Now, seen: map[string]sighting{}}
	at := o.Now().UTC().Truncate(time.Second)
	p.me = Member{ID: o.ID, Name: o.Name, Trail: o.Trail, Started: at, Instance: rand.Text(), Entering: true}
	if err := p.enter(ctx); err != nil {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = p.Leave(leaving) // an entry that stays goes by itself, or counts as one that was killed
		return nil, fmt.Errorf("enter the gateways of the store: %w", err)
	}
	return p, nil
}

// Stay says that this gateway serves from now on: whoever accounts for disclosures
// asks for its trail. One that never gets so far leaves no entry behind.
func (p *Peers) Stay(ctx context.Context) error {
	p.mu.Lock()
	was := p.me.Entering
	p.me.Entering = false
	p.mu.Unlock()
	if !was {
		return nil
	}
	err := p.say(ctx, false)
	if err != nil {
		p.mu.Lock()
		p.me.Entering = true
		p.mu.Unlock()
		err = fmt.Errorf("say to the gateways of the store that this one serves: %w", err)
	}
	return err
}

// enter writes this gateway's fact, and waits where somebody may have something to say
// about it: others, who are to share their limits; or one that runs with a copy of the
// same trail and takes its place back, which whoever was killed does not.
func (p *Peers) enter(ctx context.Context) error {
	before, err := read(ctx, p.o.Facts, p.o.ID)
	if err != nil {
		return err
	}
	p.me.Entering = before == nil || before.Entering
	if err := p.say(ctx, true); err != nil {
		return err
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	killed := before != nil && !before.Stopped
	if !killed && !p.Others() {
		return nil
	}
	t := time.NewTimer(2 * p.o.Look)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !killed {
		return nil
	}
	have, err := read(ctx, p.o.Facts, p.o.ID)
	if err == nil && have != nil && have.Instance != p.me.Instance {
		err = fmt.Errorf("%w: %s, started %s; give each gateway a trail, an anchor and a signing key of its own", ErrCopy, have.Name, have.Started.Format(time.RFC3339))
	}
	return err
}

// ErrCopy says that another process serves with a copy of this gateway's audit trail.
var ErrCopy = errors.New("another gateway serves from this store with a copy of the audit trail")

// Others says whether another gateway serves from the store, or may.
func (p *Peers) Others() bool { return p.others.Load() }

// Run looks at the others until ctx ends.
func (p *Peers) Run(ctx context.Context) {
	tick := time.NewTicker(p.o.Look)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := p.step(ctx)
		if err != nil && ctx.Err() == nil && !told {
			p.o.Logger.Warn("the other gateways of the store cannot be looked at", "error", err)
		}
		told = err != nil
	}
}

// step looks, and says that this gateway is there if others may wonder.
func (p *Peers) step(ctx context.Context) error {
	p.mu.Lock()
	slept := p.now().Sub(p.looked) > p.o.Dead/2
	due := p.now().Sub(p.beaten) >= p.o.Beat
	if slept { // this process stood still: what it has not seen change it has not looked at
		clear(p.seen)
	}
	p.mu.Unlock()
	if err := p.look(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	forgotten, robbed := p.absent, p.robbed
	p.robbed = false
	p.mu.Unlock()
	switch {
	case forgotten:
		p.o.Logger.Warn("this gateway was taken off the list while it serves, and enters again")
	case robbed: // so that the other notices too
		return p.say(ctx, true)
	case !p.Others() || !due && !slept:
		return nil
	}
	return p.say(ctx, false)
}

// say writes this gateway's fact. At its start it takes its own place over, which a
// process that was killed has left.
func (p *Peers) say(ctx context.Context, start bool) error {
	for range tries {
		p.mu.Lock()
		m := p.me
		p.mu.Unlock()
		have, err := read(ctx, p.o.Facts, p.o.ID)
		if err != nil {
			return err
		}
		if have != nil && have.Instance != m.Instance && !start {
			return nil // look tells of it
		}
		m.Beat++
		m.Heard = p.o.Now().UTC().Truncate(time.Second)
		if err = put(ctx, p.o.Facts, &m, have, p.o.Now()); err == nil {
			p.mu.Lock()
			p.me, p.beaten = m, p.now()
			p.mu.Unlock()
			return nil
		}
		if !faster(err) {
			return err
		}
	}
	return errors.New("another process writes this gateway's entry all the time")
}

// look reads who is there, and notes since when each has not changed.
func (p *Peers) look(ctx context.Context) error {
	list, err := List(ctx, p.o.Facts)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, others := p.now(), false
	p.looked, p.absent = now, true
	for _, m := range list {
		if m.ID == p.o.ID {
			p.absent = false
			p.compare(&m)
			others = others || p.impostor // whose own fact nobody sees
			continue
		}
		s, known := p.seen[m.ID]
		if !known || s.version != m.version {
			s = sighting{m.version, now, s.served || !m.Stopped}
			p.seen[m.ID] = s
		}
		// One that was seen to stop counts for as long as one that was killed: it may
		// be back at once, and what it admitted counts until then.
		if s.served && now.Sub(s.since) < p.o.Dead {
			others = true
		}
	}
	if p.others.Swap(others) != others {
		p.o.Logger.Info("gateways on the same store", "others", others)
	}
	return nil
}

// compare tells of another process that runs as this gateway: with a copy of its
// audit trail, since the trail itself is locked. The caller holds mu.
func (p *Peers) compare(m *Member) {
	if m.Instance == p.me.Instance || p.impostor {
		return
	}
	p.impostor, p.robbed = true, true
	p.o.Logger.Error("another process runs with a copy of this gateway's audit trail; give each gateway a trail of its own", "trail", m.ID, "other", m.Name, "started", m.Started)
}

// Leave says that this gateway has stopped, so that nobody waits for it. One that has
// served nothing, such as one that was refused for its keys, takes its entry away.
func (p *Peers) Leave(ctx context.Context) error {
	p.mu.Lock()
	p.me.Stopped = true
	me := p.me
	p.mu.Unlock()
	if !me.Entering {
		return p.say(ctx, false)
	}
	have, err := read(ctx, p.o.Facts, me.ID)
	if err != nil || have == nil || have.Instance != me.Instance {
		return err
	}
	// If another takes the place in this moment, with a copy of the trail, it enters
	// again when it finds itself absent.
	return p.o.Facts.Delete(ctx, factMember+me.ID)
}
