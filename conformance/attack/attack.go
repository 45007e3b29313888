package attack

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

// An Area is a part of the gateway that has a floor of attacks.
type Area string

// The areas.
const (
	Tokens    Area = "token"
	Clients   Area = "client authentication"
	Authorize Area = "authorize"
	Scopes    Area = "scopes"
	Access    Area = "FHIR access and side channels"
	Parsers   Area = "parsers and transport"
)

// Floors is how many attacks each area has at least.
var Floors = map[Area]int{Tokens: 25, Clients: 20, Authorize: 15, Scopes: 20, Access: 30, Parsers: 15}

// A Family is attacks that share what they vary.
type Family struct {
	Area Area
	Name string
	// Control is the request without the attack. It returns nil if it got what
	// the attacks are after.
	Control func(*Target) error
	Attacks []Attack
}

// An Attack is one statement about what opens nothing.
type Attack struct {
	Name      string // unique in its area
	Statement string // "a token whose signature another key made opens nothing"
	Why       string // where that is written, or who got it wrong
	Guards    []guard.Name
	// Do tries it: nil if it was stopped, a [*Breach] if it succeeded, [Missing]
	// if something that it needs was not given; any other error says that the try
	// itself failed.
	Do func(*Target) error
}

// A Breach says what an attack got.
type Breach struct{ What string }

func (b *Breach) Error() string { return b.What }

func breach(format string, args ...any) error { return &Breach{fmt.Sprintf(format, args...)} }

// Missing names what an attack needs and the target does not give.
type Missing string

func (m Missing) Error() string { return "the target gives no " + string(m) }

// A Verdict is what came of an attack.
type Verdict string

// The verdicts.
const (
	Stopped   Verdict = "stopped"
	Succeeded Verdict = "SUCCEEDED"
	Skipped   Verdict = "skipped"
	Failed    Verdict = "FAILED" // could not be tried, or its control did not succeed
)

// A Result is one attack with its verdict.
type Result struct {
	Area   Area
	Family string
	Attack Attack
	Verdict
	Detail string // what it got, what is missing, what failed
	Took   time.Duration
}

// All lists the families in the order of their areas.
func All() []Family {
	return slices.Concat(tokenFamilies(), clientFamilies(), authorizeFamilies(), scopeFamilies(), accessFamilies(), parserFamilies())
}

// Against lists the families with only those attacks that the guard stops.
func Against(n guard.Name) []Family {
	var out []Family
	for _, f := range All() {
		f.Attacks = slices.DeleteFunc(slices.Clone(f.Attacks), func(a Attack) bool { return !slices.Contains(a.Guards, n) })
		if len(f.Attacks) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// Run does the attacks one after the other.
func Run(t *Target, families []Family) []Result {
	var out []Result
	for _, f := range families {
		control := f.Control(t)
		for _, a := range f.Attacks {
			r := Result{Area: f.Area, Family: f.Name, Attack: a}
			start := time.Now()
			err := control
			if err == nil {
				err = a.Do(t)
			} else if missing := Missing(""); !errors.As(err, &missing) {
				err = fmt.Errorf("the control of %q did not succeed: %w", f.Name, err)
			}
			r.Took = time.Since(start)
			r.Verdict, r.Detail = judge(err, control == nil)
			out = append(out, r)
		}
	}
	return out
}

// judge turns what an attack returned into a verdict. Only an attack itself can
// succeed, not its control.
func judge(err error, tried bool) (Verdict, string) {
	var missing Missing
	var got *Breach
	switch {
	case err == nil:
		return Stopped, ""
	case errors.As(err, &missing):
		return Skipped, err.Error()
	case tried && errors.As(err, &got):
		return Succeeded, got.What
	}
	return Failed, err.Error()
}
