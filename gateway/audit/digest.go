package audit

import (
	"strconv"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
)

// ContentDigest is the [resource.Digest] of a connected system's resource
// without the white space between its tokens: a system writes one resource
// with other indents alone than in a Bundle.
func ContentDigest(raw []byte) string {
	return resource.Digest(appendCompact(make([]byte, 0, len(raw)), raw))
}

// appendCompact appends JSON without the white space between tokens.
func appendCompact(b, raw []byte) []byte {
	inText, start := false, 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case !inText && (c == ' ' || c == '\n' || c == '\r' || c == '\t'):
			b = append(b, raw[start:i]...)
			start = i + 1
		}
	}
	return append(b, raw[start:]...)
}

// LabelDigest names everything in a resource's labels that a decision can
// depend on, those of its elements with their place. Where two label sets give
// one resource the same digest, the difference between them is none to it.
func LabelDigest(r *resource.Resource, l *label.Labels) string {
	if r == nil || l == nil {
		return ""
	}
	return resource.Digest(appendLabels(make([]byte, 0, 256), r, l))
}

func appendLabels(b []byte, r *resource.Resource, l *label.Labels) []byte {
	b = append(strconv.AppendInt(b, int64(l.Level), 10), '\n')
	for _, list := range [...][]string{l.Sensitivity, l.Law, l.CJI} {
		for _, s := range list {
			b = append(append(b, s...), ' ')
		}
		b = append(b, '\n')
	}
	for _, c := range l.Other {
		b = append(append(append(append(b, c.System...), '|'), c.Code...), ' ')
	}
	for i := range l.Elements {
		b = append(appendPlace(append(b, '\n'), r, l.Elements[i].Node), '{')
		b = append(appendLabels(b, r, &l.Elements[i].Labels), '}')
	}
	return b
}

// appendPlace writes where a node stands, in bytes of the content without white
// space between tokens.
func appendPlace(b []byte, r *resource.Resource, n resource.Node) []byte {
	from, to := n.Span()
	raw := r.Raw()
	first := len(appendCompact(nil, raw[:from]))
	last := first + len(appendCompact(nil, raw[from:to]))
	b = append(strconv.AppendInt(b, int64(first), 10), '-')
	return strconv.AppendInt(b, int64(last), 10)
}

// Removed writes what a decision cuts out, as Judged.Cut has it.
func Removed(r *resource.Resource, d *policy.Decision) string {
	var b []byte
	for i, n := range d.Remove {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendPlace(b, r, n)
	}
	return string(b)
}

// Effect names what policy decided, as Judged.Decision and Judged.Policy have it.
func Effect(e policy.Effect) string {
	switch e {
	case policy.Indeterminate:
		return "indeterminate"
	case policy.NotApplicable:
		return "not-applicable"
	}
	return e.String()
}
