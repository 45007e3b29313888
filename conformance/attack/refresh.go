package attack

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-health/handoff/gateway/guard"
)

// refreshes are what thieves of a refresh token try.
func refreshes() Family {
	try := func(party string, change func(t *Target, k *tokens, f url.Values) error) func(*Target) error {
		return func(t *Target) error {
			k, err := t.granted(party, personScope)
			if err != nil {
				return err
			}
			f := k.refreshing()
			if err := change(t, k, f); err != nil {
				return err
			}
			return gives(t.post(t.Token, f))
		}
	}
	return Family{Area: Authorize, Name: "refresh tokens", Control: works("app"), Attacks: []Attack{
		{"used-refresh", "a refresh token that was replaced gets no token", "smart.md 2.3 (override 4); RFC 9700 4.14", []guard.Name{guard.AuthorizeRefreshOnce}, try("app", func(t *Target, k *tokens, _ url.Values) error {
			_, err := t.refresh(k)
			return err
		})},
		{"used-refresh-ends-access", "a refresh token that comes twice ends the access tokens that came of it", "RFC 9700 4.14.2: the thief and the owner cannot be told apart", []guard.Name{guard.TokenEnded}, func(t *Target) error {
			next, err := replayedRefresh(t)
			if err != nil {
				return err
			}
			return opensRecord(t, next.access, "weight")
		}},
		{"used-refresh-ends-refresh", "a refresh token that comes twice ends the one that replaced it", "RFC 9700 4.14.2", []guard.Name{guard.AuthorizeFamily}, func(t *Target) error {
			next, err := replayedRefresh(t)
			if err != nil {
				return err
			}
			return gives(t.post(t.Token, next.refreshing()))
		}},
		{"old-refresh", "a refresh token that nobody used for a month is over", "RFC 9700 4.14.2; CJIS IA-11", []guard.Name{guard.AuthorizeRefreshLife}, func(t *Target) error {
			k, err := t.granted("app", personScope)
			if err != nil {
				return err
			}
			back, err := t.later(31 * 24 * time.Hour)
			if err != nil {
				return err
			}
			defer back()
			return gives(t.post(t.Token, k.refreshing()))
		}},
		{"refresh-of-an-ended-app", "what an app was let do by a gateway whose clock is ahead ends with the app, and stays ended when it is enabled again", "several gateways on one store: no end hangs on a clock", []guard.Name{guard.TokenGeneration}, func(t *Target) error {
			k, err := endedAhead(t)
			if err != nil {
				return err
			}
			return gives(t.post(t.Token, k.refreshing()))
		}},
		{"other-apps-refresh", "a refresh token of one app gets another nothing", "smart.md 1.2 A6: bound to the client", []guard.Name{guard.AuthorizeRefreshOf}, try("app", func(t *Target, _ *tokens, f url.Values) error {
			other, err := t.party("second app")
			if err != nil {
				return err
			}
			f.Set("client_id", other.ID)
			return nil
		})},
		{"more-scope", "a refresh asks for no scope that was not granted", "smart.md 1.2 A6: a subset", []guard.Name{guard.AuthorizeRefreshScope}, try("app", func(_ *Target, _ *tokens, f url.Values) error {
			f.Set("scope", "user/Patient.rs user/Observation.rs user/Condition.rs")
			return nil
		})},
		{"other-level", "a refresh changes no level", "smart.md 1.7", []guard.Name{guard.AuthorizeRefreshScope}, try("app", func(_ *Target, _ *tokens, f url.Values) error {
			f.Set("scope", "patient/Observation.rs")
			return nil
		})},
		{"access-as-refresh", "an access token is no refresh token", "RFC 8725 2.8", nil, try("app", func(_ *Target, k *tokens, f url.Values) error {
			f.Set("refresh_token", k.access)
			return nil
		})},
		{"refresh-as-access", "a refresh token opens nothing", "RFC 6749 1.5", nil, func(t *Target) error {
			k, err := t.granted("app", personScope)
			if err != nil {
				return err
			}
			return opensRecord(t, k.refresh, "weight")
		}},
		{"confidential-refresh", "a refresh token of a confidential app gets no token without its secret", "RFC 6749 6", []guard.Name{guard.ClientAuthentication}, try("confidential", func(_ *Target, k *tokens, f url.Values) error {
			f.Set("client_id", k.app.ID)
			return nil
		})},
		{"not-asked-for", "who did not ask to stay connected gets no refresh token", "smart.md 1.2 A6", nil, func(t *Target) error {
			k, err := t.granted("app", strings.ReplaceAll(personScope, "offline_access ", ""))
			if err == nil && k.refresh != "" {
				err = breach("it has one")
			}
			return err
		}},
		{"beyond-registration", "a person cannot let an app do more than it is registered for", "smart.md 1.4 [R250]", []guard.Name{guard.AuthorizeScope}, func(t *Target) error {
			k, err := t.granted("app", personScope+" user/Condition.rs")
			if err == nil && strings.Contains(k.scope, "Condition") {
				err = breach("it has %q", k.scope)
			}
			return err
		}},
		{"beyond-granted", "an app opens nothing beyond what the person let it do", "smart.md 1.5", nil, func(t *Target) error {
			if err := t.has("{asthma}"); err != nil {
				return err
			}
			k, err := t.granted("app", personScope)
			if err != nil {
				return err
			}
			return forbidden(t.get(k.access, t.fill("{asthma}")))
		}},
	}}
}

// replayedRefresh is what replaced a refresh token that came a second time.
func replayedRefresh(t *Target) (*tokens, error) {
	k, err := t.granted("app", personScope)
	if err != nil {
		return nil, err
	}
	next, err := t.refresh(k)
	if err != nil {
		return nil, err
	}
	_, err = t.post(t.Token, k.refreshing())
	return next, err
}

// endedAhead opens an app where the clock is two minutes ahead, and has the app
// disabled, and enabled again, where it is right.
func endedAhead(t *Target) (*tokens, error) {
	app, err := t.party("second app")
	if err != nil {
		return nil, err
	}
	back, err := t.later(2 * time.Minute)
	if err != nil {
		return nil, err
	}
	k, err := t.granted("second app", personScope)
	back()
	if err != nil {
		return nil, err
	}
	for _, do := range []string{"disable", "enable"} {
		a, err := t.manage("registrar", http.MethodPost, "/"+app.ID+"/"+do, object{})
		if err == nil && !a.ok() {
			err = fmt.Errorf("%s: %s", do, a)
		}
		if err != nil {
			return nil, err
		}
	}
	return k, nil
}
