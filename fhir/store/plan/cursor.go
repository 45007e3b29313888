package plan

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/handoff-health/handoff/fhir/store"
)

// A Cursor is the place of the last record of a page: its sort values and id.
type Cursor struct {
	Keys []Value // one for each key of the order, at least one
	ID   string
}

// A Value is what a record is sorted by.
type Value struct {
	Bytes []byte
	None  bool // it has no sort value
}

const hashSize = 8

// Encode makes the cursor opaque and binds it to the search: hash(8), for each key
// flag(1) length(uvarint) value, and the id.
func (c *Cursor) Encode(p store.Plan) string {
	out := hashOf(p)
	for _, k := range c.Keys {
		flag := byte(0)
		if k.None {
			flag = 1
		}
		out = append(out, flag)
		out = binary.AppendUvarint(out, uint64(len(k.Bytes)))
		out = append(out, k.Bytes...)
	}
	out = append(out, c.ID...)
	return base64.RawURLEncoding.EncodeToString(out)
}

// ReadCursor reads the plan's After; nil at the start. One that this search did not
// give is [store.ErrCursor].
func ReadCursor(p store.Plan) (*Cursor, error) {
	if p.After == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.After)
	if err != nil || len(raw) < hashSize || string(raw[:hashSize]) != string(hashOf(p)) {
		return nil, fmt.Errorf("%w", store.ErrCursor)
	}
	raw = raw[hashSize:]
	c := &Cursor{}
	for range max(1, len(p.Sort)) {
		if len(raw) == 0 || raw[0] > 1 {
			return nil, fmt.Errorf("%w", store.ErrCursor)
		}
		none := raw[0] == 1
		size, n := binary.Uvarint(raw[1:])
		if n <= 0 || size > uint64(len(raw)-1-n) {
			return nil, fmt.Errorf("%w", store.ErrCursor)
		}
		raw = raw[1+n:]
		c.Keys = append(c.Keys, Value{raw[:size], none})
		raw = raw[size:]
	}
	c.ID = string(raw)
	return c, nil
}

// Hash stands for what a search asks and its order, not for its page: a map's key, no
// text.
func Hash(p store.Plan) string { return string(hashOf(p)) }

// hashOf stands for what a search asks and its order, not for its page.
func hashOf(p store.Plan) []byte {
	h := sha256.New()
	hashText(h, p.Type)
	hashExpr(h, p.Where)
	for _, k := range p.Sort {
		hashText(h, k.Param)
		hashText(h, fmt.Sprint(k.Descending))
	}
	return h.Sum(nil)[:hashSize]
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
