package mappings

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Limits on a YAML file's text. The parser takes time and memory that grow with
// the square of a map's keys and of nested brackets: what it is given is counted
// first. The largest mapping that comes with the gateway has 8,000 tokens.
const (
	maxYAML     = 1 << 20
	maxTokens   = 60_000
	maxBrackets = 2 * maxDepth
)

const byteOrderMark = "\ufeff"

// newSource splits a file into lines. A byte order mark, which some editors
// write, is no part of the text.
func newSource(name string, raw []byte, errs *[]error) (*source, []byte) {
	raw = bytes.TrimPrefix(raw, []byte(byteOrderMark))
	return &source{name: name, lines: strings.Split(string(raw), "\n"), errs: errs}, raw
}

// readable says whether a file is text in UTF-8 without NUL bytes.
func (s *source) readable(raw []byte) bool {
	line, start := 1, 0
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			s.errorAt(line, 1+utf8.RuneCount(raw[start:i]), "the file is not UTF-8")
			return false
		case r == 0:
			s.errorAt(line, 1+utf8.RuneCount(raw[start:i]), "the file has a NUL byte")
			return false
		case r == '\n':
			line, start = line+1, i+1
		}
		i += n
	}
	return true
}

// lex cuts a file into tokens. It refuses more of them, or more brackets inside
// each other, than a mapping can need.
func (s *source) lex(raw []byte) (tokens token.Tokens, ok bool) {
	if len(raw) > maxYAML {
		s.errorAt(1, 1, "the file is larger than %d bytes", maxYAML)
		return nil, false
	}
	tokens = lexer.Tokenize(string(raw))
	if len(tokens) > maxTokens {
		p := tokens[maxTokens].Position
		s.errorAt(p.Line, p.Column, "the file is too large: it has more than %d words and signs", maxTokens)
		return nil, false
	}
	open := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open--
		}
		if open > maxBrackets {
			s.errorAt(t.Position.Line, t.Position.Column, "the file is nested too deeply")
			return nil, false
		}
	}
	return tokens, true
}

// runeColumn turns a place in bytes, as the CSV reader counts, into one in
// characters.
func (s *source) runeColumn(line, column int) int {
	if line < 1 || line > len(s.lines) {
		return column
	}
	text := s.lines[line-1]
	return 1 + utf8.RuneCountInString(text[:min(len(text), max(0, column-1))])
}

// maxShown is how many characters of a line an error shows.
const maxShown = 160

// excerpt is the part of a line around a column, both in characters, and the
// blanks that put a mark under it.
func excerpt(line string, column int) (text, pad string) {
	runes := []rune(line)
	at := min(len(runes), max(0, column-1))
	if len(runes) > maxShown {
		first := max(0, at-maxShown/2)
		runes = runes[first:min(len(runes), first+maxShown)]
		at -= first
		if first > 0 {
			runes[0] = '…'
		}
	}
	pad = strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(runes[:at]))
	return string(runes), pad
}
