package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/epoch"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A tokenDesk verifies access tokens against the store that a gateway has: SQLite
// behind the epoch's memory, with endings of other tokens in it.
type tokenDesk struct {
	db       backend.Backend
	cache    *epoch.Cache
	registry *auth.Registry
	key      *auth.PrivateKey
	issuer   auth.Issuer
	tokens   auth.AccessTokens
	given    string // generation of the tokens
	verifier *auth.Verifier
	made     int
}

const (
	tokenBase     = "https://gw.example/fhir"
	tokenIssuer   = "https://gw.example"
	endedTokens   = 1000
	tokensAtOnce  = 200
	tokenScopes   = "launch openid fhirUser user/Patient.rs user/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory user/Condition.rs user/Encounter.rs"
	tokenNewGoal  = 50_000 // ns beside one signature
	tokenSeenGoal = 10_000 // ns
)

func newTokenDesk(ctx context.Context, dir string) (d *tokenDesk, err error) {
	d = &tokenDesk{}
	if d.db, err = backend.Open(ctx, filepath.Join(dir, "tokens.db"), backend.Options{}); err != nil {
		return nil, err
	}
	d.cache = epoch.New(d.db, 0, nil)
	if d.key, err = auth.GenerateKey(auth.ES256); err != nil {
		return d, err
	}
	if d.issuer, err = auth.OwnIssuer(tokenIssuer, tokenBase, d.key); err != nil {
		return d, err
	}
	d.tokens = auth.AccessTokens{Issuer: tokenIssuer, Audience: tokenBase, Key: d.key}
	app := auth.Client{
		ID: "app", Public: true, Grants: []string{auth.GrantAuthorizationCode}, RedirectURIs: []string{"https://app.example/back"}, Providers: []string{"idp"},
		Organization: "Organization/clinic", OrganizationKind: auth.Health, ContextScopes: []string{"launch", "openid", "fhirUser"},
		Roles:    []label.Code{{System: "https://handoff-health.github.io/fhir/CodeSystem/actor-role", Code: "treating-clinician"}},
		Purposes: []string{"http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT"}, Scopes: smart.ParseGranted("user/*.rs"),
	}
	if d.registry, err = auth.NewRegistry([]auth.Client{app}, nil, nil); err != nil {
		return d, err
	}
	for i := range endedTokens {
		if err := auth.EndAuthorization(ctx, d.db, fmt.Sprint("ended", i), time.Now().Add(time.Hour)); err != nil {
			return d, err
		}
	}
	if d.given, err = auth.ReadGeneration(ctx, d.db, "app", "subject"); err != nil {
		return d, err
	}
	return d, d.forget(ctx)
}

func (d *tokenDesk) close() error { return d.db.Close() }

// forget makes a verifier that has seen no token, on a store of which nothing is
// remembered.
func (d *tokenDesk) forget(ctx context.Context) (err error) {
	if _, err := d.db.PutIfAbsent(ctx, "bench/"+rand.Text(), nil, time.Time{}); err != nil {
		return err
	}
	d.verifier, err = auth.NewVerifier(auth.VerifierOptions{Issuers: []auth.Issuer{d.issuer}, Registry: d.registry, Facts: d.cache})
	return err
}

// fresh makes tokens for as many persons.
func (d *tokenDesk) fresh() ([]string, error) {
	out := make([]string, tokensAtOnce)
	for i := range out {
		d.made++
		t, err := d.tokens.ForPerson(&auth.Authorization{
			ID: fmt.Sprint("family", d.made), Client: "app", Subject: fmt.Sprint("subject", d.made), Session: fmt.Sprint("session", d.made), SignedIn: time.Now(), MFA: true,
			Said:     auth.Asserted{UserID: "urn:oid:2.16.840.1.113883.4.6#1234567893", UserName: "Ana Ortiz, MD", Organization: "Organization/clinic", Purposes: []string{"TREAT"}, Methods: []string{"pwd", "otp"}},
			FHIRUser: "Practitioner/ortiz", Scope: tokenScopes, Patient: "Patient/ada", Generation: d.given,
		}, time.Hour)
		if err != nil {
			return nil, err
		}
		out[i] = t.Token
	}
	return out, nil
}

// ask is what a request does with its token.
func (d *tokenDesk) ask(ctx context.Context, token string) error {
	p, err := d.verifier.Verify(ctx, token)
	switch {
	case err != nil:
		return fmt.Errorf("WRONG ANSWER: %w", err)
	case p.Patient != "Patient/ada" || len(p.Scopes) != 4:
		return fmt.Errorf("WRONG ANSWER: principal %+v", p)
	case !p.Scopes.Allows("Patient", smart.Read) || p.Scopes.Allows("Patient", smart.Create):
		return errors.New("WRONG ANSWER: scopes")
	}
	return nil
}

