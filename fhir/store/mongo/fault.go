package mongo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/handoff-health/handoff/fhir/store"
)

// A fault is an error of the driver in this store's words. It shows nothing of
// documents or keys, as messages of servers do; the driver's error stays behind it for
// errors.As.
type fault struct {
	text  string
	is    error // one of package store's, or nil
	cause error
}

func (f *fault) Error() string { return f.text }

// Unwrap gives what errors.Is finds.
func (f *fault) Unwrap() []error {
	if f.is == nil {
		return []error{f.cause}
	}
	return []error{f.is, f.cause}
}

// explain puts an error of the driver into this store's words: which deployment and
// database, what is wrong, what to do. A full disk and a store that is away can be told by errors.Is. Errors of
// this package pass, and so does the absence of a document.
func (db *DB) explain(err error) error { return db.explainAs("", err) }

// explainAs says also what was tried.
func (db *DB) explainAs(what string, err error) error {
	var f *fault
	var form *bson.DecodeError
	odd := errors.As(err, &form)
	if err == nil || isMissing(err) || errors.As(err, &f) || !odd && !isDriver(err) {
		return err
	}
	if what != "" {
		what += ": "
	}
	if odd { // it names the field and its type, no value
		return &fault{text: fmt.Sprintf("%s: %s%v: %v", db.where(), what, store.ErrDamaged, form), is: store.ErrDamaged, cause: err}
	}
	reason, is := db.reason(err)
	return &fault{text: fmt.Sprintf("%s: %s%s", db.where(), what, reason), is: is, cause: err}
}

// where names the deployment and the database.
func (db *DB) where() string { return fmt.Sprintf("MongoDB at %s, database %s", db.addresses, db.name) }

