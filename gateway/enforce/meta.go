package enforce

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
)

var errMeta = errors.New("enforce: meta or a list in it has not the form that R4 gives it")

// subsetted marks a resource that lacks elements, so that it is not stored or
// put back as if it were whole.
const subsetted = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`

// ownCodes returns the resource's labels as they go out: those stated and
// computed and those that obligations add. The mark of inline labels stays only
// while there is an inline label.
func ownCodes(l *label.Labels, o owed, res *resource.Resource) []label.Code {
	codes := l.Codes()
	if l.Inline && !bytes.Contains(res.Raw(), []byte("inline-sec-label")) {
		codes = slices.DeleteFunc(codes, func(c label.Code) bool { return c.Code == "PROCESSINLINELABEL" })
	}
	for _, c := range o.labels {
		if !slices.Contains(codes, c) {
			codes = append(codes, c)
		}
	}
	return codes
}

// mark writes meta: security where it differs from what the resource states,
// SUBSETTED if it was redacted, and the notices owed. A resource that needs
// none of these is returned as it stands.
func mark(res *resource.Resource, s *policy.Subject, own []label.Code, o owed, redacted bool) ([]byte, error) {
	root := res.Root()
	meta := root.Get("meta")
	if meta.Exists() && meta.Kind() != resource.Object {
		return nil, errMeta
	}
	var sets []field
	if s.Labels.Computed || !slices.Equal(own, s.Labels.Codes()) {
		if raw := label.RenderCodes(own); !bytes.Equal(raw, meta.Get("security").Raw()) {
			sets = append(sets, field{"security", raw})
		}
	}
	if redacted {
		raw, err := appended(meta.Get("tag"), []byte(subsetted), func(n resource.Node) bool { return n.Get("code").Is("SUBSETTED") })
		if err != nil {
			return nil, err
		}
		sets = append(sets, field{"tag", raw})
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
			return nil, err
		}
		if n := len(sets); n > 0 && sets[n-1].name == "extension" {
			list = slices.Concat(sets[n-1].raw[:len(sets[n-1].raw)-1], []byte{','}, raw, []byte{']'})
			sets = sets[:n-1]
		}
		sets = append(sets, field{"extension", list})
	}
	if len(sets) == 0 {
		return res.Raw(), nil
	}
	return write(res, meta, sets)
}

// A field is a member of meta; raw nil removes it.
type field struct {
	name string
	raw  []byte
}

// write sets meta's members and reads the result once more.
func write(res *resource.Resource, meta resource.Node, sets []field) ([]byte, error) {
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
	out := ed.Bytes()
	again, err := resource.Parse(out)
	if err != nil {
		return nil, fmt.Errorf("enforce: the marked resource cannot be read: %w", err)
	}
	if again.Type() != res.Type() || again.ID() != res.ID() {
		return nil, fmt.Errorf("enforce: %s became %s", res.Reference(), again.Reference())
	}
	return out, nil
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

func noticeText(o owed) string {
	if o.notice {
		return ShortNotice
	}
	return ""
}
