package audit

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Report is what Verify found.
type Report struct {
	Trail       string    `json:"trail"`
	Segments    int       `json:"segments"`
	Records     uint64    `json:"records"` // the trail's own included
	Events      uint64    `json:"events"`  // without them
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
	Head        string    `json:"head"` // hex SHA-256 of the last record
	Checkpoints int       `json:"checkpoints"`
	Anchored    uint64    `json:"anchored"`     // records that the newest good checkpoint covers
	Cuts        int       `json:"cuts"`         // crashes that tore the end off
	Problems    []Problem `json:"problems"`     // in the order of the log
	More        bool      `json:"moreProblems"` // there are more than are listed
}

// A Problem is one place at which the trail does not hold.
type Problem struct {
	Segment string `json:"segment,omitempty"` // file
	Seq     uint64 `json:"record,omitempty"`
	Offset  int64  `json:"offset"` // byte in the segment
	Reason  string `json:"reason"`
}

func (p Problem) String() string {
	switch {
	case p.Segment == "":
		return p.Reason
	case p.Seq == 0:
		return fmt.Sprintf("%s, byte %d: %s", p.Segment, p.Offset, p.Reason)
	}
	return fmt.Sprintf("%s, byte %d, record %d: %s", p.Segment, p.Offset, p.Seq, p.Reason)
}

// maxProblems bounds what is listed: after that the log is beyond detail.
const maxProblems = 50

// Verify reads the whole log and compares it with itself and with the signed
// checkpoints. If anything was changed, removed, put in another order or cut
// off, as far as the anchor reaches, the report says where and the error is
// ErrTampered. A log that is being written may be verified.
func Verify(dir string, anchor Anchor, pub crypto.PublicKey) (Report, error) {
	return ReadVerified(dir, anchor, pub, nil)
}

// ReadVerified is Verify, and gives each record to f as it is read. What f was
// given counts only if the error is nil: the trail is not known to be whole
// before its end, and what is read a second time could be something else by
// then. An error of f ends the reading.
func ReadVerified(dir string, anchor Anchor, pub crypto.PublicKey, f func(*Record) error) (Report, error) {
	v := &verifier{dir: dir, pub: pub, prev: noHash, each: f}
	if err := checkKey(pub); err != nil {
		return v.Report, fmt.Errorf("verify the audit trail: %w", err)
	}
	if info, err := os.Stat(dir); err != nil {
		return v.Report, fmt.Errorf("verify the audit trail: %w", err)
	} else if !info.IsDir() {
		return v.Report, fmt.Errorf("verify the audit trail: %s is not a folder", dir)
	}
	// The anchor first: a log that grows meanwhile only gets longer than it says.
	cs, err := anchor.Checkpoints(context.Background())
	switch {
	case errors.Is(err, ErrTampered):
		v.problem(Problem{Reason: err.Error()})
	case err != nil:
		return v.Report, fmt.Errorf("verify the audit trail: %w", err)
	}
	segs, err := segments(dir)
	if err != nil {
		return v.Report, err
	}
	v.checkpoints(cs)
	if err := v.segments(segs); err != nil {
		return v.Report, err
	}
	v.end()
	if len(v.Problems) > 0 {
		return v.Report, fmt.Errorf("%w: %s", ErrTampered, v.Problems[0])
	}
	return v.Report, nil
}

type verifier struct {
	Report
	dir  string
	pub  crypto.PublicKey
	good []Checkpoint // checkpoints not met yet

	seq  uint64  // of the record before
	prev string  // its hash; "" if it cannot be known
	at   Problem // its place
	torn *Problem

	each func(*Record) error
}

func (v *verifier) problem(p Problem) {
	if len(v.Problems) >= maxProblems {
		v.More = true
		return
	}
	v.Problems = append(v.Problems, p)
}

// checkpoints checks the anchor in itself.
func (v *verifier) checkpoints(cs []Checkpoint) {
	id, _ := KeyID(v.pub)
	before := Checkpoint{}
	for i := range cs {
		c := cs[i]
		wrong := func(format string, args ...any) {
			v.problem(Problem{Reason: fmt.Sprintf("anchor, checkpoint %d: ", c.Number) + fmt.Sprintf(format, args...)})
		}
		switch {
		case c.KeyID != id:
			wrong("it was signed with another key (%.16s…)", c.KeyID)
		case !c.VerifiedBy(v.pub):
			wrong("the signature does not fit: it was changed, or made without the key")
		case c.Number != before.Number+1:
			wrong("it follows checkpoint %d: checkpoints were removed, added or moved", before.Number)
		case before.Number > 0 && c.Prev != before.hash(), before.Number == 0 && c.Prev != noHash:
			wrong("it does not follow the checkpoint before it")
		case before.Number > 0 && (c.Trail != before.Trail || c.Count < before.Count):
			wrong("it is of another trail or covers less than the checkpoint before it")
		default:
			v.good = append(v.good, c)
		}
		before = c
	}
	v.Checkpoints = len(cs)
}

