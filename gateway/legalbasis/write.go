package legalbasis

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/task"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Systems and canonicals of the Tasks.
const (
	Profile         = terminology.Base + "/StructureDefinition/legal-basis"
	TypeSystem      = terminology.Base + "/CodeSystem/legal-basis"
	CaseSystem      = terminology.Base + "/sid/legal-basis"
	fieldSystem     = terminology.Base + "/CodeSystem/legal-basis-field"
	attributeSystem = terminology.Base + "/CodeSystem/legal-basis-attribute"
	stateSystem     = terminology.Base + "/CodeSystem/legal-basis-state"
)

var roleSystem = terminology.ActorRole.URI()

type object = map[string]any

// status is the Task's status of a state: task-status has no withdrawal, so
// businessStatus tells it from a cancellation.
func (s State) status() string {
	if s == Withdrawn {
		return "cancelled"
	}
	return string(s)
}

// CustodianTask is the case as the custodian keeps it, whole.
func (c *Case) CustodianTask(id string) ([]byte, error) {
	t := c.common(id)
	c.describe(t)
	in := c.declaration(true)
	var out task.List
	if a := c.Accepted; a != nil {
		a.write(&out)
		t["restriction"] = object{"period": object{"start": instant(a.At), "end": instant(a.ValidUntil)}, "recipient": []object{reference(c.Recipient)}}
	} else {
		t["restriction"] = c.wanted()
	}
	if e := c.Ended; e != nil {
		who(&out, "ended", e.By)
		out.Text(fieldSystem, "ended-at", "valueInstant", instant(e.At))
		if e.Note != "" {
			t["statusReason"] = object{"text": e.Note}
		}
	}
	return encode(t, in, out)
}

// DeclarerTask is the case as the declarer, or in whose favour it is, sees it:
// what was declared, the state, and until when it holds. It does not tell what
// the custodian has, whether it knows the person, or why it said no.
func (c *Case) DeclarerTask(id string) ([]byte, error) {
	t := c.common(id)
	t["restriction"] = c.wanted()
	if c.Accepted != nil {
		t["restriction"] = object{"period": object{"start": instant(c.Accepted.At), "end": instant(c.Accepted.ValidUntil)}, "recipient": []object{reference(c.Recipient)}}
	}
	if c.State == Rejected || c.State == Withdrawn {
		t["statusReason"] = object{"text": "not accepted, or no longer, by the custodian"}
	}
	own := c.Declared.By.Organization != c.Custodian
	if own {
		c.describe(t)
	}
	told := *c
	if c.Document != nil { // the document itself is kept once, by the custodian
		d := *c.Document
		d.Data, told.Document = "", &d
	}
	return encode(t, told.declaration(own), nil)
}

func (c *Case) describe(t object) {
	if c.Request != "" {
		t["description"] = c.Request
	}
}

func (c *Case) common(id string) object {
	last := c.Declared.At
	if c.Accepted != nil {
		last = c.Accepted.At
	}
	if c.Ended != nil {
		last = c.Ended.At
	}
	t := object{
		"resourceType": "Task", "id": id, "meta": object{"profile": []string{Profile}},
		"groupIdentifier": object{"system": CaseSystem, "value": c.ID},
		"status":          c.State.status(), "businessStatus": concept(stateSystem, string(c.State)),
		"intent": "order", "code": concept(TypeSystem, c.Type),
		"for": reference(c.Patient), "authoredOn": instant(c.Declared.At), "lastModified": instant(last),
		"requester": reference(c.Declared.By.Organization), "owner": reference(c.Custodian),
	}
	return t
}

// wanted is the restriction of a case that nobody has accepted.
func (c *Case) wanted() object {
	r := object{"recipient": []object{reference(c.Recipient)}}
	if !c.Until.IsZero() {
		r["period"] = object{"end": instant(c.Until)}
	}
	return r
}

// declaration writes what the declarer stated; own words of the custodian are
// left out for the recipient of what a custodian has declared itself.
func (c *Case) declaration(whole bool) task.List {
	var in task.List
	who(&in, "declared", c.Declared.By)
	if !whole {
		return in
	}
	if !c.Until.IsZero() {
		in.Text(fieldSystem, "until", "valueInstant", instant(c.Until))
	}
	for _, r := range c.Roles {
		in.Add(fieldSystem, "declared-role", "valueCoding", object{"system": r.System, "code": r.Code})
	}
	for _, ref := range c.Covers {
		in.Add(fieldSystem, "covers", "valueReference", reference(ref))
	}
	attributes(&in, c.Attributes)
	c.Limits.write(&in)
	if d := c.Document; d != nil {
		a := object{"size": d.Size}
		for name, v := range map[string]string{"title": d.Title, "contentType": d.ContentType, "data": d.Data} {
			if v != "" {
				a[name] = v
			}
		}
		in.Add(fieldSystem, "document", "valueAttachment", a)
		in.Text(fieldSystem, "document-sha256", "valueString", d.SHA256)
	}
	return in
}

func (a *Acceptance) write(out *task.List) {
	who(out, "accepted", a.By)
	out.Text(fieldSystem, "accepted-at", "valueInstant", instant(a.At))
	out.Text(fieldSystem, "agreement", "valueString", a.Agreement)
	out.Text(fieldSystem, "rule", "valueString", a.Rule)
	out.Text(fieldSystem, "valid-until", "valueInstant", instant(a.ValidUntil))
	if a.Patient != "" {
		out.Add(fieldSystem, "patient", "valueReference", reference(a.Patient))
	}
	for _, ref := range a.Covers {
		out.Add(fieldSystem, "covers", "valueReference", reference(ref))
	}
	for _, typ := range a.Types {
		out.Text(fieldSystem, "type", "valueCode", typ)
	}
	attributes(out, a.Attributes)
	a.Limits.write(out)
	out.Text(fieldSystem, "note", "valueString", a.Note)
}

func (l *Limits) write(list *task.List) {
	for _, r := range l.Roles {
		list.Text(fieldSystem, "role", "valueCode", r)
	}
	list.Text(fieldSystem, "client", "valueString", l.Client)
}

// attributes writes a list as valueCode, once per element, so that it is read
// as a list again.
func attributes(list *task.List, m map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		switch v := m[name].(type) {
		case bool:
			list.Add(attributeSystem, name, "valueBoolean", v)
		case string:
			list.Add(attributeSystem, name, "valueString", v)
		case []any:
			for _, e := range v {
				list.Add(attributeSystem, name, "valueCode", e)
			}
		}
	}
}

// who writes the person of a step: organisation, client and, where there is
// one, user.
func who(list *task.List, step string, p Person) {
	ref := object{"type": "Organization", "reference": p.Organization}
	list.Add(fieldSystem, step+"-organization", "valueReference", ref)
	list.Text(fieldSystem, step+"-client", "valueString", p.Client)
	list.Text(fieldSystem, step+"-user", "valueString", p.User)
	list.Text(fieldSystem, step+"-name", "valueString", p.Name)
}

func encode(t object, in, out task.List) ([]byte, error) {
	if len(in) > 0 {
		t["input"] = in
	}
	if len(out) > 0 {
		t["output"] = out
	}
	return json.Marshal(t)
}

func reference(ref string) object { return object{"reference": ref} }

func concept(system, code string) object {
	return object{"coding": []object{{"system": system, "code": code}}}
}

func instant(t time.Time) string { return resource.FormatInstant(t) }
