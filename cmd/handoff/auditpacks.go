package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/law"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
	"github.com/handoff-health/handoff/gateway/replay"
)

// Rule packs are kept beside the trail by their hash, which every event names:
// a past decision is made again by the packs of its moment.

// packPath is where a pack is kept: packs/<hex of its SHA-256>.yaml.
func packPath(dir, hash string) string {
	return filepath.Join(dir, "packs", strings.TrimPrefix(hash, "sha256:")+".yaml")
}

// keepPacks keeps the packs of a law, each once. A file that is there and holds
// something else stops the start.
func keepPacks(dir string, law *policy.Law) error {
	if err := os.MkdirAll(filepath.Join(dir, "packs"), 0o700); err != nil {
		return fmt.Errorf("keep rule packs: %w", err)
	}
	for hash, raw := range law.Sources() {
		path := packPath(dir, hash)
		have, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = writeWhole(path, raw)
		case err == nil && !bytes.Equal(have, raw):
			err = fmt.Errorf("%s is not what its name says: it was changed", path)
		}
		if err != nil {
			return fmt.Errorf("keep rule packs: %w", err)
		}
	}
	return nil
}

// writeWhole makes a file that is there whole or not at all.
func writeWhole(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// readPacks reads packs that the user names: built in, or "pack=FILE" or FILE.
func readPacks(named []string) ([]*packs.Pack, error) {
	var out []*packs.Pack
	for _, name := range named {
		name = strings.TrimPrefix(name, "pack=")
		p, err := law.Open(name, asIs)
		if err != nil {
			return nil, &law.PackError{Name: name, Err: err}
		}
		out = append(out, p)
	}
	return out, nil
}

// Engine implements replay.Archive.
func (a *archive) Engine(laws, directory []string) (*policy.Engine, error) {
	key := strings.Join(laws, "\n")
	law, ok := a.laws[key]
	if !ok {
		var err error
		if law, err = a.law(laws); err != nil {
			return nil, err
		}
		a.laws[key] = law
	}
	return policy.New(policy.Options{Law: law, Directory: directory}), nil
}

// law compiles the packs that an event names, "us-tx@2026.11 sha256:… +rule",
// and those of --what-if.
func (a *archive) law(names []string) (*policy.Law, error) {
	var selected []policy.Selected
	for _, name := range names {
		s, err := a.pack(name)
		if err != nil {
			return nil, err
		}
		selected = append(selected, s)
	}
	for _, p := range a.whatIf {
		n := slices.IndexFunc(selected, func(s policy.Selected) bool { return s.Pack.ID == p.ID })
		if n < 0 {
			selected = append(selected, policy.Selected{Pack: p})
			continue
		}
		selected[n].Pack = p
		selected[n].Enable = slices.DeleteFunc(selected[n].Enable, func(id string) bool {
			return !slices.ContainsFunc(p.Rules, func(r packs.Rule) bool { return r.ID == id })
		})
	}
	if len(selected) == 0 {
		return nil, fmt.Errorf("%w: the record names none", replay.ErrNoRules)
	}
	return policy.Compile(selected...)
}

// pack reads one pack from the archive beside the trail.
func (a *archive) pack(name string) (policy.Selected, error) {
	parts := strings.Split(name, " ")
	if len(parts) < 2 || !strings.HasPrefix(parts[1], "sha256:") {
		return policy.Selected{}, fmt.Errorf("%w: %s", replay.ErrNoRules, name)
	}
	raw, err := readPack(packFolders(a.config, a.trails), filepath.Base(parts[1]))
	if errors.Is(err, fs.ErrNotExist) {
		return policy.Selected{}, fmt.Errorf("%w: %s", replay.ErrNoRules, name)
	}
	if err != nil {
		return policy.Selected{}, err
	}
	p, err := packs.Restore(parts[0], raw)
	if err != nil {
		return policy.Selected{}, fmt.Errorf("%w: %s in the archive cannot be read: %w", replay.ErrChanged, parts[0], err)
	}
	if p.Hash() != parts[1] || p.Versioned() != parts[0] {
		return policy.Selected{}, fmt.Errorf("%w: %s in the archive is not what its name says", replay.ErrChanged, parts[0])
	}
	s := policy.Selected{Pack: p}
	for _, rule := range parts[2:] {
		s.Enable = append(s.Enable, strings.TrimPrefix(rule, "+"))
	}
	return s, nil
}
