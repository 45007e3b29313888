package sqlite

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/handoff-health/handoff/fhir/store"
)

// A cursor is the place of the last record of a page: its sort values and id.
type cursor struct {
	keys []sortValue // one for each key of the order, at least one
	id   string
}

// A sortValue is what a record is sorted by.
type sortValue struct {
	value []byte
	null  bool // it has no sort value
}

const planHashSize = 8

// encode makes the cursor opaque and binds it to the search: hash(8), for each
// key flag(1) length(uvarint) value, and the id.
func (c *cursor) encode(p store.Plan) string {
	out := planHash(p)
	for _, k := range c.keys {
		flag := byte(0)
		if k.null {
			flag = 1
		}
		out = append(out, flag)
		out = binary.AppendUvarint(out, uint64(len(k.value)))
		out = append(out, k.value...)
	}
	out = append(out, c.id...)
	return base64.RawURLEncoding.EncodeToString(out)
}

// decodeCursor reads the plan's After; nil at the start.
func decodeCursor(p store.Plan) (*cursor, error) {
	if p.After == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.After)
	if err != nil || len(raw) < planHashSize || string(raw[:planHashSize]) != string(planHash(p)) {
		return nil, fmt.Errorf("%w", store.ErrCursor)
	}
	raw = raw[planHashSize:]
	c := &cursor{}
	for range max(1, len(p.Sort)) {
		if len(raw) == 0 || raw[0] > 1 {
			return nil, fmt.Errorf("%w", store.ErrCursor)
		}
		null := raw[0] == 1
		size, n := binary.Uvarint(raw[1:])
		if n <= 0 || size > uint64(len(raw)-1-n) {
			return nil, fmt.Errorf("%w", store.ErrCursor)
		}
		raw = raw[1+n:]
		c.keys = append(c.keys, sortValue{raw[:size], null})
		raw = raw[size:]
	}
	c.id = string(raw)
	return c, nil
}

// bind is the sort value as the column compares it.
func (v sortValue) bind(o order) any {
	if o.column != "" {
		return string(v.value)
	}
	return blob(v.value)
}

// planHash stands for what a search asks and its order, not for its page.
func planHash(p store.Plan) []byte {
	h := sha256.New()
	hashText(h, p.Type)
	hashExpr(h, p.Where)
	for _, k := range p.Sort {
		hashText(h, k.Param)
		hashText(h, fmt.Sprint(k.Descending))
	}
	return h.Sum(nil)[:planHashSize]
}

func hashText(h hash.Hash, s string) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(s)))
	h.Write(size[:])
	h.Write([]byte(s))
}

func hashExpr(h hash.Hash, e store.Expr) {
	h.Write([]byte{byte(e.Op), byte(len(e.Args)), byte(len(e.Args) >> 8)})
	for _, s := range []string{e.Param, e.Value, e.Low, e.High} {
		hashText(h, s)
	}
	for _, a := range e.Args {
		hashExpr(h, a)
	}
}