// isDriver says that an error comes from the driver, the server or the network.
func isDriver(err error) bool {
	var (
		server  driver.ServerError
		labeled driver.LabeledError
		none    topology.ServerSelectionError
		network net.Error
		connect topology.ConnectionError
	)
	return errors.As(err, &server) || errors.As(err, &labeled) || errors.As(err, &none) || errors.As(err, &network) || errors.As(err, &connect) ||
		errors.Is(err, driver.ErrClientDisconnected) || errors.Is(err, io.EOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// reason gives what is wrong, and what it is by the errors of package store.
func (db *DB) reason(err error) (string, error) {
	var none topology.ServerSelectionError
	switch {
	case errors.Is(err, driver.ErrClientDisconnected), db.life.Err() != nil:
		return errClosed.Error(), nil
	case hasCode(err, codeMechanism):
		return fmt.Sprintf("the server does not offer the authMechanism %s", db.mechanism()), nil
	case hasCode(err, codeAuthentication), strings.Contains(err.Error(), "auth error"):
		return db.notAuthenticated(), nil
	case hasCode(err, codeUnauthorized, codeAtlas):
		return db.unauthorized(err), nil
	case isFull(err):
		return "no space left", store.ErrFull
	case isDuplicate(err):
		return "a document of that key is there already", nil
	case errors.Is(err, context.Canceled):
		return "given up by the caller", nil
	case errors.As(err, &none):
		return "no member that can serve: " + db.membersOf(none), store.ErrAway
	case isConcern(err):
		return "not confirmed by a majority of the members", store.ErrAway
	case isNetworkTimeout(err) || driver.IsTimeout(err):
		return "no answer in time", store.ErrAway
	case hasCode(err, notPrimaryCodes...):
		return "the member is not the primary any more", store.ErrAway
	case hasCode(err, codeWritesBlocked):
		return "the server's administrator has blocked writes (setUserWriteBlockMode)", store.ErrAway
	case hasCode(err, codeOtherCase):
		return "a database is there already whose name differs in capitals alone; name that one, or another", nil
	case hasCode(err, codeRule):
		return "a rule of validation, which is none of the store's, refuses the document", nil
	case isHint(err):
		return "an index that the store needs is not there; 'handoff store check --repair' makes it, and so does a gateway that starts", nil
	case isPassing(err):
		return reasonOf(err), store.ErrAway
	}
	return reasonOf(err), nil
}

// reasonOf is the rest: what the driver says, but for what a server says of values.
func reasonOf(err error) string {
	var command driver.CommandError
	if errors.As(err, &command) {
		return fmt.Sprintf("error %d (%s): %s", command.Code, command.Name, shorten(withoutValues(command.Message)))
	}
	var server driver.ServerError
	if errors.As(err, &server) {
		return fmt.Sprintf("error %v of the server", server.ErrorCodes())
	}
	return shorten(err.Error())
}

// What of a server's message may be of a document or of what is searched for: all
// between the first quote and the last, and between braces, brackets and parentheses.
// No single value ends there for certain: a quote may be part of it.
var values = []*regexp.Regexp{regexp.MustCompile(`(?s)".*"`), regexp.MustCompile(`(?s)\{.*\}`), regexp.MustCompile(`(?s)\[.*\]`), regexp.MustCompile(`(?s)=\(.*\)`), regexp.MustCompile(`(?s)(^|\s)'.*'`)}

// withoutValues cuts out of a server's message what may hold values, and writes it on
// one line. A message that begins one and does not end it is cut off there.
func withoutValues(s string) string {
	for _, v := range values {
		s = v.ReplaceAllString(s, " …")
	}
	if i := strings.IndexAny(s, "\"{["); i >= 0 {
		s = s[:i] + "…"
	}
	return strings.Join(strings.Fields(s), " ")
}

// told is how much of a foreign message is repeated.
const told = 300

func shorten(s string) string {
	if len(s) > told {
		return s[:told] + "…"
	}
	return s
}

func (db *DB) user() string {
	if a := db.dial.Auth; a != nil {
		return fmt.Sprintf("user %q of %s", a.Username, orDefault(a.AuthSource, "admin"))
	}
	return "nobody (the URI names no user)"
}

// mechanism is how the URI wants users to prove who they are; "" if it does not say.
func (db *DB) mechanism() string {
	if db.dial.Auth == nil {
		return ""
	}
	return db.dial.Auth.AuthMechanism
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (db *DB) notAuthenticated() string {
	if db.dial.Auth == nil {
		return "the server asks for a user and a password, and the URI has none"
	}
	if m := db.mechanism(); m != "" && m != "MONGODB-X509" && !strings.HasPrefix(m, "SCRAM-") && m != "PLAIN" {
		return "authentication by " + m + " failed"
	}
	if db.dial.Auth.Username == "" { // the certificate names it
		return "authentication failed: the server knows no user in $external of the certificate's subject, or was shown no certificate (tlsCertificateKeyFile)"
	}
	return "authentication failed: the server does not know " + db.user() + ", or the password is another (where users are kept is named by authSource)"
}

var (
	unauthorizedCommand = regexp.MustCompile(`not authorized on (\S+) to execute command \{ ?(\w+)`)
	unauthorizedAction  = regexp.MustCompile(`not allowed to do action \[(\w+)\] on \[([^\]\s.]+)`)
)

// rights are those of commands that are called otherwise, as roles name them.
var rights = map[string]string{
	"findAndModify": "update", "delete": "remove", "create": "createCollection", "createIndexes": "createIndex", "aggregate": "find", "count": "find", "getMore": "find",
}

// unauthorized names the right that is missing. The server's message is not repeated:
// it holds the command, documents and all.
func (db *DB) unauthorized(err error) string {
	text := err.Error()
	if strings.Contains(text, "requires authentication") || db.dial.Auth == nil {
		return "the server asks for a user and a password, and the URI has none"
	}
	action, on := "", db.name
	if m := unauthorizedCommand.FindStringSubmatch(text); m != nil {
		on, action = m[1], m[2]
	} else if m := unauthorizedAction.FindStringSubmatch(text); m != nil {
		action, on = m[1], m[2]
	}
	right := "a right"
	if action != "" {
		right = "the right to " + orDefault(rights[action], action)
	}
	return fmt.Sprintf("%s lacks %s on the database %s; the role readWrite on %s is what the store needs", db.user(), right, on, db.name)
}

// membersOf says of each member that the driver knows why it is not the primary.
func (db *DB) membersOf(none topology.ServerSelectionError) string {
	var out []string
	for _, s := range none.Desc.Servers {
		why := "it is no primary"
		switch {
		case isRefused(s.LastError):
			why = "connection refused"
		case isEOF(s.LastError):
			why = "it closes the connection"
		case isNetworkTimeout(s.LastError):
			why = "no answer"
		case s.LastError != nil:
			why = shorten(s.LastError.Error())
		}
		out = append(out, s.Addr.String()+": "+why)
	}
	if len(out) == 0 {
		return "none of " + db.addresses + " fits"
	}
	return strings.Join(out, "; ")
}

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isNetworkTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// isAlert says that the other side has broken a TLS handshake off.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func alertOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}
