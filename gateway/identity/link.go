package identity

import "time"

// A Link says that a Patient here and a Patient of a connected system, or two
// Patients here, are the same person. Links never merge records; they can be
// undone.
type Link struct {
	Patient  string    `json:"patient"`  // reference on this gateway: "Patient/…"
	System   string    `json:"system"`   // configuration key of the connected system; "" for the own store
	RemoteID string    `json:"remoteId"` // the Patient's id at that system, or here
	State    State     `json:"state"`
	Method   string    `json:"method"` // "roster", "identifier", "demographics", "manual", "merge"
	Score    float64   `json:"score,omitempty"`
	Reviewer string    `json:"reviewer,omitempty"`
	Reason   string    `json:"reason,omitempty"` // of a merge: who said so and when
	At       time.Time `json:"at"`
	Version  int       `json:"version,omitempty"` // from 1, one step per change; set by Links
}

// A State is how far a link may be relied on. The zero value is a candidate,
// which neither widens an answer nor is mentioned in one.
type State uint8

// The states.
const (
	Candidate State = iota
	Confirmed
	Undone
)

var stateNames = [...]string{"candidate", "confirmed", "undone"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}
