package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/registration"
)

// block finds the examples of docs/outside-issuers.md.
var block = regexp.MustCompile("(?s)```(yaml|json|text)\n(.*?)\n```")

const aroundExamples = `server: {base: "https://gw.example/fhir", plainHTTP: true}
site: {key: 0123456789abcdef0123456789abcdef}
organizations: [{id: pd, name: Mill City Police, kind: police}]
`

// TestExamplesOfOutsideIssuers runs what docs/outside-issuers.md shows: the
// configuration, a token as the product makes it, and what becomes of it.
func TestExamplesOfOutsideIssuers(t *testing.T) {
	raw, err := os.ReadFile("../../docs/outside-issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	var verifier *auth.Verifier
	var key *rsa.PrivateKey
	token, products, tokens := "", 0, 0
	for _, m := range block.FindAllSubmatch(raw, -1) {
		text := string(m[2])
		switch string(m[1]) {
		case "yaml":
			if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
				t.Fatal(err)
			}
			verifier = exampleVerifier(t, aroundExamples+text, key)
			products++
		case "json":
			token = signed(t, key, text)
			tokens++
		case "text":
			p, err := verifier.Verify(context.Background(), token)
			if err != nil {
				t.Fatalf("%s\n%v", text, err)
			}
			if diff := cmp.Diff(text, shown(p)); diff != "" {
				t.Error(diff)
			}
		}
	}
	if products != 3 || tokens != 6 {
		t.Errorf("%d products, %d tokens", products, tokens)
	}
}

// exampleVerifier is the verifier of a configuration whose issuers have this key.
func exampleVerifier(t *testing.T, text string, key *rsa.PrivateKey) *auth.Verifier {
	t.Helper()
	checks := config.Checks{Client: registration.Faults, ClaimPath: func(s string) error { _, err := auth.ParseClaimPath(s); return err }}
	c, err := config.ParseWith("example.yaml", []byte(text), checks)
	if err != nil {
		t.Fatal(err)
	}
	issuers, err := outsideIssuers(c)
	if err != nil {
		t.Fatal(err)
	}
	set, err := auth.ParseKeySet(fmt.Appendf(nil, `{"keys":[%s,%s,%s]}`, public(key, "kc-1"), public(key, "entra-1"), public(key, "okta-1")))
	if err != nil {
		t.Fatal(err)
	}
	for i := range issuers {
		issuers[i].Keys = set
	}
	clients, err := registration.Configured(c)
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1789000100, 0) }
	registry, err := auth.NewRegistry(clients, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	db := backendtest.Open(t, backend.Options{Now: now})
	v, err := auth.NewVerifier(auth.VerifierOptions{Issuers: issuers, Registry: registry, Facts: db, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func public(key *rsa.PrivateKey, kid string) string {
	b64 := base64.RawURLEncoding
	return fmt.Sprintf(`{"kty":"RSA","use":"sig","kid":%q,"n":%q,"e":%q}`, kid, b64.EncodeToString(key.N.Bytes()), b64.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
}

// signed makes the token of an example.
func signed(t *testing.T, key *rsa.PrivateKey, text string) string {
	t.Helper()
	var example struct{ Header, Claims json.RawMessage }
	if err := json.Unmarshal([]byte(text), &example); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString(example.Header) + "." + b64.EncodeToString(example.Claims)
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64.EncodeToString(sig)
}

// shown writes a principal as the examples do.
func shown(p *auth.Principal) string {
	lines := []string{"client: " + p.Client, "organization: " + p.Requester.Organization}
	var roles []string
	for _, r := range p.Requester.Roles {
		roles = append(roles, r.Code)
	}
	lines = append(lines, "roles: "+strings.Join(roles, " "))
	if p.User.ID != "" {
		person := "person: " + p.User.ID
		if p.User.Name != "" {
			person += " (" + p.User.Name + ")"
		}
		lines = append(lines, person)
	}
	return strings.Join(append(lines, "scopes: "+p.Scopes.String()), "\n")
}
