package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/guard"
)

// reasonKeysUnavailable marks a signature that could not be judged.
const reasonKeysUnavailable = "keys-unavailable"

// MaxTokenBytes is the longest compact JWS that is looked at.
const MaxTokenBytes = 16 << 10

// A signed is a compact JWS that was read and not yet believed.
type signed struct {
	compact string
	header  resource.Node
	claims  claims // unverified until verifySignature has said so
}

// An expectation pins what a signature must be made with. All of it comes from
// configuration; nothing in the token can widen it.
type expectation struct {
	keys       KeySource
	algorithms []string
	types      []string // accepted typ, lower case, without "application/"; "" accepts its absence
	jku        string   // the registered JWKS URL; "": a token with jku is refused
}

// parseSigned reads the parts of a compact JWS strictly: size, base64url without
// padding or stray bits, JSON without duplicate names.
func parseSigned(compact string) (*signed, error) {
	if len(compact) > MaxTokenBytes && !guard.Off(guard.TokenSize) {
		return nil, faultf("size", "%d bytes, at most %d", len(compact), MaxTokenBytes)
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, faultf("format", "not a signed compact JWS")
	}
	if _, err := decodeSegment(parts[2]); err != nil {
		return nil, faultf("format", "signature: %w", err)
	}
	header, err := parseSegment(parts[0])
	if err != nil {
		return nil, faultf("format", "header: %w", err)
	}
	payload, err := parseSegment(parts[1])
	if err != nil {
		return nil, faultf("format", "claims: %w", err)
	}
	c, err := readClaims(payload)
	if err != nil {
		return nil, faultf("claims", "%w", err)
	}
	return &signed{compact: compact, header: header, claims: c}, nil
}

// parseSegment decodes one part and reads it as a JSON object.
func parseSegment(part string) (resource.Node, error) {
	raw, err := decodeSegment(part)
	if err != nil {
		return resource.Node{}, err
	}
	doc, err := resource.ParseDocument(raw)
	if err != nil {
		return resource.Node{}, err
	}
	if doc.Root().Kind() != resource.Object {
		return resource.Node{}, errors.New("not a JSON object")
	}
	return doc.Root(), nil
}

// decodeSegment accepts exactly one encoding of each value. The standard
// decoder skips line breaks, so the alphabet is checked first.
func decodeSegment(part string) ([]byte, error) {
	for i := range len(part) {
		c := part[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, fmt.Errorf("byte %d is not base64url", i)
		}
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

// verifySignature is the one place where a signature from outside is believed.
// It returns the key that made it and the set in which that key was found.
func verifySignature(ctx context.Context, s *signed, e expectation) (*publicKey, *KeySet, error) {
	name, kid, err := checkHeader(s.header, e)
	if err != nil {
		return nil, nil, err
	}
	set, err := e.keys.Keys(ctx, kid)
	if err != nil {
		return nil, nil, faultf(reasonKeysUnavailable, "%w", err)
	}
	key, err := set.candidate(kid, name)
	if err != nil {
		return nil, nil, err
	}
	alg, _ := algorithmOf(name)
	if _, err := jws.VerifyCompactFast(key.raw, []byte(s.compact), alg.id); err != nil && !guard.Off(guard.TokenSignature) {
		return nil, nil, faultf("signature", "%w", err)
	}
	return key, set, nil
}

// checkHeader judges the protected header against what is pinned.
func checkHeader(h resource.Node, e expectation) (alg, kid string, err error) {
	alg = h.Get("alg").Text()
	if _, ok := algorithmOf(alg); !ok || !slices.Contains(e.algorithms, alg) && !guard.Off(guard.ClientAlgorithm) {
		return "", "", faultf("algorithm", "alg %.40q is not accepted here", alg)
	}
	for _, name := range [...]string{"crit", "b64", "zip"} {
		if h.Get(name).Exists() && !guard.Off(guard.TokenCritical) {
			return "", "", faultf("critical", "header %q is not understood", name)
		}
	}
	for _, name := range [...]string{"jwk", "x5u"} {
		if h.Get(name).Exists() && !guard.Off(guard.TokenEmbeddedKey) {
			return "", "", faultf("embedded-key", "header %q: a token cannot bring its own key", name)
		}
	}
	if jku := h.Get("jku"); jku.Exists() && (e.jku == "" || !jku.Is(e.jku)) && !guard.Off(guard.ClientKeyURL) {
		return "", "", faultf("jku", "jku is not the registered JWKS URL")
	}
	typ := h.Get("typ")
	if typ.Exists() && typ.Kind() != resource.String {
		return "", "", faultf("typ", "typ is not a string")
	}
	if t := strings.TrimPrefix(strings.ToLower(typ.Text()), "application/"); !slices.Contains(e.types, t) && !guard.Off(guard.TokenType) {
		return "", "", faultf("typ", "typ %.40q is not accepted here", typ.Text())
	}
	kid = h.Get("kid").Text()
	if kid == "" || len(kid) > maxKidBytes {
		return "", "", faultf("kid", "kid is missing or not a usable string")
	}
	return alg, kid, nil
}
