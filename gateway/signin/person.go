package signin

import (
	"net/http"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
)

// A Person is somebody who signed in.
type Person struct {
	Session      string // opaque id of the session, not its cookie
	Provider     string // id of the provider
	Subject      string // opaque, the same at every sign-in of this person
	Organization string // "Organization/…", the provider's
	ID           string // at the organisation, "system#value" where the provider names a system
	Name         string
	FHIRUser     string // "Practitioner/…"; "" where the directory does not know the person
	Roles        []label.Code
	Methods      []string // amr
	ACR          string
	MFA          bool
	SignedIn     time.Time // at the provider; the session ends so long after it
	Began        time.Time // when the session began here
	// Generation of the person under which it began (auth.PersonGeneration); "" of an
	// older release.
	Generation string `json:",omitempty"`
}

// Sessions is what other packages ask of this one.
type Sessions interface {
	// Current returns who is signed in at this browser, nil if nobody is or the
	// session has ended. An error means that it cannot be known.
	Current(r *http.Request) (*Person, error)
	// Ask sends the browser to sign in at one of the providers, and back to next, a
	// path of this server below /oauth/, afterwards. again: also a person who is
	// signed in, whom the provider is to ask again.
	Ask(w http.ResponseWriter, r *http.Request, providers []string, next string, again bool)
	// End ends the session of this browser and the tokens that hang on it, and
	// forgets its cookie. It returns who was signed in, nil if nobody was.
	End(w http.ResponseWriter, r *http.Request) (*Person, error)
	// Check says whether a form came from a page that this browser was shown, by
	// the field that Field names; Token makes its value. Token may set a cookie,
	// so it comes before the page.
	Check(r *http.Request) bool
	Token(w http.ResponseWriter, r *http.Request) string
}

// Field is the name of the form field that proves where a form came from.
const Field = "page_token"
