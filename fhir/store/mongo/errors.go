package mongo

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/handoff-health/handoff/fhir/store"
)

// Server error codes that are told apart.
const (
	codeOutOfDiskSpace = 14031
	codeQuotaExceeded  = 12501
)

// passingCodes are those of a member that is not the primary (any more), recovers,
// starts or shuts down, of a conflict inside the server, and of a snapshot that it no
// longer or not yet can give.
var passingCodes = []int{
	6, 7, 89, 91, 112, 134, 189, 239, 246, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436, 46841,
}

// explain wraps an error of the driver with the store's own, so that a full disk can
// be told apart by errors.Is, and says which deployment and database it is about.
// Errors of this package pass.
func (db *DB) explain(err error) error {
	var labeled driver.LabeledError
	switch {
	case err == nil, errors.Is(err, driver.ErrNoDocuments):
		return err
	case hasCode(err, codeOutOfDiskSpace, codeQuotaExceeded):
		return fmt.Errorf("%s: %w: %w", db.where(), store.ErrFull, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), isNetwork(err), errors.As(err, &labeled):
		return fmt.Errorf("%s: %w", db.where(), err)
	}
	return err
}

// where names the deployment and the database.
func (db *DB) where() string { return fmt.Sprintf("MongoDB at %s, database %s", db.addresses, db.name) }

func hasCode(err error, codes ...int) bool {
	var se driver.ServerError
	if !errors.As(err, &se) {
		return false
	}
	for _, c := range codes {
		if se.HasErrorCode(c) {
			return true
		}
	}
	return false
}

// isDuplicate says that a document of that id, or of that unique key, is there.
func isDuplicate(err error) bool { return driver.IsDuplicateKeyError(err) }

// isNetwork says that it is not known whether the server did what it was told: a cut
// connection, a time-out, no server found.
func isNetwork(err error) bool {
	var none topology.ServerSelectionError
	return errors.As(err, &none) || driver.IsNetworkError(err) || driver.IsTimeout(err)
}

// isPassing says that an error may be gone when the same is tried again: what
// isNetwork says, and a member that steps down, starts or shuts down.
func isPassing(err error) bool {
	var labeled driver.LabeledError
	if errors.As(err, &labeled) && (labeled.HasErrorLabel("RetryableWriteError") || labeled.HasErrorLabel("TransientTransactionError")) {
		return true
	}
	return isNetwork(err) || hasCode(err, passingCodes...)
}

// isMissing says that no document fits.
func isMissing(err error) bool { return errors.Is(err, driver.ErrNoDocuments) }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrInvalid, fmt.Sprintf(format, args...))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum guards stored bytes and the name they stand under, so that bytes of one
// document never pass for another's.
func checksum(name string, parts ...[]byte) int64 {
	sum := crc32.Update(0, castagnoli, []byte(name))
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, []byte{0})
		sum = crc32.Update(sum, castagnoli, p)
	}
	return int64(sum)
}

func (db *DB) damaged(what string) error {
	return fmt.Errorf("%s: %w: the checksum of %s does not fit", db.where(), store.ErrDamaged, what)
}

// Times of facts and log entries are kept as nanoseconds, 0 for never.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