// A signature is one ECDSA signature with what it is of.
type ecdsaSignature struct {
	key    *ecdsa.PublicKey
	text   []byte
	sealed []byte
}

func newSignature(token string) (*ecdsaSignature, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &ecdsaSignature{key: &k.PublicKey, text: []byte(token[:strings.LastIndexByte(token, '.')])}
	sum := sha256.Sum256(s.text)
	s.sealed, err = ecdsa.SignASN1(rand.Reader, k, sum[:])
	return s, err
}

func (s *ecdsaSignature) verify() error {
	sum := sha256.Sum256(s.text)
	if !ecdsa.VerifyASN1(s.key, sum[:], s.sealed) {
		return errors.New("WRONG ANSWER: the signature does not hold")
	}
	return nil
}

// A tokenCost is what one token takes, in nanoseconds, one for each round.
type tokenCost struct{ signature, fresh, seen, pin []number }

// costOfTokens runs signatures and tokens in turn.
func (d *tokenDesk) costOfTokens(ctx context.Context, rounds int) (*tokenCost, error) {
	runtime.LockOSThread() // its clock is read
	defer runtime.UnlockOSThread()
	c := &tokenCost{}
	for range rounds {
		tokens, err := d.fresh()
		if err != nil {
			return nil, err
		}
		s, err := newSignature(tokens[0])
		if err != nil {
			return nil, err
		}
		if err := d.forget(ctx); err != nil {
			return nil, err
		}
		// A new token and a signature in turn: a slow moment is slow for both.
		var sign, fresh, seen, pin time.Duration
		for _, token := range tokens {
			took, err := cpuOf(s.verify)
			if err != nil {
				return nil, err
			}
			sign += took
			pinned, err := d.cache.Pin(ctx)
			if err != nil {
				return nil, err
			}
			if took, err = cpuOf(func() error { return d.ask(pinned, token) }); err != nil {
				return nil, err
			}
			fresh += took
		}
		for _, token := range tokens {
			var pinned context.Context
			took, err := cpuOf(func() (err error) { pinned, err = d.cache.Pin(ctx); return err })
			if err != nil {
				return nil, err
			}
			pin += took
			if took, err = cpuOf(func() error { return d.ask(pinned, token) }); err != nil {
				return nil, err
			}
			seen += took
		}
		each := func(d time.Duration) number { return number(d.Nanoseconds()) / tokensAtOnce }
		c.signature, c.fresh = append(c.signature, each(sign)), append(c.fresh, each(fresh))
		c.seen, c.pin = append(c.seen, each(seen)), append(c.pin, each(pin))
	}
	return c, nil
}

// cpuOf is the time of one call on this thread's processor; where that cannot be
// had, the time that went by.
func cpuOf(f func() error) (time.Duration, error) {
	before, ok := threadCPU()
	start := time.Now()
	err := f()
	took := time.Since(start)
	if after, ok2 := threadCPU(); ok && ok2 {
		took = after - before
	}
	return took, err
}

// measureTokens verifies access tokens in this process.
func measureTokens(ctx context.Context, b *bench) (err error) {
	d, err := newTokenDesk(ctx, b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	c, err := d.costOfTokens(ctx, 2*b.pace.pairs)
	if err != nil {
		return err
	}
	t := b.report.table("One access token and its scopes, in process", "token", column{"n", 0}, column{"ns", 0}, column{"beside one signature ns", 0})
	n := number(2 * b.pace.pairs * tokensAtOnce)
	added := median(pairwise(c.fresh, c.signature, difference))
	t.add("ECDSA P-256 signature alone, crypto/ecdsa", n, median(c.signature), 0)
	t.add("not seen before", n, median(c.fresh), added)
	t.add("verified before", n, median(c.seen), median(c.seen))
	t.add("the store's epoch, once a request", n, median(c.pin), median(c.pin))
	t.note("Tokens are for persons: five reads of what was ended (the token, its authorization, sign-in, person and app) from SQLite, which holds %d other endings. A token not seen before reads them from the file, in one step; one verified before has them from memory, while the epoch stands. Times are of this thread's processor.", endedTokens)
	b.report.goal("a token not seen before, with its scopes, beside one signature", "≤ 50 µs", added <= tokenNewGoal, "%.1f µs", added/1000)
	b.report.goal("a token verified before, with its scopes", "≤ 10 µs", median(c.seen) <= tokenSeenGoal, "%.1f µs; with the epoch %.1f µs", median(c.seen)/1000, (median(c.seen)+median(c.pin))/1000)
	return nil
}
