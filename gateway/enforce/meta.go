package enforce

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/guard"
)

var errMeta = errors.New("enforce: meta or a list in it has not the form that R4 gives it")

// subsetted marks a resource that lacks elements, so that it is not stored or
// put back as if it were whole.
const subsetted = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`

// ownCodes returns the resource's labels as they go out (those stated and
// computed and those that obligations add) and whether they may be others than
// the resource states. The mark of inline labels stays only while there is an
// inline label.
func (p *Point) ownCodes(l *label.Labels, o *owed, res *resource.Resource) (codes []label.Code, changed bool) {
	changed = l.Computed
	if p != nil {
		codes = p.codes[:0]
	}
	codes = l.AppendCodes(codes)
	if l.Inline && !bytes.Contains(res.Raw(), []byte("inline-sec-label")) {
		n := len(codes)
		codes = slices.DeleteFunc(codes, func(c label.Code) bool { return c.Code == "PROCESSINLINELABEL" })
		changed = changed || len(codes) < n
	}
	for _, c := range o.labels {
		if !slices.Contains(codes, c) {
			codes, changed = append(codes, c), true
		}
	}
	if p != nil {
		p.codes = codes
	}
	return codes, changed
}

// mark writes meta: security where it differs from what the resource states,
// SUBSETTED if it was redacted, and the notices owed. A resource that needs
// none of these is returned as it stands.
func (p *Point) mark(res *resource.Resource, own []label.Code, changed bool, o *owed, redacted bool) ([]byte, *resource.Resource, error) {
	meta := res.Root().Get("meta")
	if meta.Exists() && meta.Kind() != resource.Object {
		return nil, nil, errMeta
	}
	var security []byte
	if changed {
		security = p.render(own)
		changed = !bytes.Equal(security, meta.Get("security").Raw())
	}
	if redacted || o.notice || o.scope != "" || changed && security == nil {
		return markMore(res, meta, security, changed, o, redacted)
	}
	if !changed {
		return res.Raw(), res, nil
	}
	return p.splice(res, meta, security)
}

func (p *Point) render(codes []label.Code) []byte {
	if p == nil || len(codes) == 0 {
		return label.RenderCodes(codes)
	}
	p.security = label.AppendRendered(p.security[:0], codes)
	return p.security
}

// splice puts meta.security into the bytes and reads the result once more.
// Everything else stays where and as it was.
func (p *Point) splice(res *resource.Resource, meta resource.Node, security []byte) ([]byte, *resource.Resource, error) {
	if p == nil {
		p = new(Point)
		p.body = make([]byte, 0, len(res.Raw())+len(security)+32)
	}
	raw := res.Raw()
	root := res.Root()
	out := p.body[:0]
	if old := meta.Get("security"); old.Exists() {
		from, to := old.Span()
		out = append(append(append(out, raw[:from]...), security...), raw[to:]...)
	} else {
		before, after, at := `,"meta":{"security":`, "}", root
		if meta.Exists() {
			before, after, at = `,"security":`, "", meta
		}
		if at.Len() == 0 {
			before = before[1:]
		}
		_, end := at.Span()
		out = append(append(out, raw[:end-1]...), before...)
		out = append(append(append(out, security...), after...), raw[end-1:]...)
	}
	p.body = out
	return reread(res, out, &p.form)
}

// reread reads what was made of res as a stranger would.
func reread(res *resource.Resource, out []byte, into *resource.Resource) ([]byte, *resource.Resource, error) {
	if err := into.Reset(out); err != nil {
		return nil, nil, fmt.Errorf("enforce: the marked resource cannot be read: %w", err)
	}
	if into.Type() != res.Type() || !into.Root().Get("id").Is(res.ID()) && into.ID() != res.ID() {
		return nil, nil, fmt.Errorf("enforce: %s became %s", res.Reference(), into.Reference())
	}
	return out, into, nil
}

// markMore is mark where more than meta.security is written.
func markMore(res *resource.Resource, meta resource.Node, security []byte, changed bool, o *owed, redacted bool) ([]byte, *resource.Resource, error) {
	var sets []field
	if changed {
		sets = append(sets, field{"security", security})
	}
	if redacted {
		raw, err := appended(meta.Get("tag"), []byte(subsetted), func(n resource.Node) bool { return n.Get("code").Is("SUBSETTED") })
		if err != nil {
			return nil, nil, err
		}
		sets = append(sets, field{"tag", raw})
		// Version and time are those of the whole: they would change with what was
		// cut out, and so tell of it.
		for _, name := range []string{"versionId", "lastUpdated"} {
			if meta.Get(name).Exists() && !guard.Off(guard.AccessValidator) {
				sets = append(sets, field{name, nil})
			}
		}
	}
	extensions := meta.Get("extension")
	for _, x := range []struct{ url, text string }{{NoticeURL, noticeText(o)}, {ScopeURL, o.scope}} {
		if x.text == "" {
			continue
		}
		raw := fmt.Appendf(nil, `{"url":%s,"valueString":%s}`, resource.Quote(x.url), resource.Quote(x.text))
		had := func(n resource.Node) bool { return n.Get("url").Is(x.url) && n.Get("valueString").Is(x.text) }
		list, err := appended(extensions, raw, had)
		if err != nil {
			return nil, nil, err
		}
		if n := len(sets); n > 0 && sets[n-1].name == "extension" {
			list = slices.Concat(sets[n-1].raw[:len(sets[n-1].raw)-1], []byte{','}, raw, []byte{']'})
			sets = sets[:n-1]
		}
		sets = append(sets, field{"extension", list})
	}
	if len(sets) == 0 {
		return res.Raw(), res, nil
	}
	return write(res, meta, sets)
}

// A field is a member of meta; raw nil removes it.
type field struct {
	name string
	raw  []byte
}

// write sets meta's members and reads the result once more.
func write(res *resource.Resource, meta resource.Node, sets []field) ([]byte, *resource.Resource, error) {
	ed := res.Edit()
	if meta.Exists() {
		for _, f := range sets {
			if f.raw == nil {
				ed.Remove(meta.Get(f.name))
				continue
			}
			ed.Set(meta, f.name, f.raw)
		}
	} else {
		object := []byte{'{'}
		for i, f := range sets {
			if i > 0 {
				object = append(object, ',')
			}
			object = append(append(append(object, resource.Quote(f.name)...), ':'), f.raw...)
		}
		ed.Set(res.Root(), "meta", append(object, '}'))
	}
	return reread(res, ed.Bytes(), new(resource.Resource))
}

// appended returns the list with raw as its last element, or as it is if it
// has an element of that kind already.
func appended(list resource.Node, raw []byte, had func(resource.Node) bool) ([]byte, error) {
	switch list.Kind() {
	case resource.Absent:
		return slices.Concat([]byte{'['}, raw, []byte{']'}), nil
	case resource.Array:
	default:
		return nil, errMeta
	}
	for n := range list.Elements() {
		if had(n) {
			return list.Raw(), nil
		}
	}
	if list.Len() == 0 {
		return slices.Concat([]byte{'['}, raw, []byte{']'}), nil
	}
	body := bytes.TrimRight(bytes.TrimSuffix(list.Raw(), []byte{']'}), " \t\r\n")
	return slices.Concat(body, []byte{','}, raw, []byte{']'}), nil
}

func noticeText(o *owed) string {
	if o.notice {
		return ShortNotice
	}
	return ""
}
