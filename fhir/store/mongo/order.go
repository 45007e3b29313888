package mongo

import (
	"cmp"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/plan"
)

// An order is one key by which a search's result is sorted.
type order struct {
	field      string // of head: "i" or "u"; "" for a parameter
	entries    string // prefix of the parameter's entries
	descending bool
}

// orders are the keys of a plan, at least one. What follows _id decides nothing.
func (c condition) orders(p store.Plan) []order {
	if len(p.Sort) == 0 {
		return []order{{field: "u", descending: true}}
	}
	var out []order
	for _, k := range p.Sort {
		o := order{descending: k.Descending}
		switch k.Param {
		case store.ParamID:
			o.field = "i"
		case store.ParamLastUpdated:
			o.field = "u"
		default:
			o.entries = c.entriesOf(k.Param)
			if strings.Contains(k.Param, "|") { // it is nobody's, but may look like the beginning of an entry
				o.entries = c.entriesOf("")
			}
		}
		out = append(out, o)
	}
	return out
}

// none stands for the sort value of a head without an entry: after all entries in
// the order's direction.
func (o order) none() string {
	if o.descending {
		return o.entries[:len(o.entries)-1]
	}
	return next(o.entries)
}

func (o order) word() int {
	if o.descending {
		return -1
	}
	return 1
}

// beyond is the operator of coming after a value.
func (o order) beyond() string {
	if o.descending {
		return "$lt"
	}
	return "$gt"
}

// A row is a head that a search has found: as much of its state as a page needs.
type row struct {
	id      string // _id
	version int64
	nonce   string
	keys    []string // sort values, one an order, in the form the server compares
}

// newRow takes the sort values from a state.
func newRow(id string, s *state, orders []order) row {
	r := row{id: id, version: s.Version, nonce: s.Nonce}
	for _, o := range orders {
		r.keys = append(r.keys, o.value(id, s))
	}
	return r
}

func (o order) value(id string, s *state) string {
	switch o.field {
	case "i":
		return idOf(id)
	case "u":
		return s.Updated
	}
	of := slices.DeleteFunc(slices.Clone(s.Index), func(e string) bool { return !strings.HasPrefix(e, o.entries) })
	switch {
	case len(of) == 0:
		return o.none()
	case o.descending:
		return slices.Max(of)
	}
	return slices.Min(of)
}

// computed is value as the server computes it.
func (o order) computed() bson.D {
	extreme := "$min"
	if o.descending {
		extreme = "$max"
	}
	of := bson.D{{Key: "$filter", Value: bson.D{
		{Key: "input", Value: "$ix"}, {Key: "as", Value: "e"},
		{Key: "cond", Value: bson.D{{Key: "$and", Value: bson.A{
			bson.D{{Key: "$gte", Value: bson.A{"$$e", o.entries}}},
			bson.D{{Key: "$lt", Value: bson.A{"$$e", next(o.entries)}}},
		}}}},
	}}}
	return bson.D{{Key: "$ifNull", Value: bson.A{bson.D{{Key: extreme, Value: of}}, o.none()}}}
}

// idOf is the encoded id in a head's _id.
func idOf(key string) string {
	_, id, _ := strings.Cut(key, "/")
	return id
}

// compare orders rows: by each key, in the end by id.
func compare(orders []order, a, b *row) int {
	for i, o := range orders {
		if c := strings.Compare(a.keys[i], b.keys[i]); c != 0 {
			return c * o.word()
		}
	}
	return cmp.Compare(a.id, b.id)
}

// cursor is the place of a row.
func (r *row) cursor(orders []order) *plan.Cursor {
	id, _ := decode(idOf(r.id))
	c := &plan.Cursor{ID: id}
	for i, o := range orders {
		v := plan.Value{None: o.field == "" && r.keys[i] == o.none()}
		if !v.None {
			text, _ := decode(strings.TrimPrefix(r.keys[i], o.entries))
			v.Bytes = []byte(text)
		}
		c.Keys = append(c.Keys, v)
	}
	return c
}

// placeOf undoes cursor: a row that stands where the page before ended; nil at the
// start.
func (c condition) placeOf(at *plan.Cursor, orders []order) *row {
	if at == nil {
		return nil
	}
	r := &row{id: c.ids() + encode(at.ID)}
	for i, o := range orders {
		v := o.entries + encode(string(at.Keys[i].Bytes))
		if at.Keys[i].None && o.field == "" {
			v = o.none()
		}
		r.keys = append(r.keys, v)
	}
	return r
}