func (v *verifier) segments(segs []segment) error {
	v.Segments = len(segs)
	for i, s := range segs {
		if s.first != v.seq+1 {
			v.problem(Problem{Segment: s.name, Reason: fmt.Sprintf("the segment follows record %d: a segment or the end of one was removed", v.seq)})
			v.seq, v.prev = s.first-1, ""
		}
		err := readSegment(v.dir, s.name, func(l line) error { return v.line(s.name, l) })
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if v.torn != nil && i < len(segs)-1 {
			v.problem(*v.torn)
			v.torn = nil
		}
	}
	if v.torn == nil {
		return nil
	}
	// The writer may be in the middle of a record: look again a little later.
	time.Sleep(20 * time.Millisecond)
	if !v.wholeNow(v.torn) {
		v.problem(*v.torn)
	}
	return nil
}

// wholeNow says whether a newline stands after the place by now.
func (v *verifier) wholeNow(p *Problem) bool {
	whole := false
	err := readSegment(v.dir, p.Segment, func(l line) error {
		whole = whole || l.offset == p.Offset && l.whole
		return nil
	})
	return err == nil && whole
}

func (v *verifier) line(name string, l line) error {
	here := Problem{Segment: name, Offset: l.offset}
	if !l.whole {
		here.Reason = "the log ends in the middle of a record: it was cut off, or its writer has crashed and was not started again"
		v.torn = &here
		return nil
	}
	r, err := ParseRecord(l.bytes)
	if r.Seq == 0 || err != nil {
		here.Seq, here.Reason = v.seq+1, fmt.Sprintf("it cannot be read: %v", err)
		v.problem(here)
		v.seq, v.prev, v.at = v.seq+1, "", here
		return nil
	}
	here.Seq = r.Seq
	v.follow(r, here)
	v.meet(r, here)
	v.seq, v.prev, v.at = r.Seq, r.Hash, here
	v.take(r)
	if v.each == nil {
		return nil
	}
	return v.each(&r)
}

// follow checks the record against the one before it.
func (v *verifier) follow(r Record, here Problem) {
	switch {
	case r.Seq != v.seq+1:
		here.Reason = fmt.Sprintf("it stands where record %d should: records were removed, added or moved", v.seq+1)
		v.problem(here)
	case v.prev != "" && r.Prev != v.prev:
		where := here
		where.Reason = "it does not begin a chain: what stood before it was removed"
		if v.seq > 0 {
			where = v.at
			where.Reason = fmt.Sprintf("it was changed, or record %d was: that holds another hash of it", r.Seq)
		}
		v.problem(where)
	}
	if r.Seq == 1 {
		v.Trail = r.Trail
	}
	if (r.Seq == 1) != (r.Trail != "") {
		here.Reason = "the first record, and only it, names the trail"
		v.problem(here)
	}
}

// meet checks the record against the checkpoints that cover it.
func (v *verifier) meet(r Record, here Problem) {
	for len(v.good) > 0 && v.good[0].Count <= r.Seq {
		c := v.good[0]
		v.good = v.good[1:]
		switch {
		case c.Count < r.Seq:
			here.Reason = fmt.Sprintf("checkpoint %d covers up to record %d, which is not there", c.Number, c.Count)
		case c.Head != r.Hash:
			here.Reason = fmt.Sprintf("it is not what checkpoint %d has signed: it or a record before it was changed", c.Number)
		case c.Trail != v.Trail:
			here.Reason = fmt.Sprintf("checkpoint %d is of another trail", c.Number)
		default:
			v.Anchored = c.Count
			continue
		}
		v.problem(here)
	}
}

// take counts a record.
func (v *verifier) take(r Record) {
	v.Records, v.Head, v.Last = v.Records+1, r.Hash, r.Event.At
	if v.First.IsZero() {
		v.First = r.Event.At
	}
	if !r.Event.Administrative() {
		v.Events++
	}
	if r.Event.Interaction == Cut {
		v.Cuts++
	}
}

// end looks for what is missing at the end.
func (v *verifier) end() {
	if n := len(v.good); n > 0 {
		c := v.good[n-1]
		v.problem(Problem{
			Segment: v.at.Segment, Offset: v.at.Offset, Seq: v.seq,
			Reason: fmt.Sprintf("the log ends here, but checkpoint %d covers %d records: the last %d were removed", c.Number, c.Count, c.Count-v.seq),
		})
	}
	if v.Checkpoints == 0 && v.Records > 0 {
		v.problem(Problem{Reason: "the anchor has no checkpoint: it is the wrong one, or was removed; nothing vouches for the log"})
	}
	if v.Segments == 0 && v.Checkpoints == 0 {
		v.problem(Problem{Reason: fmt.Sprintf("%s holds no audit trail", filepath.Clean(v.dir))})
	}
}
