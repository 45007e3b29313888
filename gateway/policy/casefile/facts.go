package casefile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/policy/packs"
)

// Facts are what the configuration of a gateway would say beside the request:
// which law is in force, and what is known of organisations.
type Facts struct {
	Packs         []string // ids of packs that are built in; none: us-federal
	Enable        []string // "pack/rule": unverified rules that are turned on
	Agreements    []*packs.Pack
	Organizations map[string]Organization // by reference
	Directory     []string                // types that are open as a directory
}

// An Organization is what the directory says of one.
type Organization struct {
	Kind         string // police, health or exchange; "" is unknown
	Part2        bool   // it is a Part 2 program
	Designations []string
}

// facts reads what stands beside the request, and puts into the request what it
// says of the requester's organisation.
func (r *reader) facts(c *Case, n resource.Node) {
	f := &c.Facts
	f.Packs = r.texts(n.Get("packs"), "packs")
	f.Enable = r.texts(n.Get("enable"), "enable")
	f.Directory = r.texts(n.Get("directory"), "directory")
	for m := range r.object(n.Get("organizations"), "organizations").Members() {
		place := "organizations." + m.Name()
		o := Organization{
			Kind:         r.text(m.Get("kind"), place+".kind"),
			Part2:        r.flag(m.Get("part2"), place+".part2"),
			Designations: r.texts(m.Get("designations"), place+".designations"),
		}
		if !slices.Contains([]string{"", "police", "health", "exchange"}, o.Kind) {
			r.fail(m, place+".kind", "%q is none of police, health, exchange", o.Kind)
		}
		if f.Organizations == nil {
			f.Organizations = map[string]Organization{}
		}
		f.Organizations[m.Name()] = o
	}
	if org, ok := f.Organizations[c.Request.Requester.Organization]; ok {
		q := &c.Request.Requester
		q.OrganizationKind, q.Designations, q.Police = org.Kind, org.Designations, org.Kind == "police"
	}
	if f.usual() {
		return
	}
	if _, err := f.law(packs.Builtin); err != nil {
		r.fail(n, "packs", "%w", err)
	}
}

// agreements reads the ids of agreements, and agreements as packs.
func (r *reader) agreements(c *Case, n resource.Node) {
	i := 0
	for e := range r.list(n, "request.agreements").Elements() {
		place := fmt.Sprintf("request.agreements[%d]", i)
		i++
		switch e.Kind() {
		case resource.String:
			c.Request.Agreements = append(c.Request.Agreements, e.Text())
		case resource.Object: // JSON is YAML
			p, err := packs.Read("agreement", e.Raw())
			if err != nil {
				r.fail(e, place, "%w", err)
				continue
			}
			c.Facts.Agreements = append(c.Facts.Agreements, p)
		default:
			r.fail(e, place, "an agreement is an id or a pack")
		}
	}
}

// usual says that the case is decided by federal law alone, as the engine does
// that a Runner has.
func (f *Facts) usual() bool {
	return len(f.Packs)+len(f.Enable)+len(f.Agreements)+len(f.Directory) == 0
}

// key tells apart what engines must differ for; "" if that is more than names.
func (f *Facts) key() string {
	if len(f.Agreements) > 0 {
		return ""
	}
	return fmt.Sprintf("%q %q %q", f.Packs, f.Enable, f.Directory)
}

// law compiles the packs that are in force.
func (f *Facts) law(builtin func(string) (*packs.Pack, error)) (*policy.Law, error) {
	ids := f.Packs
	if len(ids) == 0 {
		ids = []string{"us-federal"}
	}
	var selected []policy.Selected
	enabled := 0
	for _, id := range ids {
		p, err := builtin(id)
		if err != nil {
			return nil, err
		}
		s := policy.Selected{Pack: p}
		for _, e := range f.Enable {
			if rule, ok := strings.CutPrefix(e, id+"/"); ok {
				s.Enable, enabled = append(s.Enable, rule), enabled+1
			}
		}
		selected = append(selected, s)
	}
	if enabled != len(f.Enable) {
		return nil, fmt.Errorf("enable: a rule of a pack that is not in force: %s", strings.Join(f.Enable, ", "))
	}
	for _, p := range f.Agreements {
		selected = append(selected, policy.Selected{Pack: p})
	}
	return policy.Compile(selected...)
}
