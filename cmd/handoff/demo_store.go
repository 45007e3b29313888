package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
)

// A demoStore is the MongoDB database that the gateway of a demo keeps its data
// in. The zero value is the embedded store, a file in the demo's folder.
type demoStore struct {
	address string // with its database
	keep    bool   // as the demo's folder
}

// newDemoStore chooses the database: the one that the URI names, if it is empty, or
// one that nobody has. A demo neither meets nor removes what another has stored.
func newDemoStore(ctx context.Context, o *demoOptions) (*demoStore, error) {
	if o.store == "" {
		return &demoStore{}, nil
	}
	if !backend.IsMongo(o.store) {
		return nil, usageError("--store takes the URI of a MongoDB deployment, mongodb://host:port; without it the store is a file in the demo's folder")
	}
	database, err := backend.Named(o.store)
	if err != nil {
		return nil, fmt.Errorf("demo: --store: the URI %w", err)
	}
	named := database != ""
	if !named {
		database = "handoff_demo_" + strings.ToLower(rand.Text()[:8])
	}
	s := &demoStore{keep: o.data != ""}
	if s.address, err = backend.InDatabase(o.store, database); err != nil {
		return nil, fmt.Errorf("demo: --store: the URI %w", err)
	}
	vacant, err := backend.Vacant(ctx, s.address, backend.Options{})
	if err != nil {
		return nil, fmt.Errorf("demo: --store: %w", err)
	}
	if !vacant {
		return nil, fmt.Errorf("demo: --store: %s holds data already, which the demo leaves alone; name a database that is not there yet, or none", s.name())
	}
	return s, nil
}

func (s *demoStore) name() string { return backend.Name(s.address, "") }

// settings writes the file with the URI, and gives the lines for it in the
// configuration. The URI may hold a password, so it is a file of its own.
func (s *demoStore) settings(d *demo) (string, error) {
	if s.address == "" {
		return "", nil
	}
	return "store:\n  mongo: {uri: \"${file:store.uri}\"}\n", d.file("store.uri", s.address+"\n")
}

// tell says where the data are, and for how long.
func (s *demoStore) tell(d *demo) {
	if s.address == "" {
		return
	}
	end := "removed when the demo ends"
	if s.keep {
		end = "kept when the demo ends, as are the files"
	}
	d.say("Store: %s, %s. The health systems' own records are not in it.", s.name(), end)
}

// remove drops the database, unless it is kept. It does so for a demo that was
// interrupted too.
func (s *demoStore) remove(ctx context.Context) error {
	if s.address == "" || s.keep {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := backend.Remove(ctx, s.address, backend.Options{}); err != nil {
		return fmt.Errorf("demo: %s is left behind: %w", s.name(), err)
	}
	return nil
}
