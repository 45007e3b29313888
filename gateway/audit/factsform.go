package audit

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
)

// How the facts of a policy.Request are written: by the names of its fields, so
// that a new one cannot be forgotten. A value that cannot be written is an error
// and no answer leaves.
var recorded = json.JoinOptions(
	json.OmitZeroStructFields(true), json.Deterministic(true),
	json.WithMarshalers(json.JoinMarshalers(
		json.MarshalFunc(func(t time.Time) ([]byte, error) { return resource.Quote(instantOf(t)), nil }),
		json.MarshalFunc(func(b policy.BreakGlass) ([]byte, error) {
			if strings.TrimSpace(b.Reason) != "" {
				b.Reason = Given // the nature of an emergency is clinical
			}
			type plain policy.BreakGlass
			return json.Marshal(plain(b), json.OmitZeroStructFields(true))
		}),
		json.MarshalFunc(func(b policy.LegalBasis) ([]byte, error) {
			b.Attributes = short(b.Attributes)
			type plain policy.LegalBasis
			return json.Marshal(plain(b), json.OmitZeroStructFields(true), json.Deterministic(true))
		}),
	)),
)

// Given stands for a text that was there and is kept elsewhere.
const Given = "(given)"

// maxAttribute is how long a text of a legal basis may be to stand in the trail.
const maxAttribute = 200

// short keeps long texts out: they are somebody's words, and the record of the
// acceptance has them.
func short(attributes map[string]any) map[string]any {
	if attributes == nil {
		return nil
	}
	out := make(map[string]any, len(attributes))
	for k, v := range attributes {
		if s, ok := v.(string); ok && len(s) > maxAttribute {
			v = Given
		}
		out[k] = v
	}
	return out
}

// instantOf writes an instant with its offset, and the zone by whose rules
// dates were read if it has a name: "2026-03-01T08:00:00-06:00 America/Chicago".
func instantOf(t time.Time) string {
	text := t.Format(time.RFC3339Nano)
	if zone := t.Location().String(); strings.Contains(zone, "/") || zone == "UTC" {
		text += " " + zone
	}
	return text
}

// Zones finds a time zone by its name; time.LoadLocation is one.
type Zones func(name string) (*time.Location, error)

func parseInstant(text string, zones Zones) (time.Time, error) {
	stamp, zone, named := strings.Cut(text, " ")
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || !named {
		return t, err
	}
	loc, err := zones(zone)
	if err != nil {
		return t, fmt.Errorf("time zone of the record: %w", err)
	}
	_, then := t.Zone()
	if _, now := t.In(loc).Zone(); now != then {
		return t, fmt.Errorf("time zone %s has another offset at %s than it had", zone, stamp)
	}
	return t.In(loc), nil
}

// Request makes the question of this number again, without its Consents and its
// graph: those of the same number in Heard and Instances go with it. An error
// says that it cannot be made.
func (f *Facts) Request(number int, zones Zones) (*policy.Request, error) {
	if number < 1 || number > len(f.Questions) {
		return nil, fmt.Errorf("the record has no question %d", number)
	}
	first, err := f.Questions[0].read(zones)
	if err != nil || number == 1 {
		return first, err
	}
	q := &f.Questions[number-1]
	later, err := q.read(zones)
	if err != nil {
		return nil, err
	}
	a, b := reflect.ValueOf(later).Elem(), reflect.ValueOf(first).Elem()
	for i := range a.NumField() {
		if a.Field(i).IsZero() && !slices.Contains(q.Without, a.Type().Field(i).Name) {
			a.Field(i).Set(b.Field(i))
		}
	}
	return later, nil
}

func (q *Question) read(zones Zones) (*policy.Request, error) {
	req := new(policy.Request)
	err := json.Unmarshal(q.Facts, req, json.RejectUnknownMembers(true), json.WithUnmarshalers(
		json.UnmarshalFunc(func(raw []byte, t *time.Time) (err error) {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return err
			}
			*t, err = parseInstant(text, zones)
			return err
		})))
	if err != nil {
		return nil, fmt.Errorf("the recorded facts cannot be read: %w", err)
	}
	if req.Consents != nil || req.Graph != nil {
		return nil, errors.New("the recorded facts hold what is recorded apart")
	}
	return req, nil
}

// Heard returns the Consents of a question.
func (f *Facts) Heard(number int) ([]Heard, error) {
	q := f.Questions[number-1]
	if q.Consents == nil && number > 1 && !slices.Contains(q.Without, "Consents") {
		q = f.Questions[0]
	}
	out := make([]Heard, len(q.Consents))
	for i, n := range q.Consents {
		if n < 0 || n >= len(f.Consents) {
			return nil, fmt.Errorf("the record has no Consent %d", n)
		}
		out[i] = f.Consents[n]
	}
	return out, nil
}

// Instances returns what the graph of a question knew.
func (f *Facts) Instances(number int) []string {
	q := f.Questions[number-1]
	if q.Graph == nil && number > 1 && !slices.Contains(q.Without, "Graph") {
		q = f.Questions[0]
	}
	return q.Graph
}

// MarshalJSON writes what is not zero.
func (h Heard) MarshalJSON() ([]byte, error) {
	return json.Marshal(h.Source, json.OmitZeroStructFields(true))
}

// UnmarshalJSON reads what MarshalJSON writes; anything else is an error.
func (h *Heard) UnmarshalJSON(raw []byte) error {
	return json.Unmarshal(raw, &h.Source, json.RejectUnknownMembers(true))
}

// Brought says whether the Consent came from a connected system.
func (h *Heard) Brought() bool { return h.Source.Foreign }
