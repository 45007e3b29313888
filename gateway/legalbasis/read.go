package legalbasis

import (
	"fmt"
	"slices"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/task"
)

// Is says whether a Task is one of a legal basis, by its profile. A caller that
// decides anything by it has made sure that the gateway wrote the Task.
func Is(r *resource.Resource) bool {
	for p := range r.Root().Path("meta", "profile").Elements() {
		if p.Is(Profile) {
			return true
		}
	}
	return false
}

// Read turns a custodian's Task back into its case. Whatever it does not
// understand is an error: half a case is none.
func Read(r *resource.Resource) (*Case, error) {
	root := r.Root()
	c := &Case{
		ID:    root.Path("groupIdentifier", "value").Text(),
		State: State(coding(root.Get("businessStatus"))), Type: coding(root.Get("code")),
		Custodian: root.Path("owner", "reference").Text(),
		Patient:   root.Path("for", "reference").Text(), Request: root.Get("description").Text(),
	}
	for n := range root.Path("restriction", "recipient").Elements() {
		c.Recipient = n.Get("reference").Text()
	}
	rd := &reader{}
	c.Declared.At = rd.instant(root.Get("authoredOn"))
	for _, f := range task.Fields(r, "input") {
		rd.declaration(c, f)
	}
	for _, f := range task.Fields(r, "output") {
		rd.result(c, f)
	}
	if c.Ended != nil {
		c.Ended.Note = root.Path("statusReason", "text").Text()
	}
	if rd.err != nil {
		return nil, fmt.Errorf("%s: %w", r.Reference(), rd.err)
	}
	if !Is(r) || c.ID == "" || c.Type == "" || c.Custodian == "" || c.Recipient == "" || c.Patient == "" ||
		!slices.Contains([]State{Requested, Accepted, Rejected, Withdrawn, Cancelled}, c.State) ||
		(c.State == Accepted || c.State == Withdrawn) && c.Accepted == nil {
		return nil, fmt.Errorf("%s is no whole case of a legal basis", r.Reference())
	}
	return c, nil
}

func coding(concept resource.Node) string {
	for c := range concept.All("coding") {
		return c.Get("code").Text()
	}
	return ""
}

// A reader keeps the first thing that was not understood.
type reader struct{ err error }

func (rd *reader) fail(f task.Field) {
	if rd.err == nil {
		rd.err = fmt.Errorf("field %q of %q is not understood", f.Code, f.System)
	}
}

func (rd *reader) instant(n resource.Node) time.Time {
	t, err := time.Parse(time.RFC3339, n.Text())
	if err != nil && rd.err == nil {
		rd.err = fmt.Errorf("%q is not an instant", n.Text())
	}
	return t
}

// person reads a part of who took a step.
func (p *Person) take(step string, f task.Field) bool {
	switch f.Code {
	case step + "-organization":
		p.Organization = f.Text()
	case step + "-client":
		p.Client = f.Text()
	case step + "-user":
		p.User = f.Text()
	case step + "-name":
		p.Name = f.Text()
	default:
		return false
	}
	return true
}

func (l *Limits) take(f task.Field) bool {
	switch f.Code {
	case "role":
		l.Roles = append(l.Roles, f.Text())
	case "client":
		l.Client = f.Text()
	default:
		return false
	}
	return true
}

// attribute reads one value into the map, making it if there is none.
func (rd *reader) attribute(m *map[string]any, f task.Field) {
	if *m == nil {
		*m = map[string]any{}
	}
	switch f.Member {
	case "valueBoolean":
		b, ok := f.Value.Bool()
		if !ok {
			rd.fail(f)
		}
		(*m)[f.Code] = b
	case "valueString":
		(*m)[f.Code] = f.Text()
	case "valueCode":
		list, _ := (*m)[f.Code].([]any)
		(*m)[f.Code] = append(list, f.Text())
	default:
		rd.fail(f)
	}
}

func (rd *reader) declaration(c *Case, f task.Field) {
	switch {
	case f.System == attributeSystem:
		rd.attribute(&c.Attributes, f)
	case f.System != fieldSystem:
		rd.fail(f)
	case c.Declared.By.take("declared", f), c.Limits.take(f):
	case f.Code == "until":
		c.Until = rd.instant(f.Value)
	case f.Code == "declared-role":
		c.Roles = append(c.Roles, label.Code{System: f.Value.Get("system").Text(), Code: f.Value.Get("code").Text()})
	case f.Code == "covers":
		c.Covers = append(c.Covers, f.Text())
	case f.Code == "document":
		if c.Document == nil {
			c.Document = &Document{}
		}
		d := c.Document
		d.Title, d.ContentType, d.Data = f.Value.Get("title").Text(), f.Value.Get("contentType").Text(), f.Value.Get("data").Text()
		if _, err := fmt.Sscan(string(f.Value.Get("size").Raw()), &d.Size); err != nil {
			rd.fail(f)
		}
	case f.Code == "document-sha256" && c.Document != nil:
		c.Document.SHA256 = f.Text()
	default:
		rd.fail(f)
	}
}

func (rd *reader) result(c *Case, f task.Field) {
	if f.System == fieldSystem && (f.Code == "ended-at" || len(f.Code) > 6 && f.Code[:6] == "ended-") {
		if c.Ended == nil {
			c.Ended = &Step{}
		}
		switch {
		case f.Code == "ended-at":
			c.Ended.At = rd.instant(f.Value)
		case !c.Ended.By.take("ended", f):
			rd.fail(f)
		}
		return
	}
	if c.Accepted == nil {
		c.Accepted = &Acceptance{}
	}
	a := c.Accepted
	switch {
	case f.System == attributeSystem:
		rd.attribute(&a.Attributes, f)
	case f.System != fieldSystem:
		rd.fail(f)
	case a.By.take("accepted", f), a.Limits.take(f):
	case f.Code == "accepted-at":
		a.At = rd.instant(f.Value)
	case f.Code == "agreement":
		a.Agreement = f.Text()
	case f.Code == "rule":
		a.Rule = f.Text()
	case f.Code == "valid-until":
		a.ValidUntil = rd.instant(f.Value)
	case f.Code == "patient":
		a.Patient = f.Text()
	case f.Code == "covers":
		a.Covers = append(a.Covers, f.Text())
	case f.Code == "type":
		a.Types = append(a.Types, f.Text())
	case f.Code == "note":
		a.Note = f.Text()
	default:
		rd.fail(f)
	}
}
