package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

// A standing is what was found afterwards: which write made what.
type standing struct {
	*Backend
	ctx     context.Context
	written map[string]map[store.Key]int // name of an op, resource, how many versions say it
	deleted map[store.Key]bool
	live    map[store.Key]bool
	entries map[string][]uint64 // name of an op, numbers of its entries
	faults  []string
}

func (s *standing) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// compare holds what the writers were told against what stands, and returns what
// does not fit.
func (l *load) compare(b *Backend) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	s := &standing{Backend: b, ctx: ctx, written: map[string]map[store.Key]int{},
		deleted: map[store.Key]bool{}, live: map[store.Key]bool{}, entries: map[string][]uint64{}}
	s.readResources(l)
	s.readStream()
	for _, o := range l.ops {
		s.judge(o)
	}
	s.judgeSums(l)
	return s.faults
}

// readResources reads the history of every resource that an op may have written.
func (s *standing) readResources(l *load) {
	p := store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 500}
	for {
		page, err := s.Store.Search(s.ctx, p)
		if err != nil {
			s.fault("the search of all: %v", err)
			return
		}
		for _, rec := range page.Records {
			s.live[rec.Key] = true
		}
		if p.After = page.Next; p.After == "" {
			break
		}
	}
	seen := map[store.Key]bool{}
	for _, o := range l.ops {
		for _, k := range append(o.keys, o.gone...) {
			if !seen[k] {
				seen[k] = true
				s.readChain(k)
			}
		}
	}
	for k := range s.live {
		if !seen[k] {
			s.fault("%s is there, and nobody wrote it", k)
		}
	}
}

// readChain reads all versions of one resource: one step each, from the first.
func (s *standing) readChain(k store.Key) {
	var before, next int64
	for {
		recs, err := s.Store.History(s.ctx, k, before, 200)
		if before == 0 && isNotFound(err) {
			return
		}
		if err != nil {
			s.fault("history of %s below %d: %v", k, before, err)
			return
		}
		for i, rec := range recs {
			if before == 0 && i == 0 {
				next = rec.Version
				s.deleted[k] = rec.Deleted
				if s.live[k] == rec.Deleted {
					s.fault("%s: its head is deleted: %v; a search finds it: %v", k, rec.Deleted, s.live[k])
				}
			}
			if rec.Version != next {
				s.fault("history of %s has version %d where %d belongs", k, rec.Version, next)
				return
			}
			next--
			if !rec.Deleted {
				name := string(rec.Raw)
				if s.written[name] == nil {
					s.written[name] = map[store.Key]int{}
				}
				s.written[name][k]++
			}
			before = rec.Version
		}
		if len(recs) == 0 || before == 1 {
			if next != 0 {
				s.fault("history of %s ends at version %d", k, next+1)
			}
			return
		}
	}
}

// readStream reads the stream: numbers without a gap.
func (s *standing) readStream() {
	for from := uint64(1); ; {
		es, err := s.Log.ReadFrom(s.ctx, "disturbed", from, 500)
		if err != nil {
			s.fault("the stream from %d: %v", from, err)
		}
		if len(es) == 0 {
			return
		}
		for _, x := range es {
			if x.Seq != from {
				s.fault("entry %d stands where %d belongs", x.Seq, from)
				return
			}
			from++
			s.entries[string(x.Data)] = append(s.entries[string(x.Data)], x.Seq)
		}
	}
}

// judge holds one op against what stands.
func (s *standing) judge(o op) {
	there, places := 0, 0
	count := func(n int, what any) {
		places++
		if n > 1 {
			s.fault("%s, %s: %v is there %d times", o.name, o.told(), what, n)
		}
		there += min(n, 1)
	}
	for _, k := range o.keys {
		count(s.written[o.name][k], k)
	}
	for _, key := range o.facts {
		f, err := s.Facts.Get(s.ctx, key)
		if err != nil && !isNotFound(err) {
			s.fault("fact %s: %v", key, err)
		}
		n := 0
		if err == nil && string(f.Value) == o.name {
			n = 1
		}
		count(n, key)
	}
	for _, k := range o.gone {
		n := 0
		if s.deleted[k] {
			n = 1
		}
		count(n, "the deletion of "+k.String())
	}
	if o.entries > 0 {
		at := s.entries[o.name]
		places += o.entries
		there += len(at)
		for i, seq := range at {
			if seq != at[0]+uint64(i) || (o.outcome == acknowledged && seq != o.seq+uint64(i)) {
				s.fault("%s: its entries stand at %v, acknowledged from %d", o.name, at, o.seq)
				break
			}
		}
	}
	switch {
	case there != 0 && there != places:
		s.fault("half: of %s, %s, %d of %d are there", o.name, o.told(), there, places)
	case o.outcome == acknowledged && there != places:
		s.fault("acknowledged, but lost: %s", o.name)
	case o.outcome != acknowledged && there != 0:
		s.fault("%s: %s was told to its writer, but it is there", o.name, o.told())
	}
}

func (o op) told() string {
	switch o.outcome {
	case acknowledged:
		return "acknowledged"
	case refused:
		return fmt.Sprintf("refused (%v)", o.err)
	default:
		return fmt.Sprintf("failed (%v)", o.err)
	}
}

// judgeSums holds against what stands what only the sum of the ops can tell: the
// shared number, and that of those who wanted one claim one has it.
func (s *standing) judgeSums(l *load) {
	var added, unsure int64
	for _, o := range l.ops {
		switch {
		case o.added == 0:
		case o.outcome == acknowledged:
			added++
		case o.outcome == unknown:
			unsure++
		}
	}
	var sum int64
	f, err := s.Facts.Get(s.ctx, "disturbed")
	if err == nil {
		_, err = fmt.Sscan(string(f.Value), &sum)
	}
	if err != nil || sum < added || sum > added+unsure {
		s.fault("the shared number is %d, %v; %d additions were acknowledged, %d are unsure", sum, err, added, unsure)
	}
	for n := range len(l.ops) {
		where := equal("contest", fmt.Sprint(n))
		holders, err := s.Store.Count(s.ctx, store.Plan{Type: "Patient", Where: where, Limit: 1})
		if err != nil || holders > 1 {
			s.fault("claim %d has %d holders, %v", n, holders, err)
		}
		if holders == 0 { // nobody came so far
			return
		}
	}
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
