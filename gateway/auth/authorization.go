package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
)

// MaxPersonTokenLife is the longest life of an access token that an app gets for
// a person (SMART 2.2, app launch: no more than an hour).
const MaxPersonTokenLife = time.Hour

// An Authorization is what a person who signed in let an app do: the source of
// every access token that the app gets for this person, whether by the code or
// by a refresh token. It is made by the authorization server alone; what of it
// still counts is the registration's to say whenever a token is used.
type Authorization struct {
	ID     string // of the family of tokens; ending it ends them all
	Client string
	// Provider is the id of where the person signed in; "" of an older release.
	Provider string `json:",omitempty"`
	Subject  string // sub: opaque, the same for this person at every app
	Session  string // sid: of the browser session in which the person signed in
	// Said names the person, the role and the purposes as the sign-in has them:
	// the organisation's own words, not the app's.
	Said     Asserted
	ACR      string
	MFA      bool // signed in with more than one factor
	SignedIn time.Time
	FHIRUser string // "Practitioner/…"; "" where the directory does not know the person
	Scope    string // granted, space-separated
	Patient  string // "Patient/…" in context, "" if none
	// Encounter in context, "Encounter/…", "" if none.
	Encounter string
	// Generation in which it was given ([ReadGeneration]); "" of an older release.
	Generation string `json:",omitempty"`
}

// An AccessToken is an issued one with what an answer and a record need of it.
type AccessToken struct {
	Token   string
	ID      string // jti
	Expires time.Time
	Scope   string
}

// AccessTokens signs access tokens.
type AccessTokens struct {
	Issuer   string // iss
	Audience string // the FHIR base URL
	Key      *PrivateKey
	Now      func() time.Time // nil is time.Now
}

// ForPerson makes an access token for what a person authorised, of the generation of
// the authorization. life is at most [MaxPersonTokenLife].
func (t AccessTokens) ForPerson(a *Authorization, life time.Duration) (*AccessToken, error) {
	switch {
	case a.ID == "" || a.Client == "" || a.Subject == "" || a.Said.UserID == "" || a.Scope == "":
		return nil, errors.New("access token: the authorization says too little")
	case life < time.Second || life > MaxPersonTokenLife:
		return nil, fmt.Errorf("access token: %v is not between 1s and %v", life, MaxPersonTokenLife)
	}
	c := accessClaims{
		Subject: a.Subject, ClientID: a.Client, Scope: a.Scope, Extensions: a.Said.claim(), Methods: a.Said.methods(),
		Generation: a.Generation,
		personClaims: personClaims{
			Authorization: a.ID, Session: a.Session, ACR: a.ACR, MFA: a.MFA, SignedIn: a.SignedIn.Unix(),
			FHIRUser: a.FHIRUser, Patient: a.Patient, Encounter: a.Encounter,
		},
	}
	return t.sign(c, life)
}

// sign fills in what every access token has. One that does not say its generation is
// not made: it would outlive an end that is noted meanwhile.
func (t AccessTokens) sign(c accessClaims, life time.Duration) (*AccessToken, error) {
	if _, err := parseGeneration(c.Generation, c.Authorization != ""); err != nil {
		return nil, fmt.Errorf("issue token: %w", err)
	}
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	at := now().Truncate(time.Second)
	c.Issuer, c.Audience, c.ID = t.Issuer, t.Audience, rand.Text()
	c.IssuedAt, c.Expires = at.Unix(), at.Add(life).Unix()
	token, err := t.Key.sign(c, accessType)
	if err != nil {
		return nil, fmt.Errorf("issue token: %w", err)
	}
	return &AccessToken{Token: token, ID: c.ID, Expires: time.Unix(c.Expires, 0).UTC(), Scope: c.Scope}, nil
}

// personClaims are those of a token for a person, beside what every token has.
// A token without authorization is a client's own.
type personClaims struct {
	Authorization string `json:"authorization,omitempty"`
	Session       string `json:"sid,omitempty"`
	ACR           string `json:"acr,omitempty"`
	MFA           bool   `json:"mfa,omitempty"`
	SignedIn      int64  `json:"auth_time,omitempty"`
	FHIRUser      string `json:"fhirUser,omitempty"`
	Patient       string `json:"patient,omitempty"`
	Encounter     string `json:"encounter,omitempty"`
}

// seconds reads a NumericDate; 0 where there is none.
func seconds(n resource.Node) int64 {
	if at, err := numericDate(n); n.Exists() && err == nil {
		return at.Unix()
	}
	return 0
}

func isTrue(n resource.Node) bool {
	yes, ok := n.Bool()
	return ok && yes
}

// readPerson reads them from a token of the gateway's own.
func readPerson(n resource.Node) personClaims {
	return personClaims{
		Authorization: n.Get("authorization").Text(), Session: n.Get("sid").Text(), ACR: n.Get("acr").Text(),
		MFA: isTrue(n.Get("mfa")), SignedIn: seconds(n.Get("auth_time")), FHIRUser: n.Get("fhirUser").Text(),
		Patient: n.Get("patient").Text(), Encounter: n.Get("encounter").Text(),
	}
}
