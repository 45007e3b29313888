package csv

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
)

// A wreck is one row of a generated file.
type wreck struct {
	id    string
	line  int
	how   string // "" for a good row
	cells []string
	text  string
}

var notes = []string{"", "calm", "said he was fine, then left", "line one\nline two", "first\n\nthird, with comma", `he said "no" twice`,
	"ends with a quote \"", "a\nb\nc\nd", "\"quoted\"", "5'10\" tall"}

func inQuotes(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// wreckRow writes a row with its note broken in one of the ways exports do it.
func wreckRow(r *rand.Rand, cells []string, note int, how string) string {
	out := make([]string, len(cells))
	for i, c := range cells {
		switch {
		case strings.ContainsAny(c, ",\"\n") || r.IntN(6) == 0:
			out[i] = inQuotes(c)
		default:
			out[i] = c
		}
	}
	flat := strings.ReplaceAll(strings.ReplaceAll(cells[note], "\n", " "), `"`, "")
	switch how {
	case "open":
		out[note] = `"` + flat
	case "open, more lines":
		out[note] = "\"" + flat + "\ngoes on\nand on"
	case "undoubled":
		out[note] = `"` + flat + ` "go", he said"`
	case "undoubled, even":
		out[note] = `"` + flat + ` "go" he said"`
	case "lone closing":
		out[note] = strings.ReplaceAll(flat, ",", "") + `"`
	case "extra column":
		out = append(out, "extra")
	case "cut":
		out = out[:2+r.IntN(note)]
	case "cut in quotes":
		out = append(out[:note:note], `"`+flat)
	}
	return strings.Join(out, ",")
}

func wreckedFile(r *rand.Rand) (text string, fields []adapters.Field, rows []wreck) {
	n := 5 + r.IntN(8)
	note := 2 + r.IntN(n-2)
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("Col%c", 'A'+i))
		fields = append(fields, adapters.Field{Name: names[i], Required: i < 2})
	}
	var b strings.Builder
	b.WriteString(strings.Join(names, ",") + "\n")
	ways := []string{"open", "open, more lines", "undoubled", "undoubled, even", "lone closing", "extra column", "cut", "cut in quotes"}
	line := 2
	for i := range 3 + r.IntN(20) {
		w := wreck{id: fmt.Sprintf("25-%06d", 100000+i), line: line, cells: make([]string, n)}
		for c := range w.cells {
			w.cells[c] = fmt.Sprintf("v%d", r.IntN(100))
		}
		w.cells[0], w.cells[1], w.cells[note] = "ZZ0010100", w.id, notes[r.IntN(len(notes))]
		if r.IntN(3) == 0 {
			w.how = ways[r.IntN(len(ways))]
		}
		w.text = wreckRow(r, w.cells, note, w.how)
		line += 1 + strings.Count(w.text, "\n")
		b.WriteString(w.text + "\n")
		rows = append(rows, w)
	}
	return b.String(), fields, rows
}

var lineRange = regexp.MustCompile(`lines (\d+) to (\d+) could not be told apart`)

// told says what became of a row: the record or the reject on its line, or the
// reject that names its line within a range.
func told(items []adapters.Item, w *wreck) (kind string, it *adapters.Item) {
	for i := range items {
		it := &items[i]
		if it.Pos.Line == w.line && it.Kind == adapters.Data {
			return "record", it
		}
		if it.Pos.Line == w.line && it.Kind == adapters.Rejected {
			return "reject", it
		}
		if it.Kind != adapters.Rejected {
			continue
		}
		if m := lineRange.FindStringSubmatch(it.Issues[0].Message); m != nil {
			from, _ := strconv.Atoi(m[1])
			to, _ := strconv.Atoi(m[2])
			if from <= w.line && w.line <= to {
				return "range", it
			}
		}
	}
	return "lost", nil
}

