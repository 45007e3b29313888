package auth

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Clock skew between this gateway and others that is tolerated by default, and
// the most that may be configured.
const (
	DefaultSkew = 10 * time.Second
	maxSkew     = time.Minute
)

// claims are the registered claims of a JWT (RFC 7519 4.1). A time that is
// absent is zero.
type claims struct {
	issuer, subject, id string
	audience            []string
	expires             time.Time
	notBefore, issuedAt time.Time
	node                resource.Node // all of them
}

const maxAudiences = 16

func readClaims(n resource.Node) (claims, error) {
	c := claims{node: n}
	for _, s := range []struct {
		name string
		to   *string
	}{{"iss", &c.issuer}, {"sub", &c.subject}, {"jti", &c.id}} {
		v := n.Get(s.name)
		if v.Exists() && v.Kind() != resource.String {
			return claims{}, fmt.Errorf("%s is not a string", s.name)
		}
		*s.to = v.Text()
	}
	for _, t := range []struct {
		name string
		to   *time.Time
	}{{"exp", &c.expires}, {"nbf", &c.notBefore}, {"iat", &c.issuedAt}} {
		v := n.Get(t.name)
		if !v.Exists() {
			continue
		}
		when, err := numericDate(v)
		if err != nil {
			return claims{}, fmt.Errorf("%s: %w", t.name, err)
		}
		*t.to = when
	}
	aud := n.Get("aud")
	if k := aud.Kind(); k != resource.Absent && k != resource.String && k != resource.Array {
		return claims{}, errors.New("aud is neither a string nor an array")
	}
	for a := range aud.Elements() {
		if a.Kind() != resource.String || len(c.audience) == maxAudiences {
			return claims{}, fmt.Errorf("aud is not a list of at most %d strings", maxAudiences)
		}
		c.audience = append(c.audience, a.Text())
	}
	return c, nil
}

// maxSeconds is the last second of the year 9999.
const maxSeconds = 253402300799

// numericDate reads seconds since 1970 as a plain JSON number, with a fraction
// or without: no sign, no exponent, no string.
func numericDate(n resource.Node) (time.Time, error) {
	if n.Kind() != resource.Number {
		return time.Time{}, errors.New("not a number")
	}
	whole, fraction, _ := strings.Cut(string(n.Raw()), ".")
	sec, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || sec > maxSeconds {
		return time.Time{}, errors.New("not seconds since 1970")
	}
	var nsec int64
	if fraction != "" {
		fraction = (fraction + "000000000")[:9]
		if nsec, err = strconv.ParseInt(fraction, 10, 64); err != nil || fraction[0] == '-' || fraction[0] == '+' {
			return time.Time{}, errors.New("not seconds since 1970")
		}
	}
	return time.Unix(int64(sec), nsec), nil
}

// current says whether the claims are in force at now: exp is required, nbf and
// iat count if present. expSkew is added to exp, skew taken off nbf and iat.
func (c *claims) current(now time.Time, expSkew, skew time.Duration) error {
	switch {
	case c.expires.IsZero() && !guard.Off(guard.TokenExpiry):
		return faultf("expiry", "exp is missing")
	case !now.Before(c.expires.Add(expSkew)) && !guard.Off(guard.TokenExpiry):
		return faultf("expired", "expired at %s", c.expires.UTC().Format(time.RFC3339))
	case c.notBefore.After(now.Add(skew)) && !guard.Off(guard.TokenNotBefore):
		return faultf("not-yet-valid", "nbf is in the future")
	case c.issuedAt.After(now.Add(skew)) && !guard.Off(guard.TokenNotBefore):
		return faultf("not-yet-valid", "iat is in the future")
	}
	return nil
}

// bounded wants a token to say when it was issued, and not to live for longer than
// endings are kept.
func (c *claims) bounded() error {
	if (c.issuedAt.IsZero() || c.expires.Sub(c.issuedAt) > maxTokenSpan) && !guard.Off(guard.TokenSpan) {
		return faultf("lifetime", "iat is missing, or exp comes more than %v after it", maxTokenSpan)
	}
	return nil
}

// forAudience says whether the audience names this exact string.
func (c *claims) forAudience(want string) bool {
	return want != "" && (slices.Contains(c.audience, want) || guard.Off(guard.TokenAudience))
}
