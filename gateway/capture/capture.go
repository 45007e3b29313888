package capture

import (
	"strconv"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A Capture is what a person was asked and answered on the scene, as the device
// sent it. Nothing of it is believed beyond what Check lets pass.
type Capture struct {
	Form       string // canonical of the form that was answered, with its version; "" for Parameters
	Document   []byte // the response itself
	Identifier Identifier
	Patient    string
	How        string // resource.CapturedVerbal or CapturedWritten
	Refused    bool

	Custodians, Recipients []string // references
	Purposes               []string // codes: CRISIS, TREAT …
	What                   []string // kinds of data: crisis-plan …
	Sensitivities          []string // mental-health …
	Part2                  bool     // names the records of a Part 2 program
	Informed               bool     // the person was told the rights that the form states

	Capacity, CapacityBy  string
	Witness, AskedBy      string
	Language, Interpreter string
	Evidence              string // of a recording: its number, never its content
	Contact               Contact
	Replaces              string // a Consent that this one takes the place of

	AskedAt   time.Time
	Ends      time.Time // zero: not stated
	Signature Signature
}

// An Identifier is the device's name for the capture.
type Identifier struct{ System, Value string }

// A Contact is whom the person wants to be called.
type Contact struct{ Reference, Name, Phone string }

// Asked says whether somebody is to be called.
func (c Contact) Asked() bool { return c.Reference != "" || c.Name != "" || c.Phone != "" }

// A Signature is an electronic signature.
type Signature struct {
	Raw    []byte // the R4 Signature as it was sent
	Data   []byte // its bytes
	Format string
	Who    string // reference
	When   time.Time
}

// Given says whether there is one.
func (s Signature) Given() bool { return len(s.Data) > 0 }

// Effective says whether the Consent counts at once: a permit of somebody whose
// capacity is in doubt is kept as proposed and opens nothing.
func (c *Capture) Effective() bool { return c.Refused || c.Capacity == "capable" }

// Ceiling is what is kept beside the Consent and bounds it in every decision.
func (c *Capture) Ceiling() resource.Capture {
	out := resource.Capture{How: c.How}
	if !c.Refused {
		out.Until = c.Ends.Unix()
	}
	return out
}

func indexed(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
