package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings/field"
	"github.com/handoff-health/handoff/mappings/tree"
)

// facts are what expressions see as source.
type facts struct {
	Software string // adapter and mapping with version
	Mapping  string // mapping and sender with their versions, and what their files hold: see Map.Identity
	Record   string // hash of the file and line, or of the record
	Place    string // file and line, for people
	Received string // instant; "" if not told
}

func (r *run) facts() facts {
	f := facts{Software: "Handoff mapping " + r.m.Name + " " + r.m.Version, Place: r.opts.Source.Name}
	if r.opts.Source.Adapter != "" {
		f.Software = "Handoff adapter " + r.opts.Source.Adapter + ", mapping " + r.m.Name + " " + r.m.Version
	}
	f.Mapping = r.m.Identity()
	if f.Record = r.opts.Source.SHA256; f.Record == "" {
		f.Record = r.rec.SHA256
	}
	if f.Record == "" {
		sum := sha256.Sum256(r.rec.Raw)
		f.Record = hex.EncodeToString(sum[:])
	}
	if r.rec.Pos.Line > 0 {
		f.Record += fmt.Sprintf("#L%d", r.rec.Pos.Line)
		if f.Place != "" {
			f.Place += fmt.Sprintf(":%d", r.rec.Pos.Line)
		}
	}
	if !r.opts.Received.IsZero() {
		f.Received = resource.FormatInstant(r.opts.Received)
	}
	return f
}

// environment fills the names that expressions see.
func (r *run) environment() {
	r.env = make(map[string]any, len(r.m.shape.columns)+len(r.m.lets)+12)
	for _, c := range r.m.shape.columns {
		r.env[c] = ""
	}
	if r.m.shape.columns != nil {
		for _, n := range slices.Backward(r.rec.Root.Children) { // of two columns of one name the first counts
			if _, known := r.env[n.Name]; known {
				r.env[n.Name] = trim(n.Text)
			}
		}
	}
	r.env["profile"] = r.m.profile
	r.bounded(r.env)
	r.env["kind"] = r.rec.Kind
	r.env["text"] = r.textOf
	r.env["has"] = func(p string) bool { return r.textOf(p) != "" }
	r.env["count"] = func(p string) int { return len(r.find(r.m.paths[p])) }
	r.env["segments"] = func(name string) int {
		n := 0
		for _, c := range r.segmentsOf(name) {
			if c.Name == name {
				n++
			}
		}
		return n
	}
	r.env["code"] = r.codeOf
	r.env["mapped"] = func(v, code string) bool { _, known := r.m.vocabularies[v].lookup(code); return known }
	r.env["texts"] = r.textsAt
	r.env["pick"] = r.pick
	r.env["places"], r.env["innermost"] = r.places, r.innermost
	r.env["clinicians"], r.env["restrictions"] = r.clinicians, r.restrictions
	r.env["targets"] = r.targetsOf
	r.env["known"] = r.known
	r.env["source"] = r.facts()
	r.env["reference"] = func(typ, system, key string) string { return typ + "/" + r.opts.IDs(typ, system, key) }
	r.env["token"] = func(system, value string) string { return r.opts.IDs("token", system, value) }
}

func (r *run) find(p *recordPath) []*tree.Node {
	root := r.rec.Root
	if p.hl7 && !p.relative {
		root = r.rootOf(p.names[0])
	}
	r.nodes = p.find(r, root, r.item, r.nodes[:0])
	return r.nodes
}

// textOf is the text of the first node at a path that has one.
func (r *run) textOf(p string) string {
	for _, n := range r.find(r.m.paths[p]) {
		if s := trim(leaf(n)); s != "" {
			return s
		}
	}
	return ""
}

// textsAt are the texts at a path, of all repetitions.
func (r *run) textsAt(p string) []string {
	var out []string
	for _, n := range r.find(r.m.paths[p]) {
		if s := trim(leaf(n)); s != "" && len(out) < maxResources {
			out = append(out, s)
		}
	}
	return out
}

// A Picked is one repetition of an HL7 v2 identifier (CX) in parts.
type Picked struct {
	Value, Type                           string
	Namespace, UniversalID, UniversalType string // of the assigning authority
}

// pick chooses among the repetitions of an identifier field the first of the
// type, else the first that is not a social security number.
func (r *run) pick(p, typ string) Picked {
	var first Picked
	for _, n := range r.find(r.m.paths[p]) {
		authority := n.First("4")
		c := Picked{
			Value: trim(leaf(n.Part("1"))), Type: trim(leaf(n.First("5"))),
			Namespace: trim(leaf(authority.Part("1"))), UniversalID: trim(leaf(authority.First("2"))), UniversalType: trim(leaf(authority.First("3"))),
		}
		switch {
		case c.Value == "" || c.Type == "SS" && typ != "SS":
		case c.Type == typ && typ != "":
			return c
		case first.Value == "":
			first = c
		}
	}
	return first
}

func (r *run) codeOf(vocabulary, code string) string {
	targets, known := r.m.vocabularies[vocabulary].lookup(code)
	if !known {
		r.unmapped(vocabulary, code)
	}
	if len(targets) == 0 {
		return ""
	}
	return targets[0].Code
}

func (r *run) targetsOf(vocabulary string, codes any) []Target {
	var out []Target
	for _, code := range textsOf(codes) {
		targets, known := r.m.vocabularies[vocabulary].lookup(code)
		if !known {
			r.unmapped(vocabulary, code)
		}
		for _, t := range targets {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

// textsOf reads one text or a list: a list written out in an expression has
// items of any type.
func textsOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, text(item))
		}
		return out
	}
	return nil
}

// known keeps the codes that a vocabulary has, counting nothing.
func (r *run) known(vocabulary string, codes any) []string {
	var out []string
	for _, code := range textsOf(codes) {
		if _, ok := r.m.vocabularies[vocabulary].lookup(code); ok {
			out = append(out, code)
		}
	}
	return out
}

// unmapped counts a code that a vocabulary lacks.
func (r *run) unmapped(vocabulary, code string) {
	if trim(code) == "" {
		return
	}
	if field.CriminalHistory(code) {
		code = "[withheld]"
	}
	if len(code) > maxCode {
		code = strings.ToValidUTF8(code[:maxCode], "") + "…"
	}
	u := Unmapped{Field: r.field, Vocabulary: vocabulary, Code: code, Pos: r.position(r.field)}
	if len(r.result.Unmapped) >= maxResources || slices.Contains(r.result.Unmapped, u) {
		return
	}
	r.result.Unmapped = append(r.result.Unmapped, u)
	r.issue(Warning, "code-unmapped", r.field, "the vocabulary "+vocabulary+" has no row for the code")
}
