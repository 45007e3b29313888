package emergency

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// OutboxParam is the index entry of a notice that is to be delivered, with
// OutboxWaiting as its value. It is no search parameter.
const (
	OutboxParam   = "gateway-outbox"
	OutboxWaiting = "waiting"
)

// Kinds of notices.
const (
	GlassBroken       = "emergency-disclosure"           // a review is due
	BasisDeclared     = "legal-basis-declared"           // somebody of the custodian has to decide
	AcceptedInAdvance = "legal-basis-accepted-by-policy" // a sharing agreement has decided
)

// A Notice tells a custodian's privacy contact that something wants a look. It
// holds ids and times: whoever may, reads the rest here.
type Notice struct {
	Kind      string
	Custodian string // "Organization/…"
	Contact   string // name of the privacy contact, "" if there is none
	About     []string
	At        time.Time
	Due       time.Time // zero: nothing is due
	// Delivered is when it reached the contact's system; zero while it waits, and
	// for a notice that waits for nobody (see Waits).
	Delivered time.Time
	Waits     bool // it is to be delivered to a system of the contact
}

// Communication writes it. One that waits is in progress until it is delivered.
func (n *Notice) Communication(id string) ([]byte, error) {
	recipient := object{"reference": n.Custodian}
	if n.Contact != "" {
		recipient["display"] = n.Contact
	}
	var about []object
	for _, ref := range n.About {
		about = append(about, reference(ref))
	}
	c := object{
		"resourceType": "Communication", "id": id, "meta": object{"profile": []string{NoticeProfile}},
		"status": "completed", "category": []object{concept(noticeSystem, n.Kind)},
		"recipient": []object{recipient}, "sent": instant(n.At), "about": about,
	}
	if n.Waits && n.Delivered.IsZero() {
		c["status"] = "in-progress"
	}
	if !n.Delivered.IsZero() {
		c["received"] = instant(n.Delivered)
	}
	if !n.Due.IsZero() {
		c["payload"] = []object{{"contentString": "due " + instant(n.Due)}}
	}
	return json.Marshal(c)
}

// ReadNotice turns the Communication back.
func ReadNotice(r *resource.Resource) (*Notice, error) {
	root := r.Root()
	n := &Notice{Waits: root.Get("status").Is("in-progress")}
	for c := range root.All("category") {
		for coding := range c.All("coding") {
			n.Kind = coding.Get("code").Text()
		}
	}
	for to := range root.All("recipient") {
		n.Custodian, n.Contact = to.Get("reference").Text(), to.Get("display").Text()
	}
	for a := range root.All("about") {
		n.About = append(n.About, a.Get("reference").Text())
	}
	var err error
	if n.At, err = parseInstant(root.Get("sent")); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Reference(), err)
	}
	if at := root.Get("received"); at.Exists() {
		n.Waits = true
		if n.Delivered, err = parseInstant(at); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Reference(), err)
		}
	}
	for p := range root.All("payload") {
		var due string
		if _, err := fmt.Sscanf(p.Get("contentString").Text(), "due %s", &due); err != nil {
			return nil, fmt.Errorf("%s: the payload is not understood", r.Reference())
		}
		if n.Due, err = time.Parse(time.RFC3339, due); err != nil {
			return nil, fmt.Errorf("%s: due: %w", r.Reference(), err)
		}
	}
	if !is(r, NoticeProfile) || n.Kind == "" || n.Custodian == "" {
		return nil, fmt.Errorf("%s is no notice", r.Reference())
	}
	return n, nil
}
