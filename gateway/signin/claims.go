package signin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
)

// maxRoleValues bounds the values of a roles claim that are looked at.
const maxRoleValues = 256

// person reads who an id token speaks of. The token is believed; what it says is
// somebody else's text all the same.
func (s *Server) person(p *Provider, t *auth.IDToken) (*Person, error) {
	who := &Person{
		Provider: p.ID, Organization: p.Organization, Methods: t.Methods, ACR: t.ACR, SignedIn: t.SignedIn,
		Subject: s.subject(p, t.Subject),
		MFA:     t.MFA || (t.ACR != "" && slices.Contains(p.ACRValues, t.ACR)),
	}
	id, err := claimText(t.Claims, orElse(p.Claims.User, "sub"))
	if err != nil {
		return nil, err
	}
	who.FHIRUser = p.practitioner(id)
	who.ID = id
	if p.Claims.System != "" {
		who.ID = p.Claims.System + "#" + id
	}
	if len(who.ID) > maxPersonID {
		return nil, fmt.Errorf("the person's id has more than %d bytes", maxPersonID)
	}
	if who.Name, err = claimText(t.Claims, orElse(p.Claims.Name, "name")); err != nil {
		return nil, err
	}
	values, err := claimTexts(t.Claims, orElse(p.Claims.Roles, "roles"))
	if err != nil {
		return nil, err
	}
	who.Roles = p.roles(values)
	return who, nil
}

// maxPersonID is what an access token takes for a person's id.
const maxPersonID = 255

// subject is the sub of a person's tokens: the same at every sign-in, and telling
// nothing of the person or of the provider's own sub.
func (s *Server) subject(p *Provider, sub string) string {
	issuer := ""
	if p.OpenID != nil {
		issuer = p.OpenID.o.Issuer
	}
	return base64.RawURLEncoding.EncodeToString(s.keyed("subject", p.ID, issuer, sub))
}

func orElse(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// claim finds a claim by its name, else by a path into objects.
func claim(claims resource.Node, name string) resource.Node {
	if n := claims.Get(name); n.Exists() {
		return n
	}
	n := claims
	for part := range strings.SplitSeq(name, ".") {
		if n.Kind() != resource.Object {
			return resource.Node{}
		}
		n = n.Get(part)
	}
	return n
}

func claimText(claims resource.Node, name string) (string, error) {
	n := claim(claims, name)
	if !n.Exists() {
		return "", fmt.Errorf("claim %s is missing", name)
	}
	return auth.PlainText(n, "claim "+name)
}

// claimTexts reads a list of texts, or one text. A claim that is absent has none.
func claimTexts(claims resource.Node, name string) ([]string, error) {
	n := claim(claims, name)
	switch n.Kind() {
	case resource.Absent, resource.Null:
		return nil, nil
	case resource.String:
		return []string{n.Text()}, nil
	case resource.Array:
	default:
		return nil, fmt.Errorf("claim %s is neither a text nor a list of texts", name)
	}
	if n.Len() > maxRoleValues {
		return nil, fmt.Errorf("claim %s has more than %d values", name, maxRoleValues)
	}
	var out []string
	for e := range n.Elements() {
		if e.Kind() != resource.String {
			return nil, errors.New("claim " + name + " holds something that is no text")
		}
		out = append(out, e.Text())
	}
	return out, nil
}
