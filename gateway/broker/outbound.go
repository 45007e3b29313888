package broker

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/upstream"
)

// pageSize is the _count asked of systems. It is the gateway's own choice: the
// caller's _count is about what it may see. 100 is a cap that some vendors have.
const pageSize = 100

// narrowing lists the parameters that may go out besides the patient's id.
// Their values are codes, which say what kind of record is asked for and nothing
// of the person. Names, birth dates, identifiers, free text and references
// never go out.
var narrowing = map[string]bool{
	"category": true, "status": true, "code": true, "class": true, "type": true,
	"clinical-status": true, "verification-status": true, "intent": true,
}

// ranges lists parameters whose values are times of the record. A bound goes
// out a day wider than asked: systems read dates in time zones of their own.
var ranges = map[string]bool{
	"date": true, "period": true, "authored": true, "authoredon": true, "onset-date": true,
	"recorded-date": true, "issued": true, "created": true, "_lastUpdated": true,
}

// outbound makes the parameters that go out to a system: the patient's id there,
// a page size, and what narrows. asked is false when no resource of the system
// can match, so that it need not be asked.
func (b *Broker) outbound(ctx context.Context, s *system, q Query, t Target) (params url.Values, asked bool, err error) {
	if upstream.IsAdministrative(q.Type) { // not found by a patient, and not about one
		return nil, false, nil
	}
	out := url.Values{"patient": {t.ID}, "_count": {strconv.Itoa(pageSize)}}
	for name, values := range q.Params {
		for _, v := range values {
			switch {
			case name == "_id":
				ids, err := b.remoteIDs(ctx, s, q.Type, v)
				if err != nil || len(ids) == 0 {
					return nil, false, err
				}
				out.Add("_id", strings.Join(ids, ","))
			case narrowing[name] && isCode(v):
				out.Add(name, v)
			case ranges[name]:
				if wider, ok := widen(v); ok {
					out.Add(name, wider)
				}
			}
		}
	}
	if q.Type == "Patient" {
		for _, list := range out["_id"] {
			if !slices.Contains(strings.Split(list, ","), t.ID) {
				return nil, false, nil
			}
		}
		return url.Values{}, true, nil
	}
	return out, true, nil
}

// bare keeps what a system cannot do without.
func bare(params url.Values) url.Values {
	out := url.Values{"patient": params["patient"]}
	for _, name := range []string{"_count", "_id"} {
		if v, ok := params[name]; ok {
			out[name] = v
		}
	}
	return out
}

// remoteIDs turns ids of this gateway into those of the system; ids that are
// not of the system are left out.
func (b *Broker) remoteIDs(ctx context.Context, s *system, typ, list string) ([]string, error) {
	var out []string
	for _, id := range strings.Split(list, ",") {
		if len(s.Bases()) == 0 {
			out = append(out, id)
			continue
		}
		system, remote, ok, err := b.o.IDs.Resolve(ctx, typ, id)
		if err != nil {
			return nil, err
		}
		if ok && system == s.Name() {
			out = append(out, remote)
		}
	}
	return out, nil
}

// isCode says whether a value can only be a code, a system|code or a list of
// such. A value with a space, an @ or an escape may be text.
func isCode(v string) bool {
	if v == "" || len(v) > 256 {
		return false
	}
	for i := range len(v) {
		switch c := v[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-._:/|,", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// widen turns a bound into one that is surely not narrower, as ge or le with a
// date, which every vendor reads. Other comparisons do not go out.
func widen(v string) (string, bool) {
	if len(v) < 6 || strings.Contains(v, ",") {
		return "", false
	}
	prefix, text := v[:2], v[2:]
	first, last, ok := days(text)
	if !ok {
		return "", false
	}
	switch prefix {
	case "ge", "gt":
		return "ge" + first.AddDate(0, 0, -1).Format(time.DateOnly), true
	case "le", "lt":
		return "le" + last.AddDate(0, 0, 1).Format(time.DateOnly), true
	}
	return "", false
}

// days returns the first and the last day of a FHIR date or dateTime.
func days(s string) (first, last time.Time, ok bool) {
	date, _, _ := strings.Cut(s, "T")
	for _, f := range []struct {
		layout        string
		years, months int
	}{{"2006", 1, 0}, {"2006-01", 0, 1}, {time.DateOnly, 0, 0}} {
		t, err := time.Parse(f.layout, date)
		if err != nil {
			continue
		}
		if f.years+f.months == 0 {
			return t, t, true
		}
		return t, t.AddDate(f.years, f.months, -1), true
	}
	return time.Time{}, time.Time{}, false
}
