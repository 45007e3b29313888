package gateway

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/broker"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// Read and vread: https://hl7.org/fhir/R4/http.html#read

// readNothing refuses parameters that a read does not have.
func readNothing(_ *Server, x *exchange) error {
	params, err := search.ParseQuery(x.req.HTTP.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, p := range params {
		if p.Name != "_format" && !guard.Off(guard.ParserReadParameters) {
			return outcome.NotSupported("a read has no parameter %q", clip(p.Name)).At("http." + clip(p.Name))
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

// readVersion takes the version of a vread. What cannot be a version is absent.
func readVersion(s *Server, x *exchange) error {
	if err := readShape(s, x); err != nil {
		return err
	}
	v, err := strconv.ParseInt(x.req.VersionID, 10, 64)
	if err != nil || v < 1 || strconv.FormatInt(v, 10) != x.req.VersionID {
		return outcome.NotFound(fmt.Errorf("version %q", x.req.VersionID))
	}
	x.version = v
	return nil
}

// locateInstance finds the person that the one resource is about. A resource of
// the own store is read here and stays inside until it was judged; one of a
// connected system is only traced to its person.
func locateInstance(ctx context.Context, s *Server, x *exchange) error {
	if !resource.ValidID(x.req.ID) {
		return outcome.NotFound(fmt.Errorf("%q is not an id", x.req.ID))
	}
	if s.o.IDs.IsOpaque(x.req.ID) {
		return s.locateOpaque(ctx, x)
	}
	k := store.Key{Type: x.req.Type, ID: x.req.ID}
	var rec *store.Record
	var err error
	if x.version > 0 {
		rec, err = s.o.Store.ReadVersion(ctx, k, x.version)
	} else {
		rec, err = s.o.Store.Read(ctx, k)
	}
	if errors.Is(err, store.ErrNotFound) {
		return outcome.NotFound(err)
	}
	if err != nil {
		return err
	}
	if rec.Deleted { // 410 would tell that it was there
		return outcome.NotFound(errors.New("deleted"))
	}
	c, err := s.own(rec)
	if err != nil {
		return err
	}
	x.candidates = []*candidate{c}
	if x.version > 0 {
		return s.headOf(ctx, x, k)
	}
	return nil
}

// locateOpaque finds the person of a connected system's resource: of several
// (staff, places), the first of whom anything may go to this caller.
func (s *Server) locateOpaque(ctx context.Context, x *exchange) error {
	refs, err := s.subjectsOf(ctx, x.req.Type, x.req.ID)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		p, err := s.whom(ctx, x, ref)
		if err != nil {
			return err
		}
		x.person = p
		if len(refs) == 1 {
			return nil
		}
		st, err := s.stand(ctx, x, p)
		if err != nil {
			return err
		}
		key, _, ok, err := s.o.IDs.Resolve(ctx, x.req.Type, x.req.ID)
		if err != nil {
			return err
		}
		if o, known := s.o.Directory.Origin(key); ok && known && s.session(x, st, o).Possible(o) {
			return nil
		}
	}
	return nil
}

// headOf adds the newest version to a vread's candidates: what has been sealed,
// relabelled or deleted since is judged as it stands now.
func (s *Server) headOf(ctx context.Context, x *exchange, k store.Key) error {
	head, err := s.o.Store.Read(ctx, k)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return outcome.NotFound(err)
	case err != nil:
		return err
	case head.Deleted:
		return outcome.NotFound(errors.New("deleted"))
	case head.Version == x.version:
		return nil
	}
	c, err := s.own(head)
	if err != nil {
		return err
	}
	x.candidates = append(x.candidates, c)
	return nil
}

// stamp sets meta.versionId and meta.lastUpdated.
func stamp(r *resource.Resource, version int64, at string) []byte {
	e := r.Edit()
	root := r.Root()
	if meta := root.Get("meta"); meta.Kind() == resource.Object {
		e.Set(meta, "versionId", resource.Quote(strconv.FormatInt(version, 10)))
		e.Set(meta, "lastUpdated", resource.Quote(at))
	} else {
		e.Set(root, "meta", []byte(`{"versionId":"`+strconv.FormatInt(version, 10)+`","lastUpdated":"`+at+`"}`))
	}
	return e.Bytes()
}

// gatherInstance asks the connected system, if the resource is one of its and
// policy says that anything of this person could go to this caller.
func gatherInstance(ctx context.Context, s *Server, x *exchange) error {
	if x.person == nil || len(x.candidates) > 0 {
		return nil
	}
	if x.version > 0 { // versions of a system's resources are not kept here
		return outcome.NotFound(errors.New("version of a connected system's resource"))
	}
	key, id, ok, err := s.o.IDs.Resolve(ctx, x.req.Type, x.req.ID)
	if err != nil {
		return err
	}
	if !ok {
		return outcome.NotFound(errors.New("an id that this gateway did not give"))
	}
	st, err := s.stand(ctx, x, x.person)
	if err != nil {
		return err
	}
	origin, ok := s.o.Directory.Origin(key)
	if !ok || !s.session(x, st, origin).Possible(origin) {
		return outcome.NotFound(errors.New("nothing of this person may go to this caller from there"))
	}
	x.event.Systems = append(x.event.Systems, key)
	var e broker.Entry
	var failed error
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.bring(gctx, x, st, []string{key}) })
	g.Go(func() error {
		e, failed = s.o.Broker.Read(gctx, key, x.req.Type, id, x.share())
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	x.resetSessions() // Consents that came along count from here on
	switch err := failed; {
	case errors.Is(err, upstream.ErrFailed):
		// Only a caller for whom this system would be asked comes here.
		return outcome.Unavailable(err)
	case err != nil:
		return outcome.NotFound(err)
	}
	c := s.candidate(e.Resource, e.Origin, nil)
	// An id that was given for one person must not bring another's data.
	if !aboutPerson(c, x.person) {
		return outcome.NotFound(errors.New("the system's answer is about somebody else"))
	}
	x.candidates = []*candidate{c}
	return nil
}

// aboutPerson says whether a connected system's resource is about the person it
// was asked for, or about nobody by its nature. One that names nobody although
// its type is about somebody cannot be judged and counts as somebody else's.
func aboutPerson(c *candidate, p *attribute.Person) bool {
	if c.subject.Patient == "" {
		return upstream.IsAdministrative(c.resource.Type())
	}
	return p.Is(c.subject.Patient)
}
