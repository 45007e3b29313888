package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/fhir/compartment"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/identity"
	"github.com/handoff-health/handoff/gateway/upstream"
)

// A rewriter turns a system's resources into this gateway's: the id becomes
// opaque, references follow it, meta.source names the system's slug. Every
// other byte stays as it came; meta.versionId too, which lets a caller see that
// a record has changed and tells nothing else.
//
// A resource within another, as in a Bundle or Parameters, is refused; contained
// ones are not meant. A reference becomes
//
//	Type/id, Type/id/_history/v     the same with the opaque id
//	<a base of the system>/Type/id  relative, with the opaque id
//	#x                              as it is: it stays within the resource
//	anything else                   nothing: it leads past the gateway, or
//	                                cannot be followed; identifier and display
//	                                stand beside it as they came
//
// The same holds for Attachment.url and for links in the narrative. Whatever else
// is on a base of the system (see own) becomes a name that tells neither address
// nor id; of meta.profile it is dropped. Other canonical URLs, identifier systems
// and urls of extensions name things and stay.
//
// It is for one goroutine.
type rewriter struct {
	system string
	bases  []string
	source []byte // meta.source as JSON
	ids    *identity.Batch
	places []string // the bases as own looks for them
	hash   func(typ, id string) (string, bool)
	// systems says that systems of codes and identifiers stay as they are, since
	// they are compared with what this gateway is set up with: in a Consent, who
	// and what it speaks of. A deny that is not heard is worse than an address.
	systems bool
	nested  bool // a resource stands within the one at hand
}

func (b *Broker) rewriter(s *system) *rewriter {
	w := &rewriter{system: s.Name(), bases: s.Bases()}
	if len(w.bases) > 0 {
		w.source = resource.Quote(b.o.IDs.Source(w.system))
		w.ids = b.o.IDs.Batch(w.system)
		w.places = places(w.bases)
		w.hash = func(typ, id string) (string, bool) { return b.o.IDs.Opaque(w.system, typ, id) }
	}
	return w
}

// about says whose answer it is, by the Patient's id at the system; "" for nobody's.
// What is mapped can then be forgotten with the person.
func (w *rewriter) about(patient string) {
	if w.ids != nil && patient != "" {
		w.ids.About(patient)
	}
}

// subject is the id at the system of the Patient whom a resource is about; "" if it
// names none that can be followed.
func (w *rewriter) subject(r *resource.Resource) string {
	ref, _ := w.cut(compartment.Subject(r))
	base, typ, id, ok := resource.SplitReference(ref)
	if !ok || base != "" || typ != "Patient" {
		return ""
	}
	return id
}

func (w *rewriter) unsaved() bool { return w.ids != nil && w.ids.Pending() > 0 }

func (w *rewriter) take() *identity.Batch {
	if w.ids == nil {
		return nil
	}
	return w.ids.Take()
}

func (w *rewriter) save(ctx context.Context) error {
	if w.ids == nil {
		return nil
	}
	if err := w.ids.Save(ctx); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	return nil
}

var (
	errNoID   = errors.New("it has no id")
	errNested = errors.New("it holds another resource, whose subject cannot be checked here")
)

// entry makes an Entry of a resource as it came.
func (w *rewriter) entry(it upstream.Item) (Entry, error) {
	e := Entry{Item: it, System: w.system, Remote: it.Resource.Reference()}
	if len(w.bases) == 0 {
		return e, nil
	}
	raw, err := w.rewrite(it.Resource)
	if err == nil {
		e.Resource, err = resource.Parse(raw)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("system %s: %s: %w: %w", w.system, it.Resource.Type(), upstream.ErrFailed, err)
	}
	return e, nil
}

func (w *rewriter) rewrite(r *resource.Resource) ([]byte, error) {
	opaque, ok := w.ids.Forward(r.Type(), r.ID())
	if !ok {
		return nil, errNoID
	}
	root, edit := r.Root(), r.Edit()
	edit.Replace(root.Get("id"), resource.Quote(opaque))
	meta := root.Get("meta")
	switch {
	case meta.Kind() == resource.Object:
		edit.Set(meta, "source", w.source)
		edit.Remove(meta.Get("_source"))
	default: // absent, or nothing that could be a Meta
		edit.Set(root, "meta", append(append([]byte(`{"source":`), w.source...), '}'))
	}
	w.nested, w.systems = false, r.Type() == "Consent"
	for m := range root.Members() {
		w.walk(edit, r.Raw(), root, m, place{root: true})
	}
	if w.nested {
		return nil, errNested
	}
	return edit.Bytes(), nil
}

// place says where a value stands, as far as its meaning depends on it.
type place struct {
	root      bool // a member of the resource itself: its url is canonical
	extension bool // a member of an Extension: its url is canonical
	contained bool // a member of a contained resource
}