// Every row of a file with broken quotes is produced, rejected on its own line,
// or within the range of lines that a reject names; a good one is produced as it
// was, unless a broken one before it has made its lines ambiguous.
func TestNoRowIsLostAmongBrokenOnes(t *testing.T) {
	good, kept, ranges := 0, 0, 0
	for seed := range uint64(2000) {
		text, fields, rows := wreckedFile(rand.New(rand.NewPCG(seed, 7)))
		items, err := readAll(t, text, adapters.Options{Fields: fields})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		for i := range rows {
			w := &rows[i]
			kind, it := told(items, w)
			if kind == "lost" {
				t.Errorf("seed %d: line %d (%s) is lost\n%s\n%s", seed, w.line, w.how, text, show(items))
				return
			}
			if kind == "range" {
				ranges++
			}
			if kind == "record" && it.Record.Root.Children[1].Text != w.id {
				t.Fatalf("seed %d: line %d has another row", seed, w.line)
			}
			if w.how != "" {
				continue
			}
			good++
			if kind != "record" {
				t.Logf("seed %d: line %d good, %s", seed, w.line, kind)
				continue
			}
			kept++
			for c, want := range w.cells {
				if got := it.Record.Root.Children[c].Text; got != want {
					t.Errorf("seed %d: line %d: %q, want %q\n%s\n%s", seed, w.line, got, want, text, show(items))
					return
				}
			}
		}
	}
	t.Logf("%d good rows, %d produced, %d rows within a range", good, kept, ranges)
	if kept*1000 < good*995 {
		t.Errorf("%d of %d good rows are lost to their neighbours", good-kept, good)
	}
}

func TestRowsAboveAndUnderOtherHeaders(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"records above the header", "Contacts,,,,\nZ1,25-1,A,n,1\nZ1,25-2,\"x\ny\",n,2\n\n" + head + "Z1,25-3,C,n,3\n",
			"header 1\nreject 2 above-header()\nreject 3 above-header()\nblank 5\nheader 6\nrecord 7 [Z1] [25-3] [C] [n] [3]\n"},
		{"titles above the header", "Crisis contacts\nprinted,05/01/2025\n" + head + "Z1,25-3,C,n,3\n",
			"header 1\nheader 2\nheader 3\nrecord 4 [Z1] [25-3] [C] [n] [3]\n"},
		{"a repeated header", head + "Z1,25-1,A,n,1\n" + head + "Z1,25-2,B,n,2\n", "header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nheader 3\nrecord 4 [Z1] [25-2] [B] [n] [2]\n"},
		{"a header with columns swapped", head + "Z1,25-1,A,n,1\nORI,Inc,Note,Name,Mod\nZ1,25-2,n,B,2\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nheader 3 header-changed()\nrecord 4 [Z1] [25-2] [n] [B] [2]\n"},
		{"a header by other names", head + "Z1,25-1,A,n,1\nORI,Incident No,Name,Note,Mod\nZ1,25-2,B,n,2\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nheader 3\nrecord 4 [Z1] [25-2] [B] [n] [2]\n"},
		{"a header of fewer columns", head + "Z1,25-1,A,n,1\nMod,Inc,ORI\n2,25-2,Z1\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nheader 3 header-changed() missing-column(Name) missing-column(Note)\nrecord 4 [2] [25-2] [Z1]\n"},
		{"a header without what is required", head + "Z1,25-1,A,n,1\nORI,Family,Name,Note,Mod\nZ1,25-2,B,n,2\n" + head + "Z1,25-3,C,n,3\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nheader 3 header-changed() unknown-column(Family)\nreject 4 missing-column()\nheader 5 header-changed()\nrecord 6 [Z1] [25-3] [C] [n] [3]\n"},
		{"the comma header in a note of another file", "ORI;Inc;Name;Note;Mod\nZ1;25-1;A;n;1\nZ1;25-2;B;\"see\n" + head + "below\";2\nZ1;25-3;C;n;3\n",
			"header 1\nrecord 2 [Z1] [25-1] [A] [n] [1]\nrecord 3 [Z1] [25-2] [B] [see⏎ORI,Inc,Name,Note,Mod⏎below] [2]\nrecord 6 [Z1] [25-3] [C] [n] [3]\n"},
	} {
		items, err := readAll(t, c.in, adapters.Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := show(items); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
}
