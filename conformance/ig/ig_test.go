package ig

import (
	"regexp"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// all parses every resource.
func all(t *testing.T) []*resource.Resource {
	t.Helper()
	raws, err := Resources()
	if err != nil || len(raws) < 50 {
		t.Fatalf("%d resources, %v", len(raws), err)
	}
	var out []*resource.Resource
	for _, raw := range raws {
		r, err := resource.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// ofType is those of one type, by id.
func ofType(t *testing.T, typ string) map[string]*resource.Resource {
	t.Helper()
	out := map[string]*resource.Resource{}
	for _, r := range all(t) {
		if r.Type() != typ {
			continue
		}
		if out[r.ID()] != nil {
			t.Errorf("%s stands twice", r.Reference())
		}
		out[r.ID()] = r
	}
	return out
}

// wholeLaw is the law of all packs that come with the gateway.
func wholeLaw(t *testing.T) *policy.Engine {
	t.Helper()
	ids, err := packs.BuiltinIDs()
	if err != nil {
		t.Fatal(err)
	}
	var selected []policy.Selected
	for _, id := range ids {
		p, err := packs.Builtin(id)
		if err != nil {
			t.Fatal(err)
		}
		selected = append(selected, policy.Selected{Pack: p})
	}
	l, err := policy.Compile(selected...)
	if err != nil {
		t.Fatal(err)
	}
	return policy.New(policy.Options{Law: l})
}

var machineName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_]{0,254}$`) // invariant *-0

func TestEveryResourceIsR4AndSaysWhatItIs(t *testing.T) {
	for _, r := range all(t) {
		for _, is := range validate.Resource(r) {
			t.Errorf("%s: %s", r.Reference(), is)
		}
		root := r.Root()
		if want := terminology.Base + "/" + r.Reference(); !root.Get("url").Is(want) {
			t.Errorf("%s: url is %s", r.Reference(), root.Get("url").Text())
		}
		for _, name := range []string{"version", "name", "title", "status", "date", "publisher", "description"} {
			if root.Get(name).Text() == "" {
				t.Errorf("%s has no %s", r.Reference(), name)
			}
		}
		if !machineName.MatchString(root.Get("name").Text()) {
			t.Errorf("%s: %q is no name for machines", r.Reference(), root.Get("name").Text())
		}
	}
}

// A canonical of the project's own that a resource names must be there.
func TestWhatTheResourcesNameIsThere(t *testing.T) {
	known := map[string]bool{}
	for _, r := range all(t) {
		known[r.Root().Get("url").Text()] = true
	}
	for _, r := range all(t) {
		r.Root().Descend(func(n resource.Node) bool {
			text := n.Text()
			if n.Kind() == resource.String && strings.HasPrefix(text, terminology.Base+"/") && !strings.HasPrefix(text, terminology.Base+"/sid/") && !known[text] {
				t.Errorf("%s names %s, which is not there", r.Reference(), text)
			}
			return true
		})
	}
}
