package gateway

import (
	"errors"
	"time"

	"github.com/handoff-health/handoff/fhir/outcome"
	"github.com/handoff-health/handoff/gateway/auth"
)

// tooSoon is a caller above its rate, with when to come again.
type tooSoon struct{ wait time.Duration }

func (tooSoon) Error() string { return "the caller is above its rate" }

// limited refuses a caller above its rate: by the token alone, and before anything
// is read.
func (s *Server) limited(x *exchange) error {
	if s.o.Limits == nil {
		return nil
	}
	if wait, ok := s.o.Limits.Request(x.principal); !ok {
		return outcome.Throttled().Because(tooSoon{wait})
	}
	return nil
}

// comeAgain is the Retry-After of a refusal: whole seconds.
func comeAgain(err error) string {
	var soon tooSoon
	errors.As(err, &soon)
	return auth.RetryAfter(soon.wait)
}
