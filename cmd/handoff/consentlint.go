package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/gateway/consentform"
	"github.com/handoff-health/handoff/gateway/whatif"
)

// A placedConsent is a Consent with where it stands in its file.
type placedConsent struct {
	node     resource.Node
	start    int               // bytes from the start of the file
	resolves func(string) bool // nil: nothing came with it
}

// A lintReport is what is said of one Consent.
type lintReport struct {
	File     string                `json:"file"`
	Line     int                   `json:"line"`
	Column   int                   `json:"column"`
	Consent  string                `json:"consent,omitempty"`
	Findings []placedFinding       `json:"findings"`
	Elements []consentform.Element `json:"elements"`
	Opens    []whatif.Matrix       `json:"opens"`
}

type placedFinding struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	consentform.Finding
}

// input lints the Consents of one file.
func (l *consentLinter) input(out io.Writer, name string, raw []byte) error {
	raw = bytes.TrimPrefix(raw, []byte("\xEF\xBB\xBF"))
	found, err := consentsIn(raw)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("there is no Consent")
	}
	for _, p := range found {
		if err := l.one(out, name, raw, p); err != nil {
			return err
		}
	}
	return nil
}

// consentsIn finds the Consents of a file: one, an array, a Bundle or NDJSON.
func consentsIn(raw []byte) ([]placedConsent, error) {
	doc, err := resource.ParseDocument(raw)
	if err == nil {
		return consentsOf(doc.Root(), 0), nil
	}
	if !manyLines(raw) {
		return nil, err
	}
	var out []placedConsent
	at := 0
	for line := range bytes.Lines(raw) {
		if len(bytes.TrimSpace(line)) > 0 {
			doc, err := resource.ParseDocument(line)
			if err != nil {
				return nil, moved(err, 1+bytes.Count(raw[:at], []byte{'\n'}))
			}
			out = append(out, consentsOf(doc.Root(), at)...)
		}
		at += len(line)
	}
	return out, nil
}

// manyLines says whether the bytes look like NDJSON: the first line is a
// document by itself.
func manyLines(raw []byte) bool {
	first, rest, ok := bytes.Cut(bytes.TrimSpace(raw), []byte{'\n'})
	if !ok || len(bytes.TrimSpace(rest)) == 0 {
		return false
	}
	_, err := resource.ParseDocument(first)
	return err == nil
}

// moved gives a syntax error of one line its line in the file.
func moved(err error, line int) error {
	var se *resource.SyntaxError
	if !errors.As(err, &se) {
		return err
	}
	c := *se
	c.Line = line
	return &c
}

func consentsOf(root resource.Node, base int) []placedConsent {
	start, _ := root.Span()
	switch {
	case root.Kind() == resource.Array:
		var out []placedConsent
		for e := range root.Elements() {
			out = append(out, consentsOf(e, base)...)
		}
		return out
	case root.Get("resourceType").Is("Bundle"):
		return consentsOfBundle(root, base)
	case root.Get("resourceType").Is("Consent"):
		return []placedConsent{{node: root, start: base + start}}
	}
	return nil
}

func consentsOfBundle(b resource.Node, base int) []placedConsent {
	there := map[string]bool{}
	for e := range b.All("entry") {
		r := e.Get("resource")
		there[e.Get("fullUrl").Text()] = true
		there[r.Get("resourceType").Text()+"/"+r.Get("id").Text()] = true
	}
	resolves := func(ref string) bool {
		if there[ref] {
			return true
		}
		_, typ, id, ok := resource.SplitReference(ref)
		return ok && there[typ+"/"+id]
	}
	var out []placedConsent
	for e := range b.All("entry") {
		for _, p := range consentsOf(e.Get("resource"), base) {
			if p.resolves == nil {
				p.resolves = resolves
			}
			out = append(out, p)
		}
	}
	return out
}

func (l *consentLinter) one(out io.Writer, name string, raw []byte, p placedConsent) error {
	line, column := consentform.Place(raw, p.start)
	r, err := resource.Parse(p.node.Raw())
	if err != nil {
		return fmt.Errorf("%d:%d: %w", line, column, err)
	}
	rep := lintReport{File: name, Line: line, Column: column, Findings: []placedFinding{}, Elements: consentform.Elements(r)}
	if r.ID() != "" {
		rep.Consent = r.Reference()
	}
	findings := invalid(r)
	findings = append(findings, consentform.Lint(r, consentform.Options{At: l.when, Resolves: p.resolves})...)
	for _, f := range findings {
		fl, fc := consentform.Place(raw, p.start+f.Offset)
		rep.Findings = append(rep.Findings, placedFinding{fl, fc, f})
		if f.Severity == outcome.Failure {
			l.bad++
		}
	}
	if rep.Opens, err = l.foresee(r); errors.Is(err, whatif.ErrTooLarge) {
		rep.Opens = []whatif.Matrix{}
		rep.Findings = append(rep.Findings, placedFinding{line, column, consentform.Finding{
			Severity: outcome.Warning, Rule: "too-large", At: "Consent", Text: "what it would open is not shown: " + err.Error(),
		}})
	} else if err != nil {
		return fmt.Errorf("%d:%d: %w", line, column, err)
	}
	if l.json {
		return json.NewEncoder(out).Encode(rep)
	}
	rep.write(out)
	return nil
}

// invalid lists what is not FHIR R4.
func invalid(r *resource.Resource) []consentform.Finding {
	var out []consentform.Finding
	for _, is := range validate.Resource(r) {
		out = append(out, consentform.Finding{Severity: is.Severity, Rule: "not-fhir", Text: is.Diagnostics, At: is.Expression, Offset: is.Offset})
	}
	return out
}

// write puts the report into words.
func (r *lintReport) write(out io.Writer) {
	title := r.Consent
	if title == "" {
		title = "Consent"
	}
	fmt.Fprintf(out, "%s:%d:%d: %s\n", r.File, r.Line, r.Column, title)
	for _, f := range r.Findings {
		cite := ""
		if f.Citation != "" {
			cite = " [" + f.Citation + "]"
		}
		fmt.Fprintf(out, "%s:%d:%d: %s: %s: %s (%s)%s\n", r.File, f.Line, f.Column, f.Severity, f.At, f.Text, f.Rule, cite)
	}
	if len(r.Elements) > 0 {
		fmt.Fprintln(out, "  elements of 42 CFR 2.31 and 45 CFR 164.508:")
	}
	for _, e := range r.Elements {
		means := ""
		if e.State == consentform.Missing || e.State == consentform.Review {
			means = ": " + e.Means
		}
		fmt.Fprintf(out, "    %-10s %s (%s)%s\n", e.State, strings.ReplaceAll(e.Name, "-", " "), e.Citation, means)
	}
	tabled(out, r.Opens)
}
