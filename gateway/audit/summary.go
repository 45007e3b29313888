package audit

import (
	"context"
	"slices"
	"time"
)

// A Summary is what a reviewer looks at first (CJIS AU-6: weekly).
type Summary struct {
	From         time.Time      `json:"from"`         // first and last event that counted
	To           time.Time      `json:"to"`           // first and last event that counted
	Events       int            `json:"events"`       // without the trail's own
	Patients     int            `json:"patients"`     // different patients asked about
	Interactions map[string]int `json:"interactions"` // by interaction
	Outcomes     map[string]int `json:"outcomes"`     // by outcome word
	Clients      map[string]int `json:"clients"`      // by client; "-" for none
	Users        map[string]int `json:"users"`        // by user, where there is one
	Purposes     map[string]int `json:"purposes"`     // by purpose of use
	Reasons      map[string]int `json:"reasons"`      // of refusals, by reason
	Refused      int            `json:"refused"`      // events with another outcome than success
	Incomplete   int            `json:"incomplete"`   // answers that lacked a connected system
	Permitted    int            `json:"permitted"`    // resources, by decision
	Redacted     int            `json:"redacted"`
	Denied       int            `json:"denied"`
	Crashes      int            `json:"crashes"` // starts after a crash
	Cuts         int            `json:"cuts"`    // torn ends that were cut off
	// Explanations are the uses of $explain-access, refused ones too: the newest
	// of them, and in Interactions how many there were.
	Explanations []Explained `json:"explanations,omitempty"`
}

// An Explained is one use of $explain-access.
type Explained struct {
	At           time.Time `json:"at"`
	Client       string    `json:"client,omitempty"`
	User         string    `json:"user,omitempty"`
	UserName     string    `json:"userName,omitempty"`
	Organization string    `json:"organization,omitempty"`
	Asked        string    `json:"asked,omitempty"` // whose access to what
	Status       int       `json:"status"`
	Request      string    `json:"request"`
}

// explainAccess is the interaction of $explain-access.
const explainAccess = "$explain-access"

// maxListed bounds how many uses a report lists.
const maxListed = 200

// Summarize counts the events of a time span in the trails of one or several
// writers; a zero time is no bound. from is included, to is not.
func Summarize(ctx context.Context, from, to time.Time, dirs ...string) (Summary, error) {
	s := Summary{
		Interactions: map[string]int{}, Outcomes: map[string]int{}, Clients: map[string]int{},
		Users: map[string]int{}, Purposes: map[string]int{}, Reasons: map[string]int{},
	}
	patients := map[string]bool{}
	count := func(r Record) error {
		e := &r.Event
		if !from.IsZero() && e.At.Before(from) || !to.IsZero() && !e.At.Before(to) {
			return nil
		}
		if e.Administrative() {
			s.administrative(e)
			return nil
		}
		for _, p := range e.Patients {
			patients[p] = true
		}
		s.add(e)
		return nil
	}
	for _, dir := range dirs {
		if err := Follow(ctx, dir, 1, 0, count); err != nil {
			return s, err
		}
	}
	s.Patients = len(patients)
	slices.SortStableFunc(s.Explanations, func(a, b Explained) int { return a.At.Compare(b.At) })
	s.Explanations = s.Explanations[max(0, len(s.Explanations)-maxListed):]
	return s, nil
}

func (s *Summary) administrative(e *Event) {
	switch {
	case e.Interaction == Cut:
		s.Cuts++
	case e.Interaction == Opened && e.Reason == "crash":
		s.Crashes++
	}
}

func (s *Summary) add(e *Event) {
	s.Events++
	if s.From.IsZero() || e.At.Before(s.From) {
		s.From = e.At
	}
	if e.At.After(s.To) {
		s.To = e.At
	}
	s.Interactions[e.Interaction]++
	s.Outcomes[e.Outcome.String()]++
	s.Clients[orDash(e.Client)]++
	if e.User != "" {
		s.Users[e.User]++
	}
	if e.Interaction == explainAccess {
		s.Explanations = append(s.Explanations, Explained{e.At, e.Client, e.User, e.UserName, e.Organization, e.Query, e.Status, e.ID})
	}
	for _, p := range e.Purposes {
		s.Purposes[p]++
	}
	if e.Outcome != Success {
		s.Refused++
		s.Reasons[orDash(e.Reason)]++
	}
	if e.Incomplete {
		s.Incomplete++
	}
	for i := range e.Resources {
		switch e.Resources[i].Decision {
		case "permit":
			s.Permitted++
		case "redact":
			s.Redacted++
		default:
			s.Denied++
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
