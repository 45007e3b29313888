package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/peers"
)

// Every gateway process has a trail of its own. What is asked of the trail of a
// deployment is asked of all of them.

// auditTrails are the trails that a command is about.
type auditTrails struct {
	dirs, anchors, keys []string
	config              string
}

// flags gives a command the flags that name trails; one: it is about one alone.
func (t *auditTrails) flags(cmd *cobra.Command, one bool) {
	cmd.Flags().StringArrayVar(&t.dirs, "dir", nil, "folder of a trail, beside the arguments")
	cmd.Flags().StringArrayVar(&t.anchors, "anchor", nil, "file with the signed checkpoints; one for each folder, in their order")
	cmd.Flags().StringArrayVar(&t.keys, "key", nil, "PEM file with the public key (or certificate, or the key itself) that signed them; one for all folders, or one for each")
	cmd.Args = func(_ *cobra.Command, args []string) error {
		t.dirs = append(t.dirs, args...)
		switch {
		case len(t.dirs) == 0 && t.config == "":
			return usageError("name the folder of the audit trail")
		case one && len(t.dirs) != 1:
			return usageError("one folder is wanted, got %q", strings.Join(t.dirs, " "))
		}
		return nil
	}
}

// places pairs folders, anchors and keys, and adds what a configuration names.
func (t *auditTrails) places() ([]auditPlace, error) {
	if len(t.dirs) > 0 && (len(t.anchors) == 0 || len(t.keys) == 0) {
		return nil, usageError("--anchor and --key are needed: a log alone cannot vouch for itself")
	}
	if len(t.anchors) != len(t.dirs) || len(t.keys) != len(t.dirs) && len(t.keys) > 1 {
		return nil, usageError("%d folders want as many --anchor, in their order, and one --key or as many: got %d and %d", len(t.dirs), len(t.anchors), len(t.keys))
	}
	var out []auditPlace
	for i, dir := range t.dirs {
		p := auditPlace{dir: dir, anchor: t.anchors[i], key: t.keys[0]}
		if len(t.keys) > 1 {
			p.key = t.keys[i]
		}
		out = append(out, p)
	}
	if t.config != "" {
		c, err := loadConfig(t.config)
		if err != nil {
			return nil, err
		}
		out = append(out, trailsOf(c, "", "", nil)...)
	}
	return out, distinct(out)
}

// distinct refuses a folder or an anchor that is named twice: it would count twice,
// and an anchor is of one trail.
func distinct(places []auditPlace) error {
	seen := map[string]bool{}
	for _, p := range places {
		for what, path := range map[string]string{"folder": p.dir, "anchor": p.anchor} {
			abs, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			if real, err := filepath.EvalSymlinks(abs); err == nil {
				abs = real
			}
			if seen[what+abs] {
				return usageError("%s is named as the %s of two trails; each has its own", path, what)
			}
			seen[what+abs] = true
		}
	}
	return nil
}

// trailsOf are the trails of a configuration: its gateway's own, for which a key or
// an anchor may be given apart, then those of the others, and more that were given.
func trailsOf(c *config.Config, anchor, key string, more []auditPlace) []auditPlace {
	out := []auditPlace{auditOf(c, anchor, key)}
	for _, o := range c.Audit.Others {
		out = append(out, auditPlace{dir: c.Path(o.Dir), anchor: c.Path(o.Anchor), key: c.Path(o.Key)})
	}
	return append(out, more...)
}

// parseTrails reads --trail DIR,ANCHOR,KEY.
func parseTrails(texts []string) ([]auditPlace, error) {
	var out []auditPlace
	for _, s := range texts {
		parts := strings.Split(s, ",")
		if len(parts) != 3 || slices.Contains(parts, "") {
			return nil, usageError("--trail %q: want DIR,ANCHOR,KEY", s)
		}
		out = append(out, auditPlace{parts[0], parts[1], parts[2]})
	}
	return out, nil
}

