package eido

import (
	"encoding/xml"
	"errors"
	"html"
	"io"
	"regexp"
	"strings"

	"github.com/handoff-health/handoff/mappings/tree"
)

const maxLocation = 64 << 10

// readLocation reads a PIDF-LO: the parts of the civic address by their names
// ("A3", "RD", "HNO") and the position of a point as pos. XML entities are not
// expanded, and only the first address and point count.
func readLocation(at *tree.Node) ([]*tree.Node, error) {
	if len(at.Text) > maxLocation {
		return nil, errors.New("too long")
	}
	d := xml.NewDecoder(strings.NewReader(at.Text))
	d.Strict = true
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	var out []*tree.Node
	seen := map[string]bool{}
	civic, name, text := 0, "", ""
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if t.Name.Local == "civicAddress" {
				civic++
			}
			name, text = t.Name.Local, ""
		case xml.CharData:
			text += string(t)
		case xml.EndElement:
			if t.Name.Local == "civicAddress" {
				civic--
			}
			if value := strings.TrimSpace(text); value != "" && t.Name.Local == name && (civic > 0 || name == "pos") && !seen[name] {
				seen[name] = true
				out = append(out, &tree.Node{Name: name, Text: value, Pos: at.Pos})
			}
			name, text = "", ""
		}
	}
}

var (
	hidden = regexp.MustCompile(`(?is)<(script|style)\b.*?</(script|style)\s*>|<!--.*?-->`)
	breaks = regexp.MustCompile(`(?i)<(br|p|div|li|tr)\b[^>]*>`)
	tags   = regexp.MustCompile(`</?[A-Za-z][^>]*>`)
)

// plain is the text of HTML: scripts and tags go, paragraphs and breaks become line
// ends. Text without tags stays as it is.
func plain(s string) string {
	if !strings.ContainsAny(s, "<&") {
		return s
	}
	s = breaks.ReplaceAllString(hidden.ReplaceAllString(s, ""), "\n")
	return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(s, "")))
}
