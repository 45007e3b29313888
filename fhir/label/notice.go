package label

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// SaysPart2 says whether the raw text of a source record (an HL7 v2 message, a
// row) says by itself that it is a Part 2 record: by a notice of 42 CFR 2.32 or
// by the label 42CFRPart2, wherever they stand.
func SaysPart2(raw []byte) bool {
	return containsFold(unescaped(raw), "42cfrpart2") || notice(raw)
}

// notice says whether a resource's JSON, or a part of it, holds a notice as its reader
// sees it: letters written as escapes or entities, or with markup between them, are
// letters.
func notice(raw []byte) bool {
	text := unescaped(raw)
	if hasNotice(text) {
		return true
	}
	seen := plain(text)
	return len(seen) != len(text) && hasNotice(seen)
}

// unescaped is JSON with its characters that are written in hexadecimal, but for halves
// of surrogate pairs; other escapes stay. It allocates only if there are any.
func unescaped(raw []byte) []byte {
	if !bytes.Contains(raw, []byte(`\u`)) {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			out = append(out, raw[i])
			continue
		}
		if raw[i+1] == 'u' && i+6 <= len(raw) {
			if r, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16); err == nil && !utf16.IsSurrogate(rune(r)) {
				out = utf8.AppendRune(out, rune(r))
				i += 5
				continue
			}
		}
		out = append(out, raw[i], raw[i+1])
		i++
	}
	return out
}

// hasNotice says whether the text of a resource holds a notice of 42 CFR 2.32
// in any of its wordings since 1987: each names "42 CFR part 2" near the word
// "prohibit" or the words "Federal confidentiality rules". Every wording is the
// program's own statement that the record falls under Part 2.
func hasNotice(raw []byte) bool {
	for from := 0; ; {
		i := indexCFR(raw[from:])
		if i < 0 {
			return false
		}
		i += from
		from = i + 3
		if !namesPart2(raw, i) {
			continue
		}
		window := raw[max(0, i-300):min(len(raw), i+300)]
		for _, w := range [...]string{"prohibit", "federal confidentiality", "federal rules", "redisclos", "protected by", "protected under"} {
			if containsFold(window, w) {
				return true
			}
		}
	}
}

// indexCFR finds "CFR", "C.F.R" or its long form (at its C).
func indexCFR(b []byte) int {
	best := -1
	for _, s := range [...]string{"CFR", "cfr", "Cfr", "C.F.R", "C. F. R", "Code of Federal Regulations", "CODE OF FEDERAL REGULATIONS"} {
		if i := bytes.Index(b, []byte(s)); i >= 0 && (best < 0 || i < best) {
			best = i
		}
	}
	return best
}

// namesPart2 says whether the CFR at i stands in "42 CFR part 2", whatever
// stands between the words (spaces, entities, markup, dots).
func namesPart2(raw []byte, i int) bool {
	before := raw[max(0, i-24):i]
	j := bytes.LastIndex(before, []byte("42"))
	if j < 0 || hasDigit(before[j+2:]) && !bytes.ContainsAny(before[j+2:], "&#\\") {
		return false
	}
	after := raw[i:min(len(raw), i+60)]
	p := indexFold(after, "part")
	if p < 0 {
		return false
	}
	for k := p + 4; k < len(after); k++ {
		switch c := after[k]; {
		case c == '2':
			return k+1 == len(after) || after[k+1] < '0' || after[k+1] > '9'
		case c >= '0' && c <= '9':
			// a digit of an entity such as &#160; or of an escape is no part number
			if !bytes.ContainsAny(after[p+4:k], "&#\\") {
				return false
			}
		}
	}
	return false
}

func hasDigit(b []byte) bool { return bytes.ContainsAny(b, "0123456789") }

func containsFold(b []byte, lower string) bool { return indexFold(b, lower) >= 0 }

// indexFold finds an ASCII lower-case string in b, whatever b's case.
func indexFold(b []byte, lower string) int {
	for i := 0; i+len(lower) <= len(b); i++ {
		if b[i]|0x20 == lower[0] && bytes.EqualFold(b[i:i+len(lower)], []byte(lower)) {
			return i
		}
	}
	return -1
}
