package ndex

import (
	"slices"

	"github.com/handoff-health/handoff/adapters"
)

// inReport looks at markup inside a report: where does it end? A fault costs the
// report alone: the next report, an end tag of what is around it, or the next
// document ends it too.
func (s *Source) inReport(m mark, name string) {
	r := s.report
	switch m {
	case markBroken:
		s.spoil("not-well-formed", "markup that does not end")
	case markStart, markEmpty:
		if name == r.name {
			s.spoil("not-well-formed", "<%s> begins before the one before it has ended", show(name))
			s.broken(s.f.at)
			s.begin(0, s.f.markAt[0], s.f.markAt[1], name, m)
			return
		}
		if m == markStart {
			if len(r.open) >= maxDepth {
				s.spoil("too-deep", "more than %d elements in each other", maxDepth)
			}
			if len(r.open) < 10*maxDepth {
				r.open = append(r.open, name)
			}
		}
	case markEnd:
		s.endInReport(name)
	}
}

func (s *Source) endInReport(name string) {
	r := s.report
	n := len(r.open) - 1
	for n >= 0 && r.open[n] != name {
		n--
	}
	if n < len(r.open)-1 {
		s.spoil("not-well-formed", "the end tag </%s> stands where </%s> should", show(name), show(r.open[len(r.open)-1]))
	}
	if n < 0 {
		if slices.ContainsFunc(s.open, func(c container) bool { return c.name == name }) {
			s.broken(s.f.at)
			s.leave(name)
		}
		return
	}
	if r.open = r.open[:n]; n == 0 {
		s.complete()
	}
}

// spoil notes the first fault of the report at hand.
func (s *Source) spoil(code, format string, args ...any) {
	if s.report.fault == nil {
		s.report.fault = problem(s.here(), code, format, args...)
	}
}

// broken ends the report before the byte n: it did not end itself.
func (s *Source) broken(n int) {
	fault := s.report.fault
	s.report = nil
	p := s.f.cut(n, s.f.markAt[0], s.f.markAt[1])
	p.trim()
	s.reject(p, fault)
}

// complete ends the report here and decodes it.
func (s *Source) complete() {
	r := s.report
	s.report = nil
	p := s.f.all()
	p.trim()
	switch {
	case r.fault != nil:
		s.reject(p, r.fault)
	case p.long:
		s.reject(p, problem(s.position(p), "record-too-large", "the report has over %d bytes", s.f.limit))
	default:
		s.decode(p)
	}
	if len(s.open) == 0 {
		s.reset()
	}
}

// doctype refuses a document that declares a type: nothing of a DTD is read, and
// what uses one cannot be told.
func (s *Source) doctype() {
	why := problem(s.here(), "doctype-refused", "a document type declaration: documents with a DTD or entities of their own are refused")
	if s.report != nil {
		s.report.fault = why
		return
	}
	if len(s.open) > 0 {
		s.flaw(why)
		return
	}
	s.refuse = why
}

// refused goes through a refused document to its end.
func (s *Source) refused(m mark, name string) {
	switch m {
	case markStart:
		if len(s.open) < 10*maxDepth {
			s.open = append(s.open, container{name: name, at: -1})
		}
	case markEnd:
		if n := len(s.open) - 1; n >= 0 && s.open[n].name == name {
			s.open = s.open[:n]
		}
	case markEmpty:
	default:
		return
	}
	if len(s.open) == 0 {
		s.reject(s.f.all(), s.refuse)
		s.reset()
	}
}

// declaration begins a document. Where one is open, that was cut.
func (s *Source) declaration() {
	switch {
	case s.report == nil && len(s.open) == 0 && s.refuse == nil:
		return
	case s.report != nil:
		s.spoil("truncated", "a new document begins inside <%s>", show(s.report.name))
		s.broken(s.f.at)
	case s.refuse != nil:
		s.reject(s.f.cut(s.f.at, s.f.markAt[0], s.f.markAt[1]), s.refuse)
	default:
		s.flaw(problem(s.here(), "truncated", "a new document begins inside <%s>", show(s.open[len(s.open)-1].name)))
		s.reject(s.f.cut(s.f.at, s.f.markAt[0], s.f.markAt[1]), s.fault)
	}
	s.reset()
}

// finish accounts for what stands at the end of the input.
func (s *Source) finish() {
	inMarkup := s.f.state != inText
	p := s.f.rest()
	end := s.here()
	end.Line, end.Column = s.f.curLine, s.f.curCol
	switch {
	case s.report != nil && s.report.fault != nil:
		s.reject(p, s.report.fault)
	case s.report != nil:
		s.reject(p, problem(end, "truncated", "the input ends inside <%s>", show(s.report.name)))
	case s.refuse != nil:
		s.reject(p, s.refuse)
	case s.fault != nil:
		s.reject(p, s.fault)
	case len(s.open) > 0:
		s.reject(p, problem(end, "truncated", "the input ends inside <%s>: what followed is not here", show(s.open[len(s.open)-1].name)))
	case inMarkup:
		s.reject(p, problem(end, "truncated", "the input ends inside markup"))
	default:
		s.other(p, adapters.Trailer)
	}
}
