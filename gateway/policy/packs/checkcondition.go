package packs

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/smart"
)

// families says of what each kind of condition is; those not listed are of the
// requester or the request.
var families = map[string]scope{
	"ground": ofGround, "rule": ofGround, "basis": ofGround, "through": ofGround, "attribute": ofAttribute,
	"label": ofData, "cji": ofData, "labelled": ofData, "sensitive": ofData, "confidentiality": ofData, "type": ofData, "profile": ofData,
	"directory": ofData, "subject": ofData, "policeRecord": ofData, "part2Program": ofData, "ownRecord": ofData, "custodian": ofData, "custodianDesignation": ofData,
}

// kinds lists the keys that are set among those of which there is one.
func kinds(v reflect.Value) (set []string) {
	all := fields(v.Type())
	for _, key := range sortedKeys(all) {
		if isKind(v.Type(), key) && !v.Field(all[key].index).IsZero() {
			set = append(set, key)
		}
	}
	return set
}

// Kind returns the key that says what the condition tests.
func (c *Condition) Kind() string {
	if set := kinds(reflect.ValueOf(c).Elem()); len(set) == 1 {
		return set[0]
	}
	return ""
}

func (c *checker) conditions(at string, list []Condition, may scope, ids map[string]bool) {
	for i := range list {
		k := &list[i]
		at := fmt.Sprintf("%s[%d]", at, i)
		c.once(at, k.ID, ids)
		set := kinds(reflect.ValueOf(k).Elem())
		if len(set) != 1 {
			c.fail(at, "has %s; a condition has exactly one key beside id and not", listed(set))
			continue
		}
		family, ok := families[set[0]]
		if !ok {
			family = ofRequester
		}
		if may&family == 0 {
			c.fail(at+"."+set[0], "cannot be tested here")
		}
		if f := fields(reflect.TypeFor[Condition]())[set[0]]; k.Not && f.typ.Kind() == reflect.Pointer && f.typ.Elem().Kind() == reflect.Bool {
			c.fail(at+".not", "write %s: false instead", set[0])
		}
		c.values(at, k)
	}
}

func listed(set []string) string {
	if len(set) == 0 {
		return "no key that says what it tests"
	}
	return strings.Join(set, " and ")
}

var (
	organization = regexp.MustCompile(`^Organization/[A-Za-z0-9.-]{1,64}$`)
	jurisdiction = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)
	element      = regexp.MustCompile(`^_?[a-z][A-Za-z0-9]*$`)
)

// values checks the codes and references of a condition.
func (c *checker) values(at string, k *Condition) {
	c.each(at+".role", k.Role, "is no role", func(s string) bool { _, ok := Role(s); return ok })
	c.each(at+".organization", k.Organization, "is no Organization/id", organization.MatchString)
	c.each(at+".custodian", k.Custodian, "is no Organization/id", organization.MatchString)
	c.each(at+".jurisdiction", k.Jurisdiction, "is no jurisdiction such as US-TX", jurisdiction.MatchString)
	c.labels(at+".label", k.Label)
	for i, t := range k.Type {
		c.resourceType(fmt.Sprintf("%s.type[%d]", at, i), t)
	}
	if p := k.Purpose; p != nil {
		if len(p.Within)+len(p.Exactly) == 0 {
			c.fail(at+".purpose", "needs within or exactly")
		}
		for key, list := range map[string][]string{"within": p.Within, "except": p.Except, "exactly": p.Exactly} {
			c.each(at+".purpose."+key, list, "is no purpose of use: neither LAWENF nor CRISIS nor one of v3-ActReason", func(s string) bool { _, ok := PurposeOfUse(s); return ok })
		}
	}
	if a := k.Attribute; a != nil {
		if set := kinds(reflect.ValueOf(a).Elem()); len(set) != 1 {
			c.fail(at+".attribute", "has %s; an attribute has exactly one test beside its name", strings.ReplaceAll(listed(set), "what it tests", "how it is tested"))
		}
		if slices.Contains([]string{"id", "type", "covers"}, a.Name) {
			c.fail(at+".attribute.name", "%q is not an attribute of a basis", a.Name)
		}
	}
}

func (c *checker) each(at string, list []string, reason string, ok func(string) bool) {
	for i, s := range list {
		if !ok(s) {
			c.fail(fmt.Sprintf("%s[%d]", at, i), "%.80q %s", s, reason)
		}
	}
}

func (c *checker) labels(at string, codes []string) {
	c.each(at, codes, "is no label: no sensitivity or law tag of v3-ActCode and no code of cji-label", func(s string) bool { return Label(s) != NoLabel })
}

func (c *checker) resourceType(at, t string) {
	if !smart.ResourceType(t) {
		c.fail(at, "%.80q is no resource type of R4", t)
	}
}

func (c *checker) extent(at string, x *Extent) {
	c.labels(at+".never", x.Never)
	for i := range x.Elements {
		e := &x.Elements[i]
		at := fmt.Sprintf("%s.elements[%d]", at, i)
		c.resourceType(at+".type", e.Type)
		if e.Only != nil && e.Drop != nil {
			c.fail(at, "only and drop exclude each other")
		}
		c.each(at+".only", e.Only, "is no name of an element", element.MatchString)
		c.each(at+".drop", e.Drop, "is no name of an element", element.MatchString)
		c.each(at+".codes", e.Codes, "is no code: loinc|…, snomed|… or system|code", func(s string) bool { _, ok := ObservedCode(s); return ok })
		for key, list := range map[string][]string{"names": e.Names, "topic": e.Topic} {
			c.each(at+"."+key, list, "is not in lower case", func(s string) bool { return strings.ToLower(s) == s })
		}
		for _, name := range sortedKeys(e.Within) {
			c.each(at+".within."+name, e.Within[name], "is no name of an element", element.MatchString)
		}
	}
}