// walk changes one member, element or whatever is in it.
func (w *rewriter) walk(edit *resource.Editor, raw []byte, parent, n resource.Node, at place) {
	switch n.Kind() {
	case resource.String:
		w.text(edit, raw, parent, n, at)
	case resource.Object:
		inside := place{}
		for m := range n.Members() {
			w.walk(edit, raw, n, m, inside)
		}
	case resource.Array:
		name := memberName(raw, n)
		inside := place{
			extension: string(name) == "extension" || string(name) == "modifierExtension",
			contained: at.root && string(name) == "contained",
		}
		inside.root = inside.contained
		for el := range n.Elements() {
			if el.Kind() == resource.String && string(name) == "profile" && w.isOwn(el) {
				edit.Remove(el)
				edit.Remove(parent.Get("_profile")) // its places would be others'
				continue
			}
			if el.Kind() != resource.Object {
				w.walk(edit, raw, n, el, inside)
				continue
			}
			if inside.contained {
				edit.RemoveMember(el.Get("meta"), "source")
			}
			for m := range el.Members() {
				w.walk(edit, raw, el, m, inside)
			}
		}
	}
}

// text changes a string that leads somewhere.
func (w *rewriter) text(edit *resource.Editor, raw []byte, parent, n resource.Node, at place) {
	name := memberName(raw, n)
	switch string(name) {
	case "resourceType":
		w.nested = w.nested || !at.root
	case "reference":
		w.put(edit, parent, n, "reference")
	case "url":
		if !at.root && !at.extension {
			w.put(edit, parent, n, "url")
			return
		}
		w.rename(edit, n, true)
	case "system":
		if !w.systems {
			w.rename(edit, n, true)
		}
	case "fullUrl":
		w.put(edit, parent, n, "fullUrl")
	case "valueUrl", "valueUri":
		if _, own := w.cut(n.Text()); own {
			w.put(edit, parent, n, string(name))
			return
		}
		w.rename(edit, n, true)
	case "div":
		s := n.Text()
		t := s
		if strings.Contains(s, "href") || strings.Contains(s, "src") {
			t = w.narrative(s)
		}
		if t, _ = w.own(t, false); t != s {
			edit.Replace(n, resource.Quote(t))
		}
	case "valueString":
		w.rename(edit, n, false)
	default:
		w.rename(edit, n, true)
	}
}

// put replaces a reference, or removes it with its primitive extension.
func (w *rewriter) put(edit *resource.Editor, parent, n resource.Node, name string) {
	switch ref, ok := w.reference(n.Text()); {
	case !ok:
		edit.RemoveMember(parent, name)
	case !n.Is(ref):
		edit.Replace(n, resource.Quote(ref))
	}
}

// reference gives what stands for a reference of the system here; ok is false
// when nothing can.
func (w *rewriter) reference(ref string) (string, bool) {
	if strings.HasPrefix(ref, "#") {
		return ref, true
	}
	rest, _ := w.cut(ref)
	path, version, versioned := strings.Cut(rest, "/_history/")
	base, typ, id, ok := resource.SplitReference(path)
	if !ok || base != "" || path != typ+"/"+id || (versioned && !resource.ValidID(version)) {
		return "", false
	}
	opaque, ok := w.ids.Forward(typ, id)
	if !ok {
		return "", false
	}
	out := typ + "/" + opaque
	if versioned {
		out += "/_history/" + version
	}
	return out, true
}

// cut takes a base of the system off an absolute URL; own says whether it
// stood there.
func (w *rewriter) cut(ref string) (rest string, own bool) {
	if !strings.Contains(ref, "://") {
		return ref, false
	}
	for _, b := range w.bases {
		if b = strings.TrimRight(b, "/"); strings.HasPrefix(ref, b+"/") {
			return ref[len(b)+1:], true
		}
	}
	// Written otherwise: another case, a default port.
	path, history, versioned := strings.Cut(ref, "/_history/")
	base, typ, id, ok := resource.SplitReference(path)
	if !ok || !upstream.OwnBase(w.bases, base) {
		return ref, false
	}
	rest = typ + "/" + id
	if versioned {
		rest += "/_history/" + history
	}
	return rest, true
}

// memberName returns the member's name without allocating; nil for an element
// of an array. It reads backwards from the value, which works because the
// document was parsed: before a member's value stand its name and a colon.
func memberName(raw []byte, n resource.Node) []byte {
	start, _ := n.Span()
	before := bytes.TrimRight(raw[:start], " \t\r\n")
	if len(before) == 0 || before[len(before)-1] != ':' {
		return nil
	}
	before = bytes.TrimRight(before[:len(before)-1], " \t\r\n")
	if len(before) < 2 {
		return nil
	}
	end := len(before) - 1
	open := bytes.LastIndexByte(before[:end], '"')
	if open < 0 || bytes.IndexByte(before[open:end], '\\') >= 0 || (open > 0 && before[open-1] == '\\') {
		return []byte(n.Name()) // written with escapes
	}
	return before[open+1 : end]
}

// Form gives a resource as a system has it in the form in which it appears
// here. It asks nobody and stores nothing: it is for looking at what was.
func (b *Broker) Form(key string, r *resource.Resource) (*resource.Resource, error) {
	s, ok := b.systems[key]
	if !ok {
		return nil, fmt.Errorf("broker: there is no system %q", key)
	}
	e, err := b.rewriter(s).entry(upstream.Item{Resource: r})
	return e.Resource, err
}
