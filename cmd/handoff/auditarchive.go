package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway"
	"github.com/handoff-health/handoff/gateway/attribute"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/broker"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
	"github.com/handoff-health/handoff/gateway/replay"
)

// auditOf names the trail of a configuration. A key or an anchor that was given
// apart goes first: a copy out of the gateway's reach vouches for more.
func auditOf(c *config.Config, anchor, key string) auditPlace {
	p := auditPlace{dir: c.Path(c.Audit.Dir), anchor: anchor, key: key}
	if p.anchor == "" {
		p.anchor = c.Path(c.Audit.Anchor)
	}
	if p.key == "" {
		p.key = c.Path(c.Audit.KeyFile)
		if _, err := os.Stat(p.key + ".pub"); err == nil {
			p.key += ".pub"
		}
	}
	return p
}

// read reads a trail that verifies; nothing is given to f in vain, but what it
// was given counts only without an error.
func (p *auditPlace) read(f func(*audit.Record) error) (audit.Report, error) {
	pub, err := audit.LoadPublicKey(p.key)
	if err != nil {
		return audit.Report{}, err
	}
	if _, err := os.Stat(p.anchor); err != nil {
		return audit.Report{}, fmt.Errorf("read the anchor: %w", err)
	}
	r, err := audit.ReadVerified(p.dir, &audit.FileAnchor{Path: p.anchor}, pub, f)
	if errors.Is(err, audit.ErrTampered) {
		err = fmt.Errorf("%s does not verify, so nothing is said from it: %w", p.dir, err)
	}
	return r, err
}

// An archive finds what past events name: versions in the store, Consents that
// were heard, rule packs of the moment, and what the user gives of connected
// systems.
type archive struct {
	config *config.Config
	db     backend.Backend
	given  []*resource.Resource
	broker *broker.Broker
	trails []auditPlace           // beside which rule packs may be kept
	whatIf []*packs.Pack          // decide by these too, or in place of those of the same name
	laws   map[string]*policy.Law // compiled, by their names
}

func newArchive(c *config.Config, db backend.Backend, files []string) (*archive, error) {
	a := &archive{config: c, db: db, laws: map[string]*policy.Law{}}
	for _, path := range files {
		raw, err := readBounded(path)
		if err != nil {
			return nil, err
		}
		r, err := resource.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		a.given = append(a.given, r)
	}
	if len(a.given) == 0 {
		return a, nil
	}
	ids, err := identity.NewIDMap(db, []byte(c.Site.Key.Reveal()), slugs(c))
	if err != nil {
		return nil, err
	}
	d, err := attribute.NewDirectory(c)
	if err != nil {
		return nil, err
	}
	a.broker, err = newBroker(c, d, ids, db.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	return a, err
}

// Resource implements replay.Archive.
func (a *archive) Resource(ctx context.Context, j *audit.Judged) (*resource.Resource, error) {
	if strings.Contains(j.Reference, "/_history/") {
		rec, err := a.version(ctx, j.Reference, j.Digest)
		if err != nil {
			return nil, err
		}
		return gateway.StoredForm(rec)
	}
	for _, r := range a.given {
		for _, form := range a.formsOf(r, j.Origin.System) {
			if audit.ContentDigest(form.Raw()) == j.Digest {
				return form, nil
			}
		}
	}
	if len(a.given) > 0 {
		return nil, fmt.Errorf("%w; none of the files given is what was decided on", replay.ErrNotKept)
	}
	return nil, fmt.Errorf("%w; give its bytes with --resource-file", replay.ErrNotKept)
}

// formsOf gives a file's resource as it is, and as one of the system's appears
// here.
func (a *archive) formsOf(r *resource.Resource, system string) []*resource.Resource {
	out := []*resource.Resource{r}
	if form, err := a.broker.Form(system, r); err == nil {
		out = append(out, form)
	}
	return out
}

// version reads one version of the own store and checks that it is the one that
// was decided on.
func (a *archive) version(ctx context.Context, reference, digest string) (*store.Record, error) {
	name, version, _ := strings.Cut(reference, "/_history/")
	n, err := strconv.ParseInt(version, 10, 64)
	_, typ, id, ok := resource.SplitReference(name)
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: %q names no version", replay.ErrChanged, reference)
	}
	rec, err := a.db.ReadVersion(ctx, store.Key{Type: typ, ID: id}, n)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("%w: the store has no %s any more", replay.ErrGone, reference)
	case err != nil:
		return nil, err
	case digest != "" && resource.Digest(rec.Raw) != digest:
		return nil, fmt.Errorf("%w: %s in the store has another content", replay.ErrChanged, reference)
	}
	return rec, nil
}

// Consent implements replay.Archive.
func (a *archive) Consent(ctx context.Context, h *audit.Heard) (*resource.Resource, error) {
	if !h.Brought() {
		rec, err := a.version(ctx, h.Reference, h.Digest)
		if err != nil {
			return nil, err
		}
		return resource.Parse(rec.Raw)
	}
	raw, err := gateway.HeardConsent(ctx, a.db, h.Digest)
	if errors.Is(err, gateway.ErrNotKept) {
		for _, r := range a.given {
			for _, form := range a.formsOf(r, strings.TrimPrefix(h.Recorder, "system ")) {
				if audit.ContentDigest(form.Raw()) == h.Digest {
					return form, nil
				}
			}
		}
		return nil, fmt.Errorf("%w: what is kept of Consents goes with a person that is expunged", replay.ErrGone)
	}
	if err != nil {
		return nil, err
	}
	if audit.ContentDigest(raw) != h.Digest {
		return nil, fmt.Errorf("%w: the kept copy has another content", replay.ErrChanged)
	}
	return resource.Parse(raw)
}

// Instance implements replay.Archive.
func (a *archive) Instance(ctx context.Context, entry string) (*resource.Resource, error) {
	reference, digest, _ := strings.Cut(entry, " ")
	rec, err := a.version(ctx, reference, digest)
	if err != nil {
		return nil, err
	}
	return resource.Parse(rec.Raw)
}

var (
	_ replay.Archive = (*archive)(nil)
	_ audit.Zones    = time.LoadLocation
)

// jsonLine is a value on one line of JSON.
func jsonLine(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	return append(raw, '\n'), err
}
