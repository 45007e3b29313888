package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/rest"
)

// The form in which one resource goes out, and what may be said of it:
// https://hl7.org/fhir/R4/http.html#cread

// shaping are the parameters that a read has. None of them changes a decision:
// what is left out is left out of the form that was decided on.
var shaping = []string{"_elements", "_summary", "_format", "_pretty"}

// readShape reads what shapes the answer of a read.
func readShape(s *Server, x *exchange) error {
	params, err := search.ParseQuery(x.req.HTTP.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, p := range params {
		if !slices.Contains(shaping, p.Name) && !guard.Off(guard.ParserReadParameters) {
			return outcome.NotSupported("a read has no parameter %q", clip(p.Name)).At("http." + clip(p.Name))
		}
	}
	params = slices.DeleteFunc(params, func(p search.Param) bool { return !slices.Contains(shaping, p.Name) })
	if x.asked, err = search.Parse(x.req.Type, params, s.search); err != nil {
		return err
	}
	if x.asked.CountOnly() {
		return outcome.NotSupported("a read counts nothing: _summary is true, text, data or false").At("http._summary")
	}
	return nil
}

// renderInstance answers a read with the one resource that was kept.
func renderInstance(_ *Server, x *exchange) (*rest.Response, error) {
	// A vread has the newest version as second candidate: both must be kept.
	if len(x.kept) == 0 || len(x.kept) != len(x.candidates) && !guard.Off(guard.AccessOldVersion) {
		return nil, outcome.NotFound(errors.New("not permitted"))
	}
	c := x.kept[0]
	for _, also := range x.kept[1:] {
		also.withheld = true // it was judged and does not go out
	}
	// The versions of what is seen in part would tell how often the rest changed.
	part := func(c *candidate) bool { return c.result.Redacted }
	if x.version > 0 && slices.ContainsFunc(x.kept, part) && !guard.Off(guard.AccessValidator) {
		return nil, outcome.NotFound(errors.New("the version of what is seen in part"))
	}
	h := c.validators()
	if unchanged(x.req.HTTP.Header, h) {
		return &rest.Response{Status: http.StatusNotModified, Header: h}, nil
	}
	body, err := pretty(x.asked, x.asked.Project(c.final))
	return &rest.Response{Status: http.StatusOK, Header: h, Body: body}, err
}

// validators are the ETag and the time of the form that goes out: the version of
// what is kept here and seen whole; else what the form itself gives, which stays
// the same when something out of sight changes.
func (c *candidate) validators() http.Header {
	h := http.Header{}
	if c.record != nil && (!c.result.Redacted || guard.Off(guard.AccessValidator)) {
		h.Set("ETag", etagOf(c.record))
	} else {
		digest := sha256.Sum256(c.raw)
		h.Set("ETag", `W/"`+base64.RawURLEncoding.EncodeToString(digest[:16])+`"`)
	}
	if at, err := time.Parse(time.RFC3339, c.final.Root().Get("meta").Get("lastUpdated").Text()); err == nil {
		h.Set("Last-Modified", at.UTC().Format(http.TimeFormat))
	}
	return h
}

// unchanged says whether the caller has the form already (RFC 9110 13.1.2, 13.1.3):
// by If-None-Match, and only without that by If-Modified-Since.
func unchanged(asked, form http.Header) bool {
	if tags := asked.Values("If-None-Match"); len(tags) > 0 {
		for tag := range strings.SplitSeq(strings.Join(tags, ","), ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(form.Get("ETag"), "W/") {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(asked.Get("If-Modified-Since"))
	if err != nil {
		return false
	}
	at, err := http.ParseTime(form.Get("Last-Modified"))
	return err == nil && !at.After(since)
}
