package auth

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Asserted is what a client says, in its signed assertion, of whom and what it
// asks for: the HL7 B2B Authorization Extension Object of the UDAP Security
// guide, and how the person signed in (amr, RFC 8176). It narrows what the
// client is registered for and can widen nothing.
//
// https://hl7.org/fhir/us/udap-security/b2b.html#b2b-authorization-extension-object
type Asserted struct {
	UserID   string // subject_id: URI, "system#value", or Practitioner/…; "" if nobody is named
	UserName string // subject_name
	Role     string // subject_role, "system#code"; "" leaves the roles of the registration
	// Organization is the client's own: the URL of its Organization here, or
	// "system#value" of one of its identifiers.
	Organization     string
	OrganizationName string
	Purposes         []string // purpose_of_use, "system#code"; at least one
	Methods          []string // amr of the user
}

// Limits on what is asserted: more than any of it needs.
const (
	maxAssertedBytes = 255 // of one string
	maxAssertedList  = 16  // of values in a list
)

// extensionName is the member of the claim "extensions".
const extensionName = "hl7-b2b"

// readAsserted reads the extension and amr from the claims of a token; nil if
// there are none. An error says what is wrong in words that hold nothing of
// what was sent.
func readAsserted(claims resource.Node) (*Asserted, error) {
	x, amr := claims.Get("extensions"), claims.Get("amr")
	if !x.Exists() {
		return nil, nil
	}
	if x.Kind() != resource.Object {
		return nil, fmt.Errorf("extensions is not an object")
	}
	var a *Asserted
	for m := range x.Members() {
		if m.Name() != extensionName {
			return nil, fmt.Errorf("extensions holds another extension than %s; none is understood here", extensionName)
		}
		var err error
		if a, err = readExtension(m); err != nil {
			return nil, fmt.Errorf("extensions.%s: %w", extensionName, err)
		}
	}
	if a == nil {
		return nil, fmt.Errorf("extensions is empty")
	}
	if amr.Exists() {
		var err error
		if a.Methods, err = texts(amr, "amr"); err != nil {
			return nil, err
		}
	}
	if len(a.Methods) > 0 && a.UserID == "" {
		return nil, fmt.Errorf("amr says how a person signed in, and subject_id names none")
	}
	return a, nil
}

func readExtension(x resource.Node) (*Asserted, error) {
	if x.Kind() != resource.Object {
		return nil, fmt.Errorf("it is not an object")
	}
	a := &Asserted{}
	version := ""
	for m := range x.Members() {
		var err error
		switch m.Name() {
		case "version":
			version, err = line(m, "version")
		case "subject_id":
			a.UserID, err = line(m, "subject_id")
		case "subject_name":
			a.UserName, err = line(m, "subject_name")
		case "subject_role":
			a.Role, err = line(m, "subject_role")
		case "organization_id":
			a.Organization, err = line(m, "organization_id")
		case "organization_name":
			a.OrganizationName, err = line(m, "organization_name")
		case "purpose_of_use":
			a.Purposes, err = texts(m, "purpose_of_use")
		case "consent_policy", "consent_reference":
			// Which Consents count is found out here, whatever is claimed.
			_, err = texts(m, m.Name())
		default:
			err = fmt.Errorf("it has a member that is not understood")
		}
		if err != nil {
			return nil, err
		}
	}
	return a, a.check(version)
}

// check wants what the guide requires.
func (a *Asserted) check(version string) error {
	switch {
	case version != "1":
		return fmt.Errorf(`version must be "1"`)
	case a.Organization == "":
		return fmt.Errorf("organization_id is missing")
	case len(a.Purposes) == 0:
		return fmt.Errorf("purpose_of_use is missing")
	case (a.UserID == "") != (a.UserName == ""):
		return fmt.Errorf("subject_id and subject_name go together")
	case a.Role != "" && a.UserID == "":
		return fmt.Errorf("subject_role is somebody's, and subject_id names nobody")
	}
	return nil
}

// line reads a short text on one line, as a person could be shown it: no
// control and no format characters, which could make it look like another.
func line(n resource.Node, name string) (string, error) {
	if n.Kind() != resource.String {
		return "", fmt.Errorf("%s is not a string", name)
	}
	s := n.Text()
	if s == "" || len(s) > maxAssertedBytes {
		return "", fmt.Errorf("%s has %d bytes, want 1 to %d", name, len(s), maxAssertedBytes)
	}
	bad := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if !utf8.ValidString(s) || strings.ContainsFunc(s, bad) || strings.TrimSpace(s) != s {
		return "", fmt.Errorf("%s is not plain text on one line", name)
	}
	return s, nil
}

// texts reads a list of short texts.
func texts(n resource.Node, name string) ([]string, error) {
	if n.Kind() != resource.Array {
		return nil, fmt.Errorf("%s is not an array", name)
	}
	var out []string
	for e := range n.Elements() {
		if len(out) == maxAssertedList {
			return nil, fmt.Errorf("%s holds more than %d values", name, maxAssertedList)
		}
		s, err := line(e, "a value of "+name)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	return out, nil
}

// An extensions is the claim of that name.
type extensions struct {
	B2B b2b `json:"hl7-b2b"`
}

type b2b struct {
	Version          string   `json:"version"`
	SubjectName      string   `json:"subject_name,omitempty"`
	SubjectID        string   `json:"subject_id,omitempty"`
	SubjectRole      string   `json:"subject_role,omitempty"`
	OrganizationID   string   `json:"organization_id"`
	OrganizationName string   `json:"organization_name,omitempty"`
	PurposeOfUse     []string `json:"purpose_of_use"`
}

// claim renders it as the claim extensions; nil gives none.
func (a *Asserted) claim() *extensions {
	if a == nil {
		return nil
	}
	return &extensions{B2B: b2b{
		Version: "1", SubjectName: a.UserName, SubjectID: a.UserID, SubjectRole: a.Role,
		OrganizationID: a.Organization, OrganizationName: a.OrganizationName, PurposeOfUse: a.Purposes,
	}}
}

func (a *Asserted) methods() []string {
	if a == nil {
		return nil
	}
	return a.Methods
}
