package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/handoff-health/handoff/fhir/client"
	"github.com/handoff-health/handoff/fhir/part2"
	"github.com/handoff-health/handoff/fhir/resource"
)

// FHIROptions describes a FHIR server.
type FHIROptions struct {
	Client *client.Client
	Origin resource.Origin // of every resource from it; Origin.System is its key
	// Units tell which of its resources are a Part 2 unit's; nil: Origin says it
	// for all.
	Units *part2.Rules
	// Aliases are further base URLs that its references are written with, such
	// as an address inside its own network.
	Aliases []string
	// Types are the resource types it is asked for; empty: any.
	Types []string
	// Fixed are parameters it wants with every search of a type ("*": of any):
	// a tenant, a category that it demands, a sensitivity filter of its own. A
	// parameter that the query brings is not overridden.
	Fixed map[string]url.Values
}

// FHIR is a FHIR server as an Upstream.
type FHIR struct {
	o     FHIROptions
	bases []string
	caps  atomic.Pointer[capabilities]
}

// NewFHIR makes an Upstream of a client. Nothing is asked yet.
func NewFHIR(o FHIROptions) (*FHIR, error) {
	if o.Client == nil {
		return nil, errors.New("upstream: a FHIR system needs a client")
	}
	if o.Origin.System != o.Client.System() {
		return nil, fmt.Errorf("upstream: origin says system %q, the client %q", o.Origin.System, o.Client.System())
	}
	return &FHIR{o: o, bases: append([]string{o.Client.Base()}, o.Aliases...)}, nil
}

// Name implements [Upstream].
func (f *FHIR) Name() string { return f.o.Origin.System }

// Bases implements [Upstream].
func (f *FHIR) Bases() []string { return f.bases }

// Read implements [Upstream].
func (f *FHIR) Read(ctx context.Context, typ, id string) (Item, error) {
	if !f.serves(typ) {
		return Item{}, fmt.Errorf("system %s: read %s: %w", f.Name(), typ, ErrNotFound)
	}
	r, err := f.o.Client.Read(ctx, typ, id)
	if err != nil {
		return Item{}, wrap(err)
	}
	return f.item(r), nil
}

// Search implements [Upstream]. A parameter that the server's capability
// statement does not list is left out, except the one that names the patient:
// the answer is then wider, and is matched again here. A type that the server
// does not have gives no matches.
func (f *FHIR) Search(ctx context.Context, typ string, params url.Values, yield func(Item) bool) error {
	if !f.serves(typ) {
		return nil
	}
	query, err := f.query(typ, params)
	if err != nil {
		return err
	}
	return wrap(f.o.Client.Search(ctx, typ, query, func(e client.Entry) bool {
		// What was not asked for is not handed on: includes, and types that do
		// not belong in this search.
		if e.Resource.Type() != typ || (e.Mode != "" && e.Mode != "match") {
			return true
		}
		return yield(f.item(e.Resource))
	}))
}

// Probe reads the server's capability statement, so that searches use what it
// lists. Until it succeeds everything is taken for supported.
func (f *FHIR) Probe(ctx context.Context) error {
	r, err := f.o.Client.Capabilities(ctx)
	if err != nil {
		return wrap(err)
	}
	f.caps.Store(readCapabilities(r))
	return nil
}

// item adds the origin: the system's, and Part 2 where the resource's unit is a
// Part 2 unit or does not show. It reads the resource as the system sent it.
func (f *FHIR) item(r *resource.Resource) Item {
	it := Item{Resource: r, Origin: f.o.Origin}
	it.Origin.Part2 = it.Origin.Part2 || f.o.Units.OfResource(r)
	return it
}

func (f *FHIR) serves(typ string) bool {
	if len(f.o.Types) > 0 && !slices.Contains(f.o.Types, typ) {
		return false
	}
	caps := f.caps.Load()
	return caps == nil || caps.has(typ)
}

// query fits parameters to the server.
func (f *FHIR) query(typ string, params url.Values) (url.Values, error) {
	caps := f.caps.Load()
	out := url.Values{}
	for name, values := range params {
		switch {
		case caps == nil || caps.supports(typ, name):
			out[name] = values
		case name == "patient" && caps.supports(typ, "subject"):
			for _, v := range values {
				out.Add("subject", "Patient/"+v)
			}
		case name == "patient" || name == "_id":
			return nil, fmt.Errorf("system %s: search %s: cannot be asked by %s: %w", f.Name(), typ, name, ErrRefused)
		}
	}
	for _, t := range []string{typ, "*"} {
		for name, values := range f.o.Fixed[t] {
			if _, ok := out[name]; !ok {
				out[name] = values
			}
		}
	}
	return out, nil
}

// wrap turns a client's error into one of this package's.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	k, ok := client.KindOf(err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	switch k {
	case client.NotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case client.Suppressed:
		return fmt.Errorf("%w: %w", ErrSuppressed, err)
	case client.Incomplete:
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	case client.BadRequest:
		return fmt.Errorf("%w: %w: %w", ErrRefused, ErrQuery, err)
	case client.Forbidden:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrFailed, err)
}
