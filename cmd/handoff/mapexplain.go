package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// An explainer prints where the elements of records come from.
type explainer struct {
	adapter, profile, mapping string
	line, record              int
	element                   string
	values, asJSON            bool

	out io.Writer
	m   *mappings.Map
}

func newMapExplainCommand() *cobra.Command {
	var f explainer
	cmd := &cobra.Command{
		Use:   "explain [--adapter NAME] [--mapping FILE] [--profile FILE] [--line N] FILE",
		Short: "Tell which row and which input each element comes from",
		Long: `Map the records of a file, or of standard input (-), and print for each element
of the output the row of the mapping file that set it (and, of a row of a data
type, the row that uses it), and the places in the input that the row read: line
and column, HL7 field, path. A record that is rejected is printed with its
reason. The record's values are not printed unless --values is given.

--line and --record choose one record, --element those elements whose name
begins so: Patient, Encounter.period.`,
		Example: `  handoff map explain --adapter rms/csv --line 2 export.csv
  handoff map explain --adapter ehr/hl7v2 --element Encounter.status message.hl7
  handoff map explain --profile our.profile.yaml --json export.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("map explain takes one file, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().StringVarP(&f.adapter, "adapter", "a", "", "format of the records: "+adapterNames())
	cmd.Flags().StringVarP(&f.profile, "profile", "p", "", "profile of the sender (default: the one of the mapping)")
	cmd.Flags().StringVarP(&f.mapping, "mapping", "m", "", "mapping file (default: the one of the profile or the adapter)")
	cmd.Flags().IntVar(&f.line, "line", 0, "only the record that starts on this line")
	cmd.Flags().IntVar(&f.record, "record", 0, "only the record of this number, from 1")
	cmd.Flags().StringVar(&f.element, "element", "", "only elements that begin so: Patient.name")
	cmd.Flags().BoolVar(&f.values, "values", false, "print the values of the output, too")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "one JSON object a record")
	return cmd
}

func (f *explainer) run(cmd *cobra.Command, args []string) error {
	fd, err := chosenFeed(f.mapping, f.profile, f.adapter)
	if err != nil {
		return err
	}
	paths, err := inputs(cmd, args)
	if err != nil {
		return err
	}
	name := paths[0].Name
	in, closer, err := paths[0].Open()
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	src, err := fd.format.Open(cmd.Context(), in, fd.options)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	out := bufio.NewWriter(cmd.OutOrStdout())
	f.out, f.m = out, fd.mapping
	shown, err := f.source(cmd.Context(), src)
	err = errors.Join(err, out.Flush())
	switch {
	case err != nil || shown > 0:
		return err
	case f.line > 0:
		return fmt.Errorf("%s: no record starts on line %d", name, f.line)
	case f.record > 0:
		return fmt.Errorf("%s: there is no record %d", name, f.record)
	}
	return fmt.Errorf("%s: no record could be read", name)
}

func (f *explainer) source(ctx context.Context, src adapters.Source) (shown int, err error) {
	for n := 1; ; {
		item, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			return shown, nil
		}
		if err != nil {
			return shown, err
		}
		if item.Kind != adapters.Data && item.Kind != adapters.Rejected {
			continue
		}
		number := n
		n++
		if f.line > 0 && item.Pos.Line != f.line || f.record > 0 && number != f.record {
			continue
		}
		res := &mappings.Result{Issues: item.Issues}
		if item.Kind == adapters.Data {
			res = flow.Apply(f.m, item.Record, mappings.Options{Trace: true, Source: mappings.Source{Name: item.Pos.Source}})
			res.Issues = slices.Concat(item.Issues, res.Issues)
		}
		shown++
		if err := f.explain(item, res); err != nil {
			return shown, err
		}
	}
}

// A tracedElement is a value with where it comes from.
type tracedElement struct {
	Resource string   `json:"resource"`
	Element  string   `json:"element"`
	Row      string   `json:"row"`
	Via      string   `json:"via,omitempty"`
	From     []string `json:"from"`
	Value    string   `json:"value,omitempty"`
}

// An explainedIssue is a finding without any value of the record.
type explainedIssue struct {
	Severity mappings.Severity `json:"severity"`
	Code     string            `json:"code"`
	Field    string            `json:"field,omitempty"`
	Message  string            `json:"message"`
}

// An explainedRecord is one record as --json prints it.
type explainedRecord struct {
	Source   string           `json:"source"`
	Line     int              `json:"line"`
	Action   string           `json:"action"`
	Reason   string           `json:"reason,omitempty"`
	Mapping  string           `json:"mapping"`
	Elements []tracedElement  `json:"elements"`
	Unmapped []string         `json:"unmapped,omitempty"`
	Issues   []explainedIssue `json:"issues,omitempty"`
}

func (f *explainer) told(item adapters.Item, res *mappings.Result) explainedRecord {
	x := explainedRecord{Source: item.Pos.Source, Line: item.Pos.Line, Action: res.Action.String(), Reason: res.Reason,
		Mapping: f.m.Name + " " + f.m.Version, Elements: []tracedElement{}}
	values := map[string]any{}
	for i := range res.Resources {
		if r := &res.Resources[i]; f.values {
			var doc any
			if json.Unmarshal(r.Raw, &doc) == nil {
				values[r.Type+"/"+r.ID] = doc
			}
		}
	}
	for _, t := range res.Trace {
		typ, _, _ := strings.Cut(t.Resource, "/")
		if !strings.HasPrefix(typ+"."+t.Element, f.element) {
			continue
		}
		e := tracedElement{Resource: t.Resource, Element: t.Element, Row: t.Row, Via: t.Via, From: places(t)}
		if f.values {
			e.Value = valueAt(values[t.Resource], t.Element)
		}
		x.Elements = append(x.Elements, e)
	}
	for _, u := range res.Unmapped {
		text := place(u.Pos)
		if u.Vocabulary != "" {
			text += " (vocabulary " + u.Vocabulary + ")"
		}
		if !slices.Contains(x.Unmapped, text) {
			x.Unmapped = append(x.Unmapped, text)
		}
	}
	for _, is := range res.Issues {
		x.Issues = append(x.Issues, explainedIssue{is.Severity, is.Code, is.Field, is.Message})
	}
	return x
}

// explain prints one record: what became of it, its elements, findings.
func (f *explainer) explain(item adapters.Item, res *mappings.Result) error {
	x := f.told(item, res)
	if f.asJSON {
		raw, err := json.Marshal(x)
		if err == nil {
			_, err = f.out.Write(append(raw, '\n'))
		}
		return err
	}
	w := tabwriter.NewWriter(f.out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s:%d: %s %s\n", x.Source, x.Line, x.Action, x.Reason)
	current := ""
	for _, e := range x.Elements {
		if e.Resource != current {
			current = e.Resource
			fmt.Fprintf(w, "  %s\n", current)
		}
		row := e.Row
		if e.Via != "" {
			row += " (by " + e.Via + ")"
		}
		from := strings.Join(e.From, ", ")
		if len(e.From) == 0 {
			from = "(constant)"
		}
		fmt.Fprintf(w, "    %s\t%s\t%s\t%s\n", e.Element, row, from, e.Value)
	}
	for _, u := range x.Unmapped {
		fmt.Fprintf(w, "  unmapped %s\n", u)
	}
	for _, is := range x.Issues {
		fmt.Fprintf(w, "  %s %s %s: %s\n", is.Severity, is.Code, is.Field, is.Message)
	}
	return w.Flush()
}

// places lists the inputs of an element, each once.
func places(t mappings.Trace) []string {
	var s []string
	for _, p := range t.Inputs {
		if at := place(p); !slices.Contains(s, at) {
			s = append(s, at)
		}
	}
	return s
}

// place is the format's own address with line and column, without the file.
func place(p tree.Position) string {
	if p.Path == "" {
		return p.String()
	}
	switch {
	case p.Line > 0 && p.Column > 0:
		return fmt.Sprintf("%s (%d:%d)", p.Path, p.Line, p.Column)
	case p.Line > 0:
		return fmt.Sprintf("%s (line %d)", p.Path, p.Line)
	}
	return p.Path
}

// valueAt is the JSON of the value at an element's path, "" if it is not there.
func valueAt(v any, element string) string {
	for _, part := range strings.Split(element, ".") {
		name, rest, _ := strings.Cut(part, "[")
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[name]
		if rest == "" {
			continue
		}
		var i int
		list, ok := v.([]any)
		if n, err := fmt.Sscanf(rest, "%d]", &i); !ok || n != 1 || err != nil || i >= len(list) {
			return ""
		}
		v = list[i]
	}
	if v == nil {
		return ""
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}
