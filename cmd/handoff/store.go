package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/config"
)

// newStoreCommand moves and checks stores.
func newStoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Copy a store to another place or kind, check and mend one",
		Long: `A store holds resources with all their versions, facts (links, id map, tokens,
registrations) and streams (raw input, rejects, events). It is a file, or a
MongoDB database that several gateways share.

An address is a path, sqlite:PATH, mongodb://HOST/DATABASE, or config:FILE for the
store that a configuration names. ${env:NAME} and ${file:PATH} in an address stand
for what is there, so that no password need be on the command line.`,
		Example: `  handoff store copy --from handoff.db --to 'mongodb://db.example/handoff'
  handoff store check --store config:handoff.yaml`,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStoreCopyCommand(), newStoreCheckCommand())
	return cmd
}

// A storePlace is where a store is, as a flag says it.
type storePlace struct {
	address, database string
	name              string         // for messages: without user and password
	config            *config.Config // that it is of; nil: it was given by itself
}

// storeAt reads an address. Its faults are those of the command line.
func storeAt(flag, address string) (storePlace, error) {
	if file, ok := strings.CutPrefix(address, "config:"); ok {
		c, err := config.LoadWith(file, config.Checks{StoreAddress: backend.Check})
		if err != nil {
			return storePlace{}, err
		}
		p := storePlace{name: storeName(c), config: c}
		p.address, p.database = c.StoreAddress()
		return p, nil
	}
	filled, err := config.Fill(address, ".")
	if err != nil {
		return storePlace{}, usageError("%s: %w", flag, err)
	}
	if err := backend.Check(filled, ""); err != nil {
		return storePlace{}, usageError("%s: %w", flag, err)
	}
	return storePlace{address: filled, name: backend.Name(filled, "")}, nil
}

// choosePlace is storeAt for a pair of flags of which one must be given.
func choosePlace(flag, address, configFlag, file string) (storePlace, error) {
	switch {
	case address != "" && file != "":
		return storePlace{}, usageError("%s and %s exclude each other", flag, configFlag)
	case file != "":
		return storeAt(configFlag, "config:"+file)
	case address == "":
		return storePlace{}, usageError("%s or %s is missing", flag, configFlag)
	}
	return storeAt(flag, address)
}

// open opens the store. It does not sweep: what looks changes nothing. What takes long
// is told on the command's stderr.
func (p storePlace) open(cmd *cobra.Command, o backend.Options) (backend.Backend, error) {
	o.Database, o.SweepEvery, o.Logger = p.database, -1, newLogger(cmd.ErrOrStderr(), "info")
	db, err := openSlowly(cmd.Context(), p.address, o)
	if err != nil && !strings.HasPrefix(err.Error(), p.name+": ") {
		err = fmt.Errorf("%s: %w", p.name, err)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// A bar shows how far work with a known end has come, on a terminal; on anything else
// it is nil and writes nothing.
type bar struct {
	progress
	what string
}

func newBar(w io.Writer, what string) *bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &bar{progress{w: w, now: time.Now, from: time.Now()}, what}
}

// show draws the bar, at most five times a second.
func (b *bar) show(what string, done, total, bytes int64) {
	if b == nil {
		return
	}
	if what != b.what {
		b.what, b.from, b.next = what, b.now(), time.Time{}
	}
	b.draw(func(took float64) string {
		const width = 30
		part := min(float64(done)/float64(max(total, 1)), 1)
		full := int(part * width)
		line := fmt.Sprintf("%s [%s%s] %3.0f %%  %d of %d, %.0f/s", what, strings.Repeat("#", full), strings.Repeat(".", width-full), 100*part, done, total, float64(done)/took)
		if bytes > 0 {
			line += fmt.Sprintf(", %.1f MB/s", float64(bytes)/took/1e6)
		}
		return line
	})
}

// end takes the bar away.
func (b *bar) end() {
	if b != nil {
		b.done()
	}
}

// ended says of an error that the command was interrupted, and what then.
func ended(ctx context.Context, err error, then string) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("interrupted; " + then)
	}
	return err
}
