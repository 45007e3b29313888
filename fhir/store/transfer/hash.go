package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/store"
)

// digest hashes parts so that no two lists of parts have one form: each is preceded
// by its length.
func digest(parts ...[]byte) (out [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

func number[T ~int64 | ~uint64](n T) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func texts(list []string) [][]byte {
	out := [][]byte{number(int64(len(list)))}
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

// versionHash is over everything that a version is.
func versionHash(rec *store.Record) [sha256.Size]byte {
	origin, err := json.Marshal(rec.Origin)
	if err != nil { // a struct of texts and flags
		panic("transfer: an origin cannot be encoded: " + err.Error())
	}
	parts := [][]byte{
		[]byte(rec.Type), []byte(rec.ID), number(rec.Version), []byte(resource.FormatInstant(rec.LastUpdated)),
		strconv.AppendBool(nil, rec.Deleted), origin, []byte(rec.LabelSet), rec.Raw,
	}
	return digest(append(parts, texts(rec.Labels)...)...)
}

// headHash is over what a resource has beside its versions. The entries are a set:
// stores keep them in orders of their own.
func headHash(a *store.Archived) [sha256.Size]byte {
	last := a.Versions[len(a.Versions)-1]
	parts := [][]byte{[]byte(a.Key.Type), []byte(a.Key.ID), number(last.Version)}
	parts = append(parts, texts(slices.Sorted(slices.Values(last.Index)))...)
	return digest(append(parts, texts(slices.Sorted(slices.Values(a.Claims)))...)...)
}

func factHash(f store.Fact) [sha256.Size]byte {
	return digest([]byte(f.Key), f.Value, number(f.Version), instant(f.Expires))
}

func entryHash(stream string, e store.Entry) [sha256.Size]byte {
	return digest([]byte(stream), number(e.Seq), instant(e.At), e.Data)
}

func positionsHash(s store.Stream) [sha256.Size]byte {
	parts := [][]byte{[]byte(s.Name)}
	for _, reader := range slices.Sorted(maps.Keys(s.Positions)) {
		parts = append(parts, []byte(reader), number(s.Positions[reader]))
	}
	return digest(parts...)
}

// instant is a time to the nanosecond; the zero time is none.
func instant(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return number(t.UnixNano())
}
