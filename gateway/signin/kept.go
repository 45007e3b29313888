package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/auth"
)

// A Kept is a session as the store keeps it, whoever's browser it is of.
type Kept struct {
	Person Person
	SignIn auth.SignIn // whether it was ended, auth.SignInEnded says
	Used   time.Time   // to the minute
}

// EachSession calls do for every session whose time has not passed at now, ended or not.
// One that was not used for long may be over: how long, the server's options say.
func EachSession(ctx context.Context, facts store.Facts, now time.Time, do func(*Kept) error) error {
	return store.EachFact(ctx, facts, sessionKey, func(f store.Fact) error {
		var held session
		if err := json.Unmarshal(f.Value, &held); err != nil {
			return fmt.Errorf("session: %w", err)
		}
		if !now.Before(held.Ends) {
			return nil
		}
		return do(&Kept{held.Person, held.signIn(), held.Used})
	})
}
