package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// A report is what a run found, for people (Markdown) or as JSON.
type report struct {
	Machine  []string `json:"machine"`
	Short    bool     `json:"short"` // too short for figures
	Took     string   `json:"took"`
	Tables   []*table `json:"tables"`
	Targets  []target `json:"targets"`
	Profiles []string `json:"profiles,omitempty"` // where CPU profiles lie
}

// A table is one part of the report.
type table struct {
	Title   string   `json:"title"`
	Notes   []string `json:"notes,omitempty"`
	First   string   `json:"first"` // heading of the first column
	Columns []column `json:"columns"`
	Lines   []line   `json:"lines"`
	section bool     // of a part of a chapter: a smaller heading, as docs/performance.md has it
}

type column struct {
	Name     string `json:"name"` // with its unit
	Decimals int    `json:"-"`
}

type line struct {
	Name   string   `json:"name"`
	Values []number `json:"values"`
}

// A number is a float that may be missing: NaN, written as null or "–".
type number float64

var missing = number(math.NaN())

func (n number) known() bool { return !math.IsNaN(float64(n)) }

// MarshalJSON writes null for a missing number.
func (n number) MarshalJSON() ([]byte, error) {
	if !n.known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// A target is a goal of the project held against what was measured.
type target struct {
	What     string `json:"what"`
	Goal     string `json:"goal"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
}

func (r *report) table(title, first string, columns ...column) *table {
	t := &table{Title: title, First: first, Columns: columns}
	r.Tables = append(r.Tables, t)
	return t
}

// section is a table that stands below the heading of a chapter with others.
func (r *report) section(title, first string, columns ...column) *table {
	t := r.table(title, first, columns...)
	t.section = true
	return t
}

func (t *table) add(name string, values ...number) {
	t.Lines = append(t.Lines, line{name, values})
}

func (t *table) note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

func (r *report) goal(what, goal string, met bool, measured string, args ...any) {
	r.Targets = append(r.Targets, target{what, goal, fmt.Sprintf(measured, args...), met})
}

// write prints the report as Markdown.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	for _, m := range r.Machine {
		fmt.Fprintf(&b, "- %s\n", m)
	}
	fmt.Fprintf(&b, "- the run took %s\n", r.Took)
	if r.Short {
		b.WriteString("\nA SMOKE TEST: the answers were checked; the figures are too short to mean anything.\n")
	}
	for _, t := range r.Tables {
		t.write(&b)
	}
	if len(r.Targets) > 0 {
		rows := [][]string{{"target", "goal", "measured", "met"}}
		for _, t := range r.Targets {
			rows = append(rows, []string{t.What, t.Goal, t.Measured, map[bool]string{true: "yes", false: "**no**"}[t.Met]})
		}
		b.WriteString("\n### Targets\n\n")
		grid(&b, rows, 4)
	}
	for _, p := range r.Profiles {
		fmt.Fprintf(&b, "\nCPU profile: `go tool pprof -top -cum %s`\n", p)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) write(b *strings.Builder) {
	level := "###"
	if t.section {
		level = "####"
	}
	fmt.Fprintf(b, "\n%s %s\n\n", level, t.Title)
	head := []string{t.First}
	for _, c := range t.Columns {
		head = append(head, c.Name)
	}
	rows := [][]string{head}
	for _, l := range t.Lines {
		row := []string{l.Name}
		for i, v := range l.Values {
			row = append(row, v.text(t.Columns[i].Decimals))
		}
		rows = append(rows, row)
	}
	grid(b, rows, 1)
	for _, n := range t.Notes {
		fmt.Fprintf(b, "\n%s\n", n)
	}
}

// text writes a number with thousands apart.
func (n number) text(decimals int) string {
	if !n.known() {
		return "–"
	}
	s := fmt.Sprintf("%.*f", decimals, float64(n))
	sign, whole, frac := "", s, ""
	if strings.HasPrefix(s, "-") {
		sign, whole = "-", s[1:]
	}
	if i := strings.IndexByte(whole, '.'); i >= 0 {
		whole, frac = whole[:i], whole[i:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + frac
}

// grid writes rows as a Markdown table; the first left columns are flush left.
func grid(b *strings.Builder, rows [][]string, left int) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c), 3)
		}
	}
	for n, r := range rows {
		b.WriteByte('|')
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i < left {
				fmt.Fprintf(b, " %s%s |", c, pad)
			} else {
				fmt.Fprintf(b, " %s%s |", pad, c)
			}
		}
		b.WriteByte('\n')
		if n > 0 {
			continue
		}
		b.WriteByte('|')
		for i, w := range width {
			if i < left {
				b.WriteString(strings.Repeat("-", w+2) + "|")
			} else {
				b.WriteString(strings.Repeat("-", w+1) + ":|")
			}
		}
		b.WriteByte('\n')
	}
}

// median of what is not missing; missing if nothing is left.
func median(vs []number) number {
	s := slices.DeleteFunc(slices.Clone(vs), func(v number) bool { return !v.known() })
	if len(s) == 0 {
		return missing
	}
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// pairwise applies f to what was measured in the same round.
func pairwise(a, b []number, f func(a, b number) number) []number {
	out := make([]number, min(len(a), len(b)))
	for i := range out {
		out[i] = f(a[i], b[i])
	}
	return out
}

func ratio(a, b number) number {
	if b == 0 {
		return missing
	}
	return a / b
}

func difference(a, b number) number { return a - b }

// span is the median of ratios with the smallest and the largest.
func span(vs []number) string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(vs), slices.Min(vs), slices.Max(vs))
}
