package packs

import (
	"embed"
	"fmt"
	"path"
	"strings"
	"sync"
)

//go:embed *.yaml
var files embed.FS

// builtin reads the packs that are built in, once.
var builtin = sync.OnceValues(func() (map[string]*Pack, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	out := map[string]*Pack{}
	for _, e := range entries {
		raw, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		p, err := Read(e.Name(), raw)
		if err != nil {
			return nil, err
		}
		if p.ID != strings.TrimSuffix(e.Name(), path.Ext(e.Name())) {
			return nil, p.Fault("id", "%q is not the name of the file", p.ID)
		}
		out[p.ID] = p
	}
	return out, nil
})

// Builtin returns a pack that is built in. The pack must not be changed.
func Builtin(id string) (*Pack, error) {
	all, err := builtin()
	if err != nil {
		return nil, err
	}
	if p, ok := all[id]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("no built-in pack %q; there are %s", id, strings.Join(sortedKeys(all), ", "))
}

// BuiltinIDs lists the packs that are built in, by name.
func BuiltinIDs() ([]string, error) {
	all, err := builtin()
	return sortedKeys(all), err
}

// SourceOf returns the bytes of a pack that is built in.
func SourceOf(id string) ([]byte, error) {
	if _, err := Builtin(id); err != nil {
		return nil, err
	}
	return files.ReadFile(id + ".yaml")
}
