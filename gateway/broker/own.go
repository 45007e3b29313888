package broker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// places are the bases as they may be written: in lower case, and with the
// default port.
func places(bases []string) []string {
	var out []string
	for _, b := range bases {
		b = lower(strings.TrimRight(b, "/"))
		if b == "" {
			continue
		}
		out = append(out, b)
		u, err := url.Parse(b)
		if err != nil || u.Host == "" {
			continue
		}
		port := map[string]string{"https": "443", "http": "80"}[u.Scheme]
		switch {
		case port == "":
		case u.Port() == "":
			out = append(out, strings.Replace(b, u.Host, u.Host+":"+port, 1))
		case u.Port() == port:
			out = append(out, strings.Replace(b, u.Host, u.Hostname(), 1))
		}
	}
	return out
}

// lower is strings.ToLower for ASCII alone, so that no length changes.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// isOwn says whether a string leads to the system.
func (w *rewriter) isOwn(n resource.Node) bool {
	if !mayLead(n) {
		return false
	}
	_, some := w.own(n.Text(), true)
	return some
}

// mayLead says whether a string can hold a URL, without decoding it.
func mayLead(n resource.Node) bool {
	raw := n.Raw()
	return bytes.Contains(raw, []byte("://")) || bytes.IndexByte(raw, '\\') >= 0
}

// rename changes the URLs of the system in a string.
func (w *rewriter) rename(edit *resource.Editor, n resource.Node, name bool) {
	if !mayLead(n) {
		return
	}
	if s, some := w.own(n.Text(), name); some {
		edit.Replace(n, resource.Quote(s))
	}
}

// own replaces each URL on a base of the system. In a text, one that leads to a
// resource becomes the reference to it here. Any other, and a string that is
// nothing but a URL where a name is meant, becomes a URN that is the same for
// the same URL.
func (w *rewriter) own(s string, name bool) (string, bool) {
	if !strings.Contains(s, "://") {
		return s, false
	}
	s = strings.ToValidUTF8(s, "?")
	name = name && !strings.ContainsAny(s, " \t\r\n")
	folded := lower(s)
	var out strings.Builder
	done, from := 0, 0
	for {
		at, size := w.next(folded[from:])
		if size == 0 {
			break
		}
		at += from
		end := at + size + urlLength(s[at+size:])
		out.WriteString(s[done:at])
		out.WriteString(w.stand(s[at:end], name))
		done, from = end, end
	}
	if done == 0 {
		return s, false
	}
	out.WriteString(s[done:])
	return out.String(), true
}

// next finds the first base in a text; size is 0 if there is none.
func (w *rewriter) next(folded string) (at, size int) {
	for _, p := range w.places {
		for from := 0; ; {
			i := strings.Index(folded[from:], p)
			if i < 0 {
				break
			}
			i += from
			from = i + len(p)
			if from < len(folded) && strings.IndexByte("abcdefghijklmnopqrstuvwxyz0123456789-_~%:.", folded[from]) >= 0 && !endsSentence(folded[from:]) {
				continue // another host or path that begins the same
			}
			if size == 0 || i < at || i == at && len(p) > size {
				at, size = i, len(p)
			}
			break
		}
	}
	return at, size
}

// endsSentence says whether what follows a base is a stop and not more of a URL.
func endsSentence(rest string) bool {
	return strings.IndexByte(".:", rest[0]) >= 0 && (len(rest) == 1 || strings.IndexByte(" \t\r\n<\"')", rest[1]) >= 0)
}

// urlLength is how far a URL goes on in a text.
func urlLength(rest string) int {
	end := strings.IndexAny(rest, " \t\r\n\"'<>()[]{}\\^`")
	if end < 0 {
		end = len(rest)
	}
	return len(strings.TrimRight(rest[:end], ".,;:!?"))
}

func (w *rewriter) stand(target string, name bool) string {
	if !name {
		path, _, _ := strings.Cut(target, "#")
		path, _, _ = strings.Cut(path, "?")
		if ref, ok := w.reference(path); ok {
			return ref
		}
	}
	rest, version, versioned := strings.Cut(target, "|")
	sum := sha256.Sum256([]byte(rest))
	// The keyed hash of ids, so that nobody can try addresses out.
	opaque, ok := w.hash("Basic", hex.EncodeToString(sum[:]))
	if !ok {
		return "urn:handoff:name"
	}
	out := "urn:handoff:name:" + opaque
	if versioned && name {
		out += "|" + version
	}
	return out
}
