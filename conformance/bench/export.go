package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/handoff-health/handoff/mappings"
)

// An export is a generated file like the Riverton crisis-contact export: all
// its columns, a narrative that runs over two lines, Windows-1252.
type export struct {
	path     string
	rows     int
	patients int // distinct persons in it
	bytes    int64
}

// personOf spreads rows over persons: every person comes more than once.
func personOf(row, rows int) int { return row * 7 % max(rows*6/10, 1) }

func writeExport(path string, rows int) (_ *export, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	m, err := mappings.Load(mappings.Files(), "rms/riverton/contact.map.yaml", nil)
	if err != nil {
		return nil, err
	}
	columns := m.Columns()
	for i, c := range columns {
		separate(w, i)
		_, _ = w.WriteString(c) // Flush tells
	}
	seen := map[int]bool{}
	for row := 1; row <= rows; row++ {
		_, _ = w.WriteString("\r\n")
		seen[personOf(row, rows)] = true
		for i, c := range columns {
			separate(w, i)
			_, _ = w.WriteString(cell(c, row, rows))
		}
	}
	_, _ = w.WriteString("\r\n")
	if err := w.Flush(); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &export{path, rows, len(seen), info.Size()}, nil
}

func separate(w *bufio.Writer, i int) {
	if i > 0 {
		_ = w.WriteByte(',')
	}
}

// choices are cells that take one of a few values in turn.
var choices = map[string][]string{
	"LastName":        {"EXAMPLE", "MUSTER", "MU\xd1OZ", "SAMPLE", "O'TEST"},
	"FirstName":       {"PAT", "ALEX", "ROBIN", "KIM"},
	"Sex":             {"M", "F", "U"},
	"Race":            {"W", "B", "A", "I"},
	"IncLocation":     {"1 TEST PLAZA", "CEDAR BRIDGE", "100 BLK 2ND AVE", "RIVERTON TRANSIT CTR"},
	"InitialCallType": {"WELF", "MENTAL", "SUICT"},
	"FinalCallType":   {"Mental/Emotional Crisis", "WELF", "Suicide - Threat"},
	"CallSource":      {"911", "988"},
	"Behaviors":       {"Paranoid", "Hopeless / Depressed; Disorganized speech", "None"},
	"SuicideRisk":     {"", "Ideation", "Denies", "Threat"},
	"Disposition":     {"RESOLVED ON SCENE", "REFERRED - MOBILE CRISIS", "VOLUNTARY TRANSPORT - CRISIS CENTER"},
	"ConsentAsked":    {"N", "Y"},
	"ConsentResult":   {"", "GRANTED"},
	"ConsentMethod":   {"", "VERBAL-BWC"},
	"ConsentScope":    {"", "Treatment team contact"},
	"AgencyORI":       {"ZZ0010100"},
	"SuppNo":          {"0"},
	"Involvement":     {"SUBJECT"},
	"CrisisFlag":      {"Y"},
	"HomeAddr":        {"212 Juniper St Apt 4"},
	"City":            {"Riverton"},
	"State":           {"ZZ"},
	"Housing":         {"Stable Housing", "Unhoused"},
	"RecStatus":       {"A"},
	"Narrative":       {"\"Contact made, subject OK.\r\nSaid \"\"leave me alone\"\" and walked away. Case manager was called.\""},
}

// cell is what a column says in a row.
func cell(name string, row, rows int) string {
	switch name {
	case "IncidentNo":
		return fmt.Sprintf("25-%06d", row)
	case "MNI":
		return fmt.Sprintf("R%06d", 200_001+personOf(row, rows)) // no number that stands for nobody
	case "DOB":
		month, day, year := born(personOf(row, rows))
		return fmt.Sprintf("%02d/%02d/%d", month, day, year)
	case "ContactDT":
		return fmt.Sprintf("05/%02d/2025 10:%02d", 1+row%28, row%60)
	case "ClearedDT":
		return fmt.Sprintf("05/%02d/2025 12:%02d", 1+row%28, row%60)
	case "OfficerBadge":
		return fmt.Sprint(7000 + row%40)
	case "OfficerName":
		return fmt.Sprintf("Ofc A. Sample%c", 'a'+rune(row%26))
	case "LastModified":
		return fmt.Sprintf("2025-06-%02d 08:00:00", 1+row%28)
	}
	vs := choices[name]
	if len(vs) == 0 {
		return ""
	}
	// Columns turn at different speeds, so that the combinations vary.
	return vs[(row+strings.Count(name, "e")*(row/len(vs)))%len(vs)]
}
