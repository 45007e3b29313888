package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// timeFormat has the hundredths of a second that CJIS AU-8 asks for, always.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// maxLine bounds what is read as one record. The largest event, of a page of
// 200 resources with many reasons each, stays far below.
const maxLine = 8 << 20

// Interactions of events that the trail itself makes.
const (
	Opened  = "audit-open"    // the writer started; Reason is "new", "clean" or "crash"
	Cut     = "audit-recover" // a torn end was cut off; Reason says how much and where it is kept
	Closing = "audit-close"   // the writer ended in good order
)

// Interactions of people who sign in.
const (
	Login  = "login" // also one that failed: Outcome and Reason say so
	Logout = "logout"
	Lock   = "lock"   // a user after too many failures
	Unlock = "unlock" // by an administrator
	// SignOut is the end of a person's sign-ins and tokens, by an administrator.
	SignOut = "sign-out"
	// ClientChange is a request about the registration of a client: by the
	// registration API, or by the operator on the command line.
	ClientChange = "client"
	// StoreAccept is an operator's word that a store counts which is older than what
	// was answered from it.
	StoreAccept = "store-accept"
)

// A Record is one line of the log.
type Record struct {
	Seq   uint64 `json:"seq"`             // from 1, without gaps
	Prev  string `json:"prev"`            // hex SHA-256 of the line before; 64 zeros in the first record
	Hash  string `json:"hash"`            // hex SHA-256 of the line
	Trail string `json:"trail,omitempty"` // id of the trail; only in the first record
	Event Event  `json:"event"`
}

// frame is a record as it stands in the file. The event comes last, so that
// what links the chain is found without reading it.
type frame struct {
	Seq   uint64          `json:"seq"`
	Prev  string          `json:"prev"`
	Trail string          `json:"trail,omitempty"`
	Event json.RawMessage `json:"event"`
}

var noHash = hex.EncodeToString(make([]byte, sha256.Size))

func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// appendLine adds a record's line to buf and returns the line's hash.
func appendLine(buf []byte, seq uint64, prev, trail string, event []byte) (out []byte, hash string) {
	start := len(buf)
	buf = fmt.Appendf(buf, `{"seq":%d,"prev":"%s",`, seq, prev)
	if trail != "" {
		buf = fmt.Appendf(buf, `"trail":"%s",`, trail)
	}
	buf = append(append(append(buf, `"event":`...), event...), '}')
	hash = hashLine(buf[start:])
	return append(buf, '\n'), hash
}

var errNotRecord = errors.New("not a record")

// parseFrame reads a line, without its newline, but not its event.
func parseFrame(line []byte) (frame, error) {
	var f frame
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, fmt.Errorf("%w: %w", errNotRecord, err)
	}
	if dec.More() || f.Seq == 0 || len(f.Prev) != len(noHash) || len(f.Event) == 0 {
		return f, errNotRecord
	}
	// What is written otherwise than the writer writes it is not the writer's.
	if same, _ := appendLine(nil, f.Seq, f.Prev, f.Trail, f.Event); !bytes.Equal(same[:len(same)-1], line) {
		return f, fmt.Errorf("%w: it is not written as the trail writes", errNotRecord)
	}
	return f, nil
}

// ParseRecord reads one line of a segment, without its newline.
func ParseRecord(line []byte) (Record, error) {
	f, err := parseFrame(line)
	if err != nil {
		return Record{}, err
	}
	r := Record{Seq: f.Seq, Prev: f.Prev, Trail: f.Trail, Hash: hashLine(line)}
	if err := json.Unmarshal(f.Event, &r.Event); err != nil {
		return Record{}, fmt.Errorf("record %d: its event: %w", f.Seq, err)
	}
	return r, nil
}

// Administrative says whether the trail itself made the event.
func (e *Event) Administrative() bool {
	return e.Interaction == Opened || e.Interaction == Cut || e.Interaction == Closing
}

func ownEvent(interaction, reason string, at time.Time) *Event {
	return &Event{Interaction: interaction, Reason: reason, At: at, Outcome: Success}
}
