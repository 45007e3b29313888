package store

import (
	"hash/crc32"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum guards stored bytes and the name they stand under, so that bytes of one
// row or document never pass for another's. It finds damage, not forgery.
func Checksum(name string, parts ...[]byte) int64 {
	sum := crc32.Update(0, castagnoli, []byte(name))
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, []byte{0})
		sum = crc32.Update(sum, castagnoli, p)
	}
	return int64(sum)
}

// Nanos is an instant as stores keep those of facts and log entries: nanoseconds
// since 1970, 0 for never.
func Nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// FromNanos undoes Nanos, in UTC.
func FromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
