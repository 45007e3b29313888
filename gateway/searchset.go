package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/handoff-health/handoff/fhir/bundle"
	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/enforce"
	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

type permission = smart.Permission

const (
	readLetter   = smart.Read
	searchLetter = smart.Search
)

// renderSearchset makes the Bundle of a search: one page of what was kept, in
// order, with a notice where the law wants one and one constant outcome where
// something may be missing.
func renderSearchset(s *Server, x *exchange) (*rest.Response, error) {
	total := -1
	if x.person != nil || x.whole {
		slices.SortStableFunc(x.kept, func(a, b *candidate) int { return x.query.Compare(a.sort, b.sort) })
		if !x.incomplete && x.person != nil {
			total = len(x.kept)
		}
		x.page()
	} else {
		x.pageOfStretches()
	}
	b := bundle.New(bundle.Searchset)
	if total >= 0 {
		b.Total(total)
	}
	self := s.o.Base + "/" + x.req.Type
	if q := x.asked.Self(); q != "" {
		self += "?" + q
	}
	b.Link("self", self)
	if x.next != nil && !x.asked.CountOnly() {
		cursor, err := s.seal.close(*x.next, binding(x))
		if err != nil {
			return nil, err
		}
		separator := "?"
		if x.asked.Self() != "" {
			separator = "&"
		}
		b.Link("next", self+separator+cursorParam+"="+cursor)
	}
	if x.asked.CountOnly() {
		x.kept = nil
	}
	s.fill(b, x)
	body, err := pretty(x.asked, b.Bytes())
	return &rest.Response{Status: http.StatusOK, Header: http.Header{}, Body: body}, err
}

// pretty indents a body, if that was asked for.
func pretty(q *search.Query, body []byte) ([]byte, error) {
	if !q.Pretty() {
		return body, nil
	}
	var out bytes.Buffer
	err := json.Indent(&out, body, "", "  ")
	return out.Bytes(), err
}

// fill adds entries, high-water mark, notices and the incomplete outcome.
func (s *Server) fill(b *bundle.Bundle, x *exchange) {
	var mark label.HighWater
	var scopes []string // of the Consents on which Part 2 data go out, each once
	for _, c := range x.kept {
		b.Add(s.o.Base+"/"+c.final.Reference(), x.asked.Project(c.final), bundle.ModeMatch)
		mark.AddCodes(c.result.Security)
		if c.result.Notice && !slices.Contains(scopes, c.result.Scope) {
			scopes = append(scopes, c.result.Scope)
		}
	}
	b.Security(codings(mark.Codes())...)
	for _, scope := range scopes {
		b.Add("", enforce.NoticeOutcome(scope), bundle.ModeOutcome)
	}
	if x.incomplete {
		b.Add("", outcome.Incomplete(), bundle.ModeOutcome)
	}
}

func codings(codes []label.Code) []bundle.Coding {
	out := make([]bundle.Coding, len(codes))
	for i, c := range codes {
		out[i] = bundle.Coding{System: c.System, Code: c.Code}
	}
	return out
}

// page cuts one person's sorted matches to the page that was asked for.
func (x *exchange) page() {
	from := 0
	if x.from.Last != nil {
		for from < len(x.kept) && x.query.Compare(x.kept[from].sort, *x.from.Last) <= 0 {
			from++
		}
	}
	x.kept = x.kept[from:]
	if n := x.query.Count(); n > 0 && len(x.kept) > n {
		x.kept = x.kept[:n]
		x.next = &place{Last: &x.kept[n-1].sort}
	}
}

// pageOfStretches cuts a search over all persons: one match too many was looked
// for, and only if it was found there is a next page, which starts before it.
func (x *exchange) pageOfStretches() {
	n := x.query.Count()
	if len(x.kept) <= n {
		return
	}
	x.next = &place{After: x.kept[n].from}
	if last := x.kept[n-1]; last.from == x.kept[n].from {
		x.next.Passed = last.resource.ID()
	}
	x.kept = x.kept[:n]
}
