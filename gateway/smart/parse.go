package smart

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/gateway/guard"
)

// Limits on what is parsed.
const (
	// MaxScopeBytes is the longest single scope accepted.
	MaxScopeBytes = 1024
	// MaxScopes is the most scopes accepted in one request or token.
	MaxScopes = 256
	// MaxCriteria is the most criteria accepted in one scope.
	MaxCriteria = 8
)

// Why a scope is refused; match with errors.Is.
var (
	// ErrNotResourceScope marks a scope without context/Type: launch, openid,
	// offline_access, an extension.
	ErrNotResourceScope = errors.New("not a resource scope")
	// ErrUnsupportedCriterion marks a criterion that this server cannot
	// evaluate; it is never granted.
	ErrUnsupportedCriterion = errors.New("criterion is not supported")
	errSyntax               = errors.New("not a SMART scope")
)

// uriPrefix starts the URI form of SMART scopes, which some identity providers
// put into their tokens.
const uriPrefix = "http://smarthealthit.org/fhir/scopes/"

// ParseScope reads one resource scope strictly, as an authorization server has
// to: letters out of order, empty or unknown, resource types that R4 does not
// define and criteria that cannot be evaluated are errors. Version 1 permissions
// mean what SMART 2 says: read is rs, write is cud, * is cruds.
func ParseScope(s string) (Scope, error) {
	sc, err := parseScope(s)
	if err != nil {
		return Scope{}, fmt.Errorf("scope %.80q: %w", s, err)
	}
	return sc, nil
}

func parseScope(s string) (Scope, error) {
	if len(s) > MaxScopeBytes {
		return Scope{}, fmt.Errorf("%w: longer than %d bytes", errSyntax, MaxScopeBytes)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return Scope{}, fmt.Errorf("%w: byte %#02x", errSyntax, c)
		}
	}
	context, rest, ok := strings.Cut(s, "/")
	if !ok || (context != ContextPatient && context != ContextUser && context != ContextSystem) {
		return Scope{}, ErrNotResourceScope
	}
	rest, query, asked := strings.Cut(rest, "?")
	typ, perm, ok := strings.Cut(rest, ".")
	if !ok {
		return Scope{}, fmt.Errorf("%w: no permissions after the resource type", errSyntax)
	}
	if typ != "*" && !ResourceType(typ) {
		return Scope{}, fmt.Errorf("%w: %q is no R4 resource type", errSyntax, typ)
	}
	sc := Scope{Context: context, ResourceType: typ}
	var err error
	if sc.Permissions, sc.V1, err = parsePermissions(perm); err != nil {
		return Scope{}, err
	}
	if !asked {
		return sc, nil
	}
	if sc.V1 {
		return Scope{}, fmt.Errorf("%w: version 1 permissions take no criteria", errSyntax)
	}
	sc.Criteria, err = parseCriteria(typ, query)
	return sc, err
}

func parsePermissions(s string) (p Permission, v1 bool, err error) {
	switch s {
	case "read":
		return v1Read, true, nil
	case "write":
		return v1Write, true, nil
	case "*":
		return everything, true, nil
	case "":
		return 0, false, fmt.Errorf("%w: no permissions", errSyntax)
	}
	next := 0
	for i := range len(s) {
		j := strings.IndexByte(letters, s[i])
		if j < 0 {
			return 0, false, fmt.Errorf("%w: unknown permission in %q", errSyntax, s)
		}
		if j < next && !guard.Off(guard.ScopeLetters) {
			return 0, false, fmt.Errorf("%w: permissions %q are not in the order cruds", errSyntax, s)
		}
		next = j + 1
		p |= 1 << j
	}
	return p, false, nil
}

func parseCriteria(typ, query string) ([]Criterion, error) {
	parts := strings.Split(query, "&")
	if len(parts) > MaxCriteria {
		return nil, fmt.Errorf("%w: more than %d criteria", errSyntax, MaxCriteria)
	}
	var cs []Criterion
	for _, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("%w: criterion %.80q is not name=value", errSyntax, part)
		}
		c := Criterion{}
		var err error
		if c.Param, err = url.PathUnescape(name); err != nil {
			return nil, fmt.Errorf("%w: criterion %.80q: %w", errSyntax, part, err)
		}
		if c.Value, err = url.PathUnescape(value); err != nil {
			return nil, fmt.Errorf("%w: criterion %.80q: %w", errSyntax, part, err)
		}
		if !utf8.ValidString(c.Value) || strings.ContainsFunc(c.Value, unicode.IsControl) {
			return nil, fmt.Errorf("%w: criterion %.80q is not text", errSyntax, part)
		}
		// Modifiers (a colon), chains (a dot) and _filter are no token parameters.
		if err := search.CheckToken(typ, c.Param, c.Value); err != nil {
			if guard.Off(guard.ScopeUnsupported) {
				continue
			}
			return nil, fmt.Errorf("%w on %s: %w", ErrUnsupportedCriterion, typ, err)
		}
		cs = append(cs, c)
	}
	return sortCriteria(cs), nil
}

// sortCriteria brings criteria into their one order, so that equal sets are equal.
func sortCriteria(cs []Criterion) []Criterion {
	slices.SortFunc(cs, func(a, b Criterion) int {
		if c := strings.Compare(a.Param, b.Param); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return slices.Compact(cs)
}

// ParseRequested reads the scope parameter of a token request strictly: one bad
// scope refuses the whole. A scope that is no resource scope gives an error that
// matches ErrNotResourceScope.
func ParseRequested(s string) (Scopes, error) {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
	if len(parts) == 0 {
		return nil, fmt.Errorf("%w: no scope", errSyntax)
	}
	if len(parts) > MaxScopes {
		return nil, fmt.Errorf("%w: more than %d scopes", errSyntax, MaxScopes)
	}
	out := make(Scopes, 0, len(parts))
	for _, part := range parts {
		sc, err := ParseScope(part)
		if err != nil {
			return nil, err
		}
		out = append(out, sc)
	}
	return out, nil
}

// ParseGranted reads the scopes of a token leniently, as a resource server has
// to: what is unknown, out of order or not evaluable is left out whole, so that
// nothing is ever widened. Launch context, OpenID and extension scopes are left
// out too; [OtherScopes] returns them.
func ParseGranted(s string) Scopes {
	var out Scopes
	for part := range strings.SplitSeq(s, " ") {
		if len(out) == MaxScopes {
			break
		}
		if sc, err := parseScope(strings.TrimPrefix(part, uriPrefix)); err == nil {
			out = append(out, sc)
		}
	}
	return out
}

// OtherScopes returns the scopes of a token that are no resource scopes: launch,
// launch/patient, openid, fhirUser, offline_access, extensions. They open no
// resource.
func OtherScopes(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, " ") {
		if _, err := parseScope(strings.TrimPrefix(part, uriPrefix)); errors.Is(err, ErrNotResourceScope) {
			out = append(out, part)
		}
	}
	return out
}