// readTrails reads trails that verify, one after the other. What f was given counts
// only without an error.
func readTrails(places []auditPlace, f func(*audit.Record) error) ([]audit.Report, error) {
	if err := distinct(places); err != nil {
		return nil, err
	}
	var out []audit.Report
	for i := range places {
		r, err := places[i].read(f)
		if err != nil {
			return nil, err
		}
		if n := slices.IndexFunc(out, func(o audit.Report) bool { return o.Trail == r.Trail }); n >= 0 {
			return nil, fmt.Errorf("%s and %s are copies of one trail: name one of them", places[n].dir, places[i].dir)
		}
		out = append(out, r)
	}
	return out, nil
}

// An unread trail is of a gateway that serves or served from the store, and was not
// among those that were read.
type unread struct {
	ID    string `json:"id"`
	Name  string `json:"gateway"`
	Trail string `json:"folder"` // on its host
}

// unreadTrails asks the store whose trails there are.
func unreadTrails(ctx context.Context, facts store.Facts, read []audit.Report) ([]unread, error) {
	members, err := peers.List(ctx, facts)
	if err != nil {
		return nil, err
	}
	var out []unread
	for _, m := range members {
		if !m.Entering && !slices.ContainsFunc(read, func(r audit.Report) bool { return r.Trail == m.ID }) {
			out = append(out, unread{m.ID, m.Name, m.Trail})
		}
	}
	return out, nil
}

// tellUnread says loudly that something is missing.
func tellUnread(w io.Writer, list []unread) {
	for _, u := range list {
		fmt.Fprintf(w, "NOT READ: the audit trail of gateway %s (%s on its host, trail %s). What it recorded is missing here. "+
			"Name it under audit.others of the configuration or with --trail DIR,ANCHOR,KEY; if it is kept elsewhere for good: handoff gateways forget %s\n", printable(u.Name), printable(u.Trail), u.ID, u.ID)
	}
}

// incomplete is the error of a command whose answer lacks trails.
func incomplete(list []unread) error {
	if len(list) == 0 {
		return nil
	}
	return &exitError{exitRejected, fmt.Errorf("the answer is not complete: the trails of %d gateways were not read", len(list))}
}

// verifyAll verifies trails; the reports of all of them, also of those that do not
// hold.
func verifyAll(places []auditPlace) (reports []audit.Report, err error) {
	var bad []error
	for i := range places {
		r, err := places[i].verify()
		switch {
		case errors.Is(err, audit.ErrTampered):
			bad = append(bad, fmt.Errorf("%s does not verify: %w", places[i].dir, err))
		case err != nil:
			return nil, err
		}
		reports = append(reports, r)
	}
	for i := range reports {
		for j := range i {
			if reports[i].Trail == reports[j].Trail && reports[i].Trail != "" {
				return nil, fmt.Errorf("%s and %s are copies of one trail: name one of them", places[j].dir, places[i].dir)
			}
		}
	}
	return reports, errors.Join(bad...)
}

// unreadOf is unreadTrails for a command that is given a configuration, if its store
// is there.
func unreadOf(cmd *cobra.Command, file string, read []audit.Report) (out []unread, err error) {
	if file == "" {
		return nil, nil
	}
	c, err := loadConfig(file)
	if err != nil {
		return nil, err
	}
	db, err := storeFor(cmd, c)
	if noStore(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return unreadTrails(cmd.Context(), db, read)
}

// packFolders are where rule packs of past decisions may be kept: beside each trail.
func packFolders(c *config.Config, places []auditPlace) []string {
	out := []string{c.Path(c.Audit.Dir)}
	for _, p := range places {
		if !slices.Contains(out, p.dir) {
			out = append(out, p.dir)
		}
	}
	return out
}

// readPack reads a kept pack from the first folder that has it.
func readPack(folders []string, hash string) (raw []byte, err error) {
	for _, dir := range folders {
		if raw, err = os.ReadFile(packPath(dir, hash)); err == nil {
			return raw, nil
		}
	}
	return nil, err
}
