package sqlite

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/handoff-health/handoff/fhir/store"
)

// A cursor is the place of the last record of a page: its sort value and id.
type cursor struct {
	value []byte
	null  bool // it has no sort value
	id    string
}

const planHashSize = 8

// encode makes the cursor opaque and binds it to the search:
// hash(8) flag(1) length(uvarint) value id.
func (c *cursor) encode(p store.Plan) string {
	out := planHash(p)
	flag := byte(0)
	if c.null {
		flag = 1
	}
	out = append(out, flag)
	out = binary.AppendUvarint(out, uint64(len(c.value)))
	out = append(out, c.value...)
	out = append(out, c.id...)
	return base64.RawURLEncoding.EncodeToString(out)
}

// decodeCursor reads the plan's After; nil at the start.
func decodeCursor(p store.Plan) (*cursor, error) {
	if p.After == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.After)
	if err != nil || len(raw) < planHashSize+2 || string(raw[:planHashSize]) != string(planHash(p)) {
		return nil, fmt.Errorf("%w", store.ErrCursor)
	}
	flag, raw := raw[planHashSize], raw[planHashSize+1:]
	size, n := binary.Uvarint(raw)
	if flag > 1 || n <= 0 || size > uint64(len(raw)-n) {
		return nil, fmt.Errorf("%w", store.ErrCursor)
	}
	raw = raw[n:]
	return &cursor{value: raw[:size], null: flag == 1, id: string(raw[size:])}, nil
}

// bind is the sort value as the column compares it.
func (c *cursor) bind(o order) any {
	if o.column != "" {
		return string(c.value)
	}
	return blob(c.value)
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
