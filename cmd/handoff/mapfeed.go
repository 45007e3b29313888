package main

import (
	"io/fs"
	"path/filepath"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/mappings"
)

// openMapping loads a mapping or a profile, or both, with the format that they
// are for. adapter overrules what the profile says; without both, it is the
// format whose built-in mapping this is.
func openMapping(files fs.FS, mapping, profile, adapter string) (*feed, error) {
	var p *mappings.Profile
	if profile != "" {
		var err error
		profile = filepath.ToSlash(profile)
		if p, err = readProfile(files, profile); err != nil {
			return nil, err
		}
		if mapping == "" && p.Mapping != "" {
			if files, mapping, err = findMapping(files, p, profile, ""); err != nil {
				return nil, err
			}
		}
		if adapter == "" {
			adapter = p.Adapter
		}
	}
	if mapping == "" {
		format, err := formatOf("", adapter)
		if err != nil {
			return nil, err
		}
		mapping = format.Mapping
	}
	m, err := mappings.Load(files, filepath.ToSlash(mapping), p)
	if err != nil {
		return nil, err
	}
	if adapter == "" && m.Profile() != nil {
		adapter = m.Profile().Adapter
	}
	format, err := formatOf(mapping, adapter)
	if err != nil && m.Profile() != nil && adapter == m.Profile().Adapter && adapter != "" {
		return nil, m.Profile().Fault("adapter", "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return newFeed(format, m), nil
}

func formatOf(mapping, adapter string) (adapters.Format, error) {
	if adapter != "" {
		f, err := all.Find(adapter)
		if err != nil {
			return f, usageError("%w", err)
		}
		return f, nil
	}
	for _, f := range all.Formats() {
		if f.Mapping == mapping {
			return f, nil
		}
	}
	return adapters.Format{}, usageError("nothing says in which format the records come: name it with --adapter: %s", adapterNames())
}

// chosenFeed is the feed that flags name: at least one of them.
func chosenFeed(mapping, profile, adapter string) (*feed, error) {
	if mapping == "" && profile == "" && adapter == "" {
		return nil, usageError("name the format with --adapter (%s), or a --mapping or --profile", adapterNames())
	}
	return openMapping(localFiles{mappings.Files()}, mapping, profile, adapter)
}
