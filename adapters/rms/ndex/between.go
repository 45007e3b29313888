package ndex

import (
	"bytes"
	"strings"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/mappings"
)

// A container is an element around reports: an envelope, a message, a batch.
type container struct {
	name      string // as written, with its prefix
	tag       []byte // its start tag, for the namespaces that it declares
	at        int    // where it begins in the item at hand; -1: in an earlier one
	line, col int
	context   []byte // what it says of its reports: message and submitter
}

// A report is one that is being read.
type report struct {
	name  string
	open  []string // names of the elements that are open in it, itself first
	fault *mappings.Issue
}

func localName(name string) string {
	if _, local, ok := strings.Cut(name, ":"); ok {
		return local
	}
	return name
}

// isReport says that an element of this name is one report: a LEXS data item, an
// N-DEx or NIBRS report.
func isReport(local string) bool {
	return local == "DataItemPackage" || strings.HasSuffix(local, "Report")
}

// isContent says that an element is something that a report holds: what is
// around it is then a report, whatever its name.
func isContent(local string) bool {
	switch local {
	case "Incident", "ServiceCall", "FieldContact", "Arrest", "Person", "Location", "DataItem", "CrisisInterventionSupplement", "Activity":
		return true
	}
	return false
}

// isContext says that an element tells something of the reports beside it.
func isContext(local string) bool {
	return local == "PDMessageMetadata" || local == "DataSubmitterMetadata" || local == "MessageMetadata"
}

// between looks at markup outside of reports.
func (s *Source) between(m mark, name string) {
	local := localName(name)
	switch m {
	case markText:
		if len(s.open) == 0 && s.fault == nil {
			s.fault = problem(s.here(), "not-well-formed", "text outside of any element")
		}
	case markBroken:
		s.flaw(problem(s.here(), "not-well-formed", "markup that does not end"))
	case markStart, markEmpty:
		switch {
		case isReport(local) && !s.inContext():
			s.begin(s.f.at, s.f.markAt[0], s.f.markAt[1], name, m)
		case len(s.open) > 0 && isContent(local) && !s.inContext() && s.open[len(s.open)-1].at >= 0 && !s.f.long:
			c := s.open[len(s.open)-1]
			s.open = s.open[:len(s.open)-1]
			s.begin(c.at, c.line, c.col, c.name, markStart)
			s.inReport(m, name)
		case m == markStart:
			s.enter(name)
		case len(s.open) == 0:
			s.closed() // a document of one empty element
		}
	case markEnd:
		s.leave(name)
	}
}

func (s *Source) flaw(is *mappings.Issue) {
	if s.fault == nil {
		s.fault = is
	}
}

func (s *Source) inContext() bool {
	for i := range s.open {
		if isContext(localName(s.open[i].name)) {
			return true
		}
	}
	return false
}

func (s *Source) enter(name string) {
	if len(s.open) == 0 && s.reports == 0 && s.fault == nil && s.f.at > 0 && len(bytes.TrimSpace(s.f.buf[:min(s.f.at, len(s.f.buf))])) == 0 {
		// Blank lines between two documents are nobody's.
		s.other(s.f.cut(s.f.at, s.f.markAt[0], s.f.markAt[1]), adapters.Blank)
	}
	if len(s.open) >= maxDepth {
		s.flaw(problem(s.here(), "too-deep", "more than %d elements in each other", maxDepth))
	}
	if len(s.open) > 2*maxDepth {
		return // its end tag will not fit either: the document is a reject already
	}
	s.open = append(s.open, container{name: name, tag: bytes.Clone(s.f.tag), at: s.f.at, line: s.f.markAt[0], col: s.f.markAt[1]})
}

// leave closes a container.
func (s *Source) leave(name string) {
	n := len(s.open) - 1
	for n >= 0 && s.open[n].name != name {
		n--
	}
	switch {
	case n < 0:
		s.flaw(problem(s.here(), "not-well-formed", "the end tag </%s> has no start tag", show(name)))
		return
	case n < len(s.open)-1:
		s.flaw(problem(s.here(), "not-well-formed", "the end tag </%s> stands where </%s> should", show(name), show(s.open[len(s.open)-1].name)))
	}
	c := s.open[n]
	s.open = s.open[:n]
	if isContext(localName(name)) && n > 0 && c.at >= 0 && !s.f.long {
		s.open[n-1].context = append(s.open[n-1].context, s.f.buf[c.at:]...)
	}
	if n == 0 {
		s.closed()
	}
}

// closed ends a document.
func (s *Source) closed() {
	p := s.f.all()
	switch {
	case s.fault != nil:
		s.reject(p, s.fault)
	case s.reports == 0:
		s.reject(p, problem(s.position(p), "not-a-report", "no report in this document: neither a LEXS data item nor an N-DEx, NIEM or NIBRS report"))
	default:
		s.other(p, adapters.Trailer)
	}
	s.reset()
}

func (s *Source) reset() {
	s.open, s.report, s.refuse, s.fault, s.reports = s.open[:0], nil, nil, nil, 0
}

// begin ends the item before a report and begins the report. n is the place in
// the item at hand where it begins.
func (s *Source) begin(n, line, col int, name string, m mark) {
	switch {
	case s.fault != nil:
		s.reject(s.f.cut(n, line, col), s.fault)
		s.fault = nil
	case s.f.long || s.issue != nil || len(bytes.TrimSpace(s.f.buf[:n])) > 0:
		p := s.f.cut(n, line, col)
		s.other(p, adapters.Header, s.lateDeclaration(p)...)
	default: // blanks between two reports go with the second
	}
	for i := range s.open {
		s.open[i].at = -1
	}
	s.reports++
	s.report = &report{name: name, open: []string{name}}
	if m == markEmpty {
		s.report.open = nil
		s.complete()
	}
}

// lateDeclaration finds an XML declaration that something stands before: that is
// not well formed, and harmless.
func (s *Source) lateDeclaration(p piece) []mappings.Issue {
	if i := bytes.Index(p.text, []byte("<?xml")); i > 0 && i+5 < len(p.text) && blank(p.text[i+5]) {
		pos := s.position(p)
		pos.Line += bytes.Count(p.text[:i], []byte("\n"))
		return []mappings.Issue{{Severity: mappings.Warning, Code: "declaration-late", Message: "the XML declaration does not stand at the beginning of the document", Pos: pos}}
	}
	return nil
}

// show is a name as messages may quote it: names of elements only, not too long.
func show(name string) string {
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ':' || c == '-' || c == '_' || c == '.') {
			return "…"
		}
	}
	if len(name) > 60 {
		return name[:60] + "…"
	}
	return name
}
