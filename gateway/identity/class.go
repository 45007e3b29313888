package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store/epoch"
)

// A Target is a Patient of a connected system by its id there.
type Target struct{ System, ID string }

// A Class is one person: all Patients that confirmed links join, directly or
// over others. It holds the Patient asked for at least.
type Class struct {
	Own     []string // references to Patients of the own store, sorted
	Targets []Target // Patients of connected systems, sorted
	// References are all of them as they appear on this gateway: Own, and
	// "Patient/<opaque>" for each Target.
	References []string
	// AsOf is how often something was forgotten (Links.Forgotten) when the links
	// were read.
	AsOf int64
}

// maxClass bounds one person's Patients. A class beyond it is no person but a
// mistake in a roster, and is refused rather than cut.
const maxClass = 64

// ErrClass says that links join more Patients than one person can have.
var ErrClass = errors.New("links join too many Patients")

// For returns the class of a Patient, named as it appears on this gateway:
// "Patient/<own id>" or "Patient/<opaque id>". A candidate or undone link joins
// nothing. Whether the Patient exists is not asked.
func (l *Links) For(ctx context.Context, ref string) (Class, error) {
	base, typ, id, ok := resource.SplitReference(ref)
	if !ok || base != "" || typ != "Patient" {
		return Class{}, fmt.Errorf("identity: %q is not a reference to a Patient here", ref)
	}
	start := Target{ID: id}
	if l.ids.IsOpaque(id) {
		system, remoteID, ok, err := l.ids.Resolve(ctx, "Patient", id)
		if err != nil {
			return Class{}, err
		}
		if ok {
			start = Target{system, remoteID}
		}
	}
	count, forgotten, err := counts(ctx, l.facts)
	if err != nil {
		return Class{}, err
	}
	l.ids.known.renew(forgotten)
	if c, ok := l.cache.get(start, count, l.now()); ok {
		return c, nil
	}
	// What this request's memory has of a link may be older than the count, under which
	// others find the class.
	c, err := l.walk(epoch.Unpinned(ctx), start)
	if err != nil {
		return Class{}, err
	}
	c.AsOf = forgotten
	l.cache.put(start, count, l.now(), c)
	return c, nil
}

// walk follows confirmed links from one Patient to all that they reach.
func (l *Links) walk(ctx context.Context, start Target) (Class, error) {
	seen := map[Target]bool{start: true}
	for queue := []Target{start}; len(queue) > 0; {
		at := queue[0]
		queue = queue[1:]
		next, err := l.neighbours(ctx, at)
		if err != nil {
			return Class{}, err
		}
		for _, n := range next {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
		if len(seen) > maxClass {
			return Class{}, fmt.Errorf("identity: %w: more than %d", ErrClass, maxClass)
		}
	}
	return l.class(seen), nil
}

// neighbours returns what confirmed links join to a Patient directly.
func (l *Links) neighbours(ctx context.Context, at Target) ([]Target, error) {
	var out []Target
	if at.System == "" {
		links, err := l.List(ctx, "Patient/"+at.ID)
		if err != nil {
			return nil, err
		}
		for _, link := range links {
			if link.State == Confirmed {
				out = append(out, Target{link.System, link.RemoteID})
			}
		}
	}
	owners, err := l.owners(ctx, at.System, at.ID)
	if err != nil {
		return nil, err
	}
	for _, own := range owners {
		f, _, err := l.get(ctx, linkKey(own, at.System, at.ID))
		if err != nil {
			return nil, err
		}
		if f.head().State == Confirmed {
			out = append(out, Target{ID: own})
		}
	}
	return out, nil
}

func (l *Links) class(seen map[Target]bool) Class {
	var c Class
	for t := range seen {
		if t.System == "" {
			c.Own = append(c.Own, "Patient/"+t.ID)
			continue
		}
		c.Targets = append(c.Targets, t)
	}
	slices.Sort(c.Own)
	slices.SortFunc(c.Targets, func(a, b Target) int {
		if d := strings.Compare(a.System, b.System); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	c.References = append(c.References, c.Own...)
	targets := c.Targets[:0:0]
	for _, t := range c.Targets {
		// A system that is no longer configured is no longer asked.
		if opaque, ok := l.ids.Opaque(t.System, "Patient", t.ID); ok {
			targets = append(targets, t)
			c.References = append(c.References, "Patient/"+opaque)
		}
	}
	c.Targets = targets
	return c
}

// classes remembers classes of one epoch. The time bound is for a writer that
// died between storing a link and counting it.
type classes struct {
	mu    sync.Mutex
	epoch int64
	known map[Target]remembered
}

type remembered struct {
	class Class
	at    time.Time
}

const (
	classLife  = 5 * time.Second
	maxClasses = 10_000
)

func (c *classes) get(t Target, epoch int64, now time.Time) (Class, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return Class{}, false
	}
	r, ok := c.known[t]
	if age := now.Sub(r.at); !ok || age < 0 || age > classLife {
		return Class{}, false
	}
	return r.class.clone(), true
}

func (c *classes) put(t Target, epoch int64, now time.Time, class Class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Of several processes a later count may be the smaller number.
	if epoch != c.epoch || c.known == nil || len(c.known) >= maxClasses {
		c.epoch, c.known = epoch, map[Target]remembered{}
	}
	c.known[t] = remembered{class.clone(), now}
}

// clone keeps callers from changing what is remembered.
func (c Class) clone() Class {
	return Class{slices.Clone(c.Own), slices.Clone(c.Targets), slices.Clone(c.References), c.AsOf}
}
