package csv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

func fold(s string) string { return mappings.FoldHeader(s) }

// schema finds columns by the names of a header.
type schema struct {
	columns []adapters.Field
	byName  map[string]int // folded name or alias → index in columns
}

func newSchema(columns []adapters.Field, aliases map[string]string) *schema {
	s := &schema{columns: slices.Clone(columns), byName: map[string]int{}}
	for i, c := range columns {
		s.byName[fold(c.Name)] = i
	}
	for i, c := range columns {
		for _, a := range c.Aliases {
			if _, taken := s.byName[fold(a)]; !taken {
				s.byName[fold(a)] = i
			}
		}
	}
	for from, to := range aliases {
		i, ok := s.byName[fold(to)]
		if !ok {
			s.columns = append(s.columns, adapters.Field{Name: to})
			i = len(s.columns) - 1
			s.byName[fold(to)] = i
		}
		s.byName[fold(from)] = i
	}
	return s
}

// score is the number of different known columns that the cells name.
func (s *schema) score(cells []cell) int {
	seen := map[int]bool{}
	for _, c := range cells {
		if i, ok := s.byName[fold(c.text)]; ok {
			seen[i] = true
		}
	}
	return len(seen)
}

// isHeader says whether the cells are a header: most known columns are named, or
// all required ones; without known columns, a row of different words.
func (s *schema) isHeader(cells []cell) bool {
	if len(s.columns) == 0 {
		return looksLikeHeader(cells)
	}
	n := s.score(cells)
	required, found := 0, 0
	for i, c := range s.columns {
		if !c.Required {
			continue
		}
		required++
		for _, x := range cells {
			if j, ok := s.byName[fold(x.text)]; ok && i == j {
				found++
				break
			}
		}
	}
	filled := 0
	for _, c := range cells {
		if strings.TrimSpace(c.text) != "" {
			filled++
		}
	}
	if n < 2 && filled > 1 || n == 0 {
		return false
	}
	// At least half of what the row says must be known names, or half of the
	// known names must stand there.
	return required > 0 && found == required || 2*n >= filled || 2*n >= len(s.columns)
}

// looksLikeHeader judges without any known name: two cells or more, no two
// alike, each with a letter and none that begins like a number or a date.
func looksLikeHeader(cells []cell) bool {
	seen := map[string]bool{}
	for _, c := range cells {
		name := fold(c.text)
		if name == "" || seen[name] || name[0] >= '0' && name[0] <= '9' {
			return false
		}
		seen[name] = true
	}
	return len(cells) >= 2
}

// header is the header row of a file.
type header struct {
	names   []string // of the columns, as records name them
	folds   []string
	own     map[string]bool // the columns as like knows them
	lacking string          // required columns that are not there: no row can be used
}

// bind reads the header row: names for the columns, and findings about columns
// that are unknown, unnamed, doubled or missing. missing lists required ones.
func (s *schema) bind(cells []cell, pos tree.Position) (h *header, issues []mappings.Issue, missing []string) {
	h = &header{}
	have := map[string]bool{}
	note := func(sev mappings.Severity, code, field string, column int, format string, args ...any) {
		at := pos
		at.Path, at.Column = field, column
		issues = append(issues, mappings.Issue{Severity: sev, Code: code, Field: field, Pos: at, Message: fmt.Sprintf(format, args...)})
	}
	for i, c := range cells {
		name := strings.TrimSpace(strings.Trim(c.text, "\uFEFF"))
		f := fold(name)
		known := -1
		if j, ok := s.byName[f]; ok {
			known, name = j, s.columns[j].Name
		}
		switch {
		case f == "":
			name = fmt.Sprintf("column %d", i+1)
			note(mappings.Warning, "unnamed-column", name, i+1, "column %d has no name in the header", i+1)
		case have[name]:
			note(mappings.Warning, "duplicate-column", name, i+1, "the header names this column twice; the first one counts")
		case known < 0 && len(s.columns) > 0:
			note(mappings.Information, "unknown-column", name, i+1, "the mapping does not know this column")
		}
		have[name] = true
		h.names = append(h.names, name)
		h.folds = append(h.folds, fold(c.text))
	}
	for _, c := range s.columns {
		switch {
		case have[c.Name]:
		case c.Required:
			missing = append(missing, c.Name)
		default:
			note(mappings.Warning, "missing-column", c.Name, 0, "the file does not have this column")
		}
	}
	return h, issues, missing
}

// column is the name by which records call a cell of a header.
func (s *schema) column(text string) string {
	f := fold(text)
	if i, ok := s.byName[f]; ok {
		return fold(s.columns[i].Name)
	}
	return f
}

// repeats says whether the cells are the header once more: the same columns in
// the same places, perhaps cut at the end.
func (h *header) repeats(s *schema, cells []cell) bool {
	if len(cells) < 2 && len(h.names) > 1 || len(cells) > len(h.names) && !isBlank(cells[len(h.names):]) {
		return false
	}
	same := 0
	for i, c := range cells {
		switch f := s.column(c.text); {
		case f == "":
		case i < len(h.folds) && f == s.column(h.folds[i]):
			same++
		default:
			return false
		}
	}
	return same > 0 && 2*same >= len(h.folds)
}

// like says whether the cells are a header, perhaps another one: nearly all of
// them are names of columns, no two the same, and they are most of the columns
// or all that are required.
func (h *header) like(s *schema, cells []cell) bool {
	if h.own == nil {
		h.own = make(map[string]bool, len(h.folds))
		for _, f := range h.folds {
			h.own[s.column(f)] = true
		}
	}
	seen := map[string]bool{}
	filled, known := 0, 0
	for _, c := range cells {
		f := s.column(c.text)
		if f == "" {
			continue
		}
		filled++
		_, named := s.byName[f]
		if (named || h.own[f]) && !seen[f] {
			known++
		} else if 5*(filled-known) > len(cells) { // however the rest is, as of nearly every row
			return false
		}
		seen[f] = true
	}
	if filled < 2 || 5*known < 4*filled {
		return false
	}
	required, found := 0, 0
	for _, c := range s.columns {
		if c.Required {
			required++
			if seen[fold(c.Name)] {
				found++
			}
		}
	}
	return 2*known >= len(h.folds) || required > 1 && found == required
}
