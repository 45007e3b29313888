package law

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// Federal is the pack that is in force where the configuration names none.
const Federal = "us-federal"

// Load compiles the law of a configuration: the packs that it names, or else
// the federal one and the overlay of every state that an organisation is in;
// and its sharing agreements. The error is a *PackError for a pack that is
// named, or joins *packs.Fault.
func Load(c *config.Config) (*policy.Law, error) {
	selected, err := inForce(c)
	if err != nil {
		return nil, err
	}
	for i := range c.Agreements {
		p, err := Agreement(&c.Agreements[i])
		if err != nil {
			return nil, err
		}
		selected = append(selected, policy.Selected{Pack: p})
	}
	return policy.Compile(selected...)
}

// inForce are the packs that a configuration names, or else the usual ones.
func inForce(c *config.Config) ([]policy.Selected, error) {
	named := c.Packs
	if len(named) == 0 {
		var err error
		if named, err = usual(c); err != nil {
			return nil, err
		}
	}
	return Select(named, c.Path)
}

// A PackError says which of the packs that are named cannot be had.
type PackError struct {
	Index int // in the list
	Name  string
	Err   error // joins *packs.Fault where the file could be read
}

func (e *PackError) Error() string { return fmt.Sprintf("pack %s: %v", e.Name, e.Err) }

func (e *PackError) Unwrap() error { return e.Err }

// Select reads packs by name: one that is built in, or the path of a file, which
// resolve turns into one that can be opened.
func Select(named []config.Pack, resolve func(string) string) ([]policy.Selected, error) {
	var out []policy.Selected
	for i, n := range named {
		p, err := Open(n.ID, resolve)
		if err != nil {
			return nil, &PackError{i, n.ID, err}
		}
		out = append(out, policy.Selected{Pack: p, Enable: n.Enable})
	}
	return out, nil
}

// Open reads one pack.
func Open(name string, resolve func(string) string) (*packs.Pack, error) {
	if !IsPath(name) {
		return packs.Builtin(name)
	}
	raw, err := read(resolve(name))
	if err != nil {
		return nil, err
	}
	return packs.Read(name, raw)
}

// IsPath says whether the name of a pack is the path of a file.
func IsPath(name string) bool {
	ext := filepath.Ext(name)
	return strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) || ext == ".yaml" || ext == ".yml"
}

// read reads no more than a pack may have, and one byte, so that more is seen.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, packs.MaxBytes+1))
}

// usual are the packs of a configuration that names none. A state without an
// overlay is under federal law alone.
func usual(c *config.Config) ([]config.Pack, error) {
	ids, err := packs.BuiltinIDs()
	if err != nil {
		return nil, err
	}
	out := []config.Pack{{ID: Federal}}
	for _, o := range c.Organizations {
		id := "us-" + strings.ToLower(o.State)
		if o.State != "" && slices.Contains(ids, id) && !slices.ContainsFunc(out, func(p config.Pack) bool { return p.ID == id }) {
			out = append(out, config.Pack{ID: id})
		}
	}
	return out, nil
}

// Uncovered lists the states of organisations for which the law has no overlay:
// there federal law alone decides.
func Uncovered(c *config.Config, l *policy.Law) []string {
	var out []string
	for _, o := range c.Organizations {
		has := func(p policy.PackInfo) bool { return p.Kind == packs.State && p.Jurisdiction == "US-"+o.State }
		if o.State != "" && !slices.ContainsFunc(l.Packs(), has) && !slices.Contains(out, o.State) {
			out = append(out, o.State)
		}
	}
	slices.Sort(out)
	return out
}

// Ended lists the agreements of the configuration that are past at this instant,
// in the site's zone: they open nothing any more.
func Ended(c *config.Config, at time.Time) []string {
	zone, err := time.LoadLocation(c.Site.TimeZone)
	if err != nil { // config has checked it
		zone = time.UTC
	}
	today := at.In(zone).Format(time.DateOnly)
	var out []string
	for _, a := range c.Agreements {
		if a.Ends < today {
			out = append(out, a.ID)
		}
	}
	return out
}

// Lines are what is wrong, one a line: the faults of packs with their places,
// else the error itself.
func Lines(err error) []string {
	var out []string
	for _, f := range packs.Faults(err) {
		out = append(out, f.Error())
	}
	if len(out) == 0 {
		out = append(out, err.Error())
	}
	return out
}

// Place returns the place of the first fault of a pack, for errors that have
// room for one.
func Place(err error) (*packs.Fault, bool) {
	var f *packs.Fault
	ok := errors.As(err, &f)
	return f, ok
}
