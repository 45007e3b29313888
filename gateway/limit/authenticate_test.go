package limit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/storetest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/limit"
	"github.com/handoff-health/handoff/gateway/smart"
)

// An office is where clients authenticate, with limits.
type office struct {
	t      *testing.T
	clock  *clock
	names  *auth.Authenticator
	limits *limit.Limits
	steps  *storetest.Halting // the facts as names sees them
	secret string
}

func newOffice(t *testing.T, change func(*limit.Options)) *office {
	t.Helper()
	return newOffices(t, 1, change)[0]
}

// newOffices are those of several gateways on one store.
func newOffices(t *testing.T, n int, change func(*limit.Options)) []*office {
	t.Helper()
	c, path := newClock(), backendtest.Address(t)
	secret, hash := auth.NewSecret()
	app := auth.Client{
		ID: "app", Organization: "Organization/clinic", OrganizationKind: auth.Health, Purposes: []string{"s|TREAT"}, Providers: []string{"idp"},
		Grants: []string{auth.GrantAuthorizationCode}, RedirectURIs: []string{"https://app.example/back"}, Scopes: smart.ParseGranted("user/*.rs"),
		SecretHashes: []string{hash},
	}
	public := app
	public.ID, public.SecretHashes, public.Public = "public", nil, true
	registry, err := auth.NewRegistry([]auth.Client{app, public}, nil, c.now)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]*office, n)
	for i := range out {
		o := &office{t: t, clock: c, secret: secret, limits: newLimits(t, c, path, change)}
		o.steps = &storetest.Halting{Facts: backendtest.At(t, path, backend.Options{Now: c.now})}
		o.names, err = auth.NewAuthenticator(auth.AuthenticatorOptions{
			TokenURL: "https://gw.example/oauth/token", Issuer: "https://gw.example", Registry: registry, Facts: o.steps, Limiter: o.limits, Now: c.now,
		})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = o
	}
	return out
}

// try authenticates; 200 for a client that is who it says it is.
func (o *office) try(client, secret, source string) (status int, a *auth.Attempt) {
	o.t.Helper()
	a = &auth.Attempt{Source: source}
	form := map[string]string{"client_id": client}
	if secret != "" {
		form["client_secret"] = secret
	}
	_, err := o.names.Authenticate(context.Background(), http.Header{}, form, a)
	var r *auth.Refusal
	switch {
	case err == nil:
		return http.StatusOK, a
	case errors.As(err, &r):
		return r.Status, a
	}
	o.t.Fatal(err)
	return 0, nil
}

func TestGuessesAtASecretLockTheAddress(t *testing.T) {
	o := newOffice(t, func(o *limit.Options) { o.Tokens = -1 })
	const stranger, office = "203.0.113.9:1", "198.51.100.7:1"
	for i := range 5 {
		status, a := o.try("app", fmt.Sprint("guess", i), stranger)
		if status != http.StatusUnauthorized || a.Locked != (i == 4) {
			t.Fatalf("guess %d: %d, locked %v", i, status, a.Locked)
		}
	}
	if status, _ := o.try("app", o.secret, stranger); status != http.StatusTooManyRequests {
		t.Errorf("the right secret from where it was guessed at: %d", status)
	}
	if status, _ := o.try("app", o.secret, office); status != http.StatusOK {
		t.Errorf("the client itself, from where it is: %d", status)
	}
	for range 5 {
		o.try("nobody", "guess", stranger)
	}
	known, _ := o.try("app", "x", stranger)
	unknown, _ := o.try("nobody", "x", stranger)
	if known != unknown {
		t.Errorf("a lock tells which clients there are: %d, %d", known, unknown)
	}
	if _, err := o.limits.Unlock(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if status, _ := o.try("app", o.secret, stranger); status != http.StatusOK {
		t.Errorf("after it was unlocked: %d", status)
	}
}

// The right secret is compared by a gateway that stands still, while the address guesses
// on and is locked out.
func TestALockHoldsForASecretThatIsUnderWay(t *testing.T) {
	o := newOffice(t, func(o *limit.Options) { o.Tokens = -1 })
	const stranger, office = "203.0.113.9:1", "198.51.100.7:1"
	o.steps.From(func(step int, _ string) {
		for i := range 5 {
			if step == 1 {
				o.try("app", fmt.Sprint("guess", i), stranger)
			}
		}
	})
	if status, _ := o.try("app", o.secret, stranger); status != http.StatusTooManyRequests {
		t.Errorf("a secret that was under way when the address was locked out: %d", status)
	}
	o.steps.From(nil)
	if status, _ := o.try("app", o.secret, office); status != http.StatusOK {
		t.Errorf("the client itself, from where it is: %d", status)
	}
}

func TestWhatProvesNothingSpendsFromItsAddress(t *testing.T) {
	o := newOffice(t, func(o *limit.Options) { o.Failures = 5 })
	const stranger, office = "203.0.113.9:1", "198.51.100.7:1"
	n := 0
	for status := 0; status != http.StatusTooManyRequests; n++ {
		if status, _ = o.try(fmt.Sprint("client", n), "guess", stranger); n > 20 {
			t.Fatal("no end of guesses")
		}
	}
	if n != 11 {
		t.Errorf("%d guesses of 10", n-1)
	}
	for range 10 {
		if status, _ := o.try("app", o.secret, office); status != http.StatusOK {
			t.Fatalf("the client: %d", status)
		}
	}
	if status, _ := o.try("app", o.secret, office); status != http.StatusTooManyRequests {
		t.Errorf("a client has a rate too: %d", status)
	}
	for range 10 {
		if status, _ := o.try("public", "", office); status != http.StatusOK {
			t.Fatalf("a public app spends from its address: %d", status)
		}
	}
	if status, _ := o.try("public", "", office); status != http.StatusTooManyRequests {
		t.Errorf("and no longer than its rate: %d", status)
	}
}
