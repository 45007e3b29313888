package mongo

import (
	"errors"
	"fmt"
	"slices"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	xdriver "go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/handoff-health/handoff/fhir/store"
)

// Server error codes that are told apart.
// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
const (
	codeUnauthorized      = 13
	codeAuthentication    = 18
	codeNamespaceNotFound = 26
	codeBadValue          = 2
	codeIndexOptions      = 85
	codeIndexKeys         = 86
	codeRule              = 121 // DocumentValidationFailure
	codeMechanism         = 334 // MechanismUnavailable
	codeWritesBlocked     = 371
	codeAtlas             = 8000 // a hosted deployment's own
	codeOtherCase         = 13297
	codeQuotaExceeded     = 12501
	codeOutOfDiskSpace    = 14031
)

// notPrimaryCodes are those of a member that is not the primary (any more), starts,
// recovers or shuts down.
var notPrimaryCodes = []int{91, 189, 10058, 10107, 11600, 11602, 13435, 13436}

// passingCodes are further ones that may be gone when the same is tried again: between
// members, out of time, a conflict inside the server, a cursor that a server which was
// started anew knows nothing of, and a collection that is not there to the member that
// was asked: a compatible server says so, also of a write that would make it, where a
// database was dropped and is made anew. Who lists what there is takes it for an answer.
var passingCodes = []int{
	6, // HostUnreachable
	7, // HostNotFound
	codeNamespaceNotFound,
	43,    // CursorNotFound
	64,    // WriteConcernTimeout
	89,    // NetworkTimeout
	112,   // WriteConflict
	133,   // FailedToSatisfyReadPreference
	134,   // ReadConcernMajorityNotAvailableYet
	175,   // QueryPlanKilled
	187,   // LinearizableReadConcernError
	237,   // CursorKilled
	239,   // SnapshotTooOld
	246,   // SnapshotUnavailable
	262,   // ExceededTimeLimit
	9001,  // SocketException
	46841, // ClientMarkedKilled
}

// hasCode says that a server has answered with one of these codes.
func hasCode(err error, codes ...int) bool {
	var se driver.ServerError
	return errors.As(err, &se) && slices.ContainsFunc(codes, se.HasErrorCode)
}

// isFull says that the server has no space left. One that keeps its data elsewhere
// says so in words.
func isFull(err error) bool {
	if hasCode(err, codeOutOfDiskSpace, codeQuotaExceeded) {
		return true
	}
	var se driver.ServerError
	return errors.As(err, &se) && (se.HasErrorMessage("No space left on device") || se.HasErrorMessage("could not extend file"))
}

// isConcern says that a write is done, but not confirmed by a majority.
func isConcern(err error) bool {
	var (
		one  driver.WriteException
		bulk driver.BulkWriteException
	)
	return errors.As(err, &one) && one.WriteConcernError != nil || errors.As(err, &bulk) && bulk.WriteConcernError != nil
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
	// A pool that was emptied because another call's connection broke: nothing was sent.
	// The driver gives it a label only where it would itself try again.
	var pool xdriver.RetryablePoolError
	if errors.As(err, &pool) && pool.Retryable() {
		return true
	}
	return isNetwork(err) || isConcern(err) || isBehind(err) || hasCode(err, passingCodes...) || hasCode(err, notPrimaryCodes...)
}

// codeInternal is a server's own trouble, of any kind.
const codeInternal = 1

// gone is what a server says whose data are in another one behind it, as FerretDB's
// are in PostgreSQL, when that one ends, is not there or starts. It has no code of its
// own for it.
var gone = []string{
	"failed to connect to", "unexpected EOF", "conn closed", "connection reset", "broken pipe",
	"the database system is starting up", "the database system is shutting down", "the database system is in recovery mode",
	"the database system is not yet accepting connections", "terminating connection",
}

// crossed is what such a server says when two of its transactions came in each other's
// way, or when a database was dropped and made anew and one of its processes had not
// heard of that yet. mongod tries such things again itself.
var crossed = []string{
	"Unable to create the specified collection", "deadlock detected", "could not serialize access",
	"tuple concurrently", "could not open relation with OID", "cache lookup failed for",
	"due to lock timeout", "sorry, too many clients", "remaining connection slots are reserved",
}

// isBehind says that the server did not reach what keeps its data, lost it in the
// middle or was in its own way there: it is not known what was done.
func isBehind(err error) bool {
	var se driver.ServerError
	if !errors.As(err, &se) || !se.HasErrorCode(codeInternal) {
		return false
	}
	return slices.ContainsFunc(gone, se.HasErrorMessage) || slices.ContainsFunc(crossed, se.HasErrorMessage)
}

// isHint says that a query names an index that is not there. It has no code of its own.
func isHint(err error) bool {
	var se driver.ServerError
	return errors.As(err, &se) && se.HasErrorCode(codeBadValue) && se.HasErrorMessage("hint provided does not correspond to an existing index")
}

// isMissing says that no document fits.
func isMissing(err error) bool { return errors.Is(err, driver.ErrNoDocuments) }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrInvalid, fmt.Sprintf(format, args...))
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrTooLarge, fmt.Sprintf(format, args...))
}

func (db *DB) damaged(what string) error {
	return fmt.Errorf("%s: %w: the checksum of %s does not fit", db.where(), store.ErrDamaged, what)
}
