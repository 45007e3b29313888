package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/handoff-health/handoff/gateway/guard"
	"github.com/handoff-health/handoff/gateway/smart"
)

// Client returns the registration that stands now of a client that may act at
// all. An error says which it is: unknown, or disabled.
func (r *Registry) Client(ctx context.Context, id string) (*Client, error) {
	c, err := r.client(ctx, id)
	if err != nil {
		return nil, err
	}
	if c == nil || c.Disabled && !guard.Off(guard.ClientDisabled) {
		return nil, whyNot(c)
	}
	out := c.clone()
	return &out, nil
}

// NoClient says whether an error of [Registry.Client] is that there is no such client
// in use, and not that it cannot be known now.
func NoClient(err error) bool {
	reason := reasonOf(err)
	return err != nil && (reason == reasonUnknown || reason == reasonDisabled)
}

// Requestable reads the scopes that an app asks a person for, strictly, and cuts
// them down to what it is registered for: scopes of resources (user/ and
// patient/), of operations, and those of its launch. What is no scope of a
// resource and not known either is left out, as OpenID Connect Core 3.1.2.1 wants.
// An error is a [*Refusal].
func (c *Client) Requestable(scope string) (string, error) {
	var context, others []string
	operations, rest := splitScopes(scope)
	for s := range strings.FieldsSeq(rest) {
		switch {
		case smart.ContextScope(s):
			context = append(context, s)
		case resourceScope(s):
			others = append(others, s)
		}
	}
	var asked smart.Scopes
	if len(others) > 0 {
		var err error
		if asked, err = smart.ParseRequested(strings.Join(others, " ")); err != nil {
			return "", unreadable(err)
		}
	}
	if len(asked.In(smart.ContextSystem)) > 0 {
		return "", badScope("scope-context", "system/ scopes are for backend services: an app asks for user/ or patient/", nil)
	}
	granted := c.registeredScopes(context, asked, operations)
	if granted == "" {
		return "", badScope("scope-not-registered", "none of the requested scopes is registered for this client", nil)
	}
	if len(granted) > maxGrantedBytes {
		return "", badScope("scope-size", "ask for fewer scopes at once", nil)
	}
	return granted, nil
}

// resourceScope says whether s is meant as a scope of a resource, well formed or
// not.
func resourceScope(s string) bool {
	level, _, ok := strings.Cut(s, "/")
	return ok && level != "launch"
}

// registeredScopes cuts scopes down to the registration.
func (c *Client) registeredScopes(context []string, resources smart.Scopes, operations []string) string {
	if guard.Off(guard.AuthorizeScope) {
		return joinScopes(context, resources, operations)
	}
	var kept []string
	for _, s := range context {
		if slices.Contains(c.ContextScopes, s) && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	left := smart.Restrict(resources, c.Scopes).In(smart.ContextUser, smart.ContextPatient)
	return joinScopes(kept, left, c.operations(operations))
}

func joinScopes(context []string, resources smart.Scopes, operations []string) string {
	return strings.Join(slices.Concat(context, strings.Fields(resources.String()), operations), " ")
}

// parseScopes reads a granted scope text by its kinds.
func parseScopes(scope string) (context []string, resources smart.Scopes, operations []string) {
	operations, rest := splitScopes(scope)
	for s := range strings.FieldsSeq(rest) {
		if smart.ContextScope(s) {
			context = append(context, s)
		}
	}
	return context, smart.ParseGranted(rest), operations
}

// Permits says what the registration leaves, as it stands now, of what a person
// authorised: scopes in normal form. A role, a purpose or an organisation that it
// no longer has is an error, and so is a registration that leaves nothing. base
// is the FHIR base URL.
func (c *Client) Permits(a *Authorization, base string) (string, error) {
	context, resources, operations := parseScopes(a.Scope)
	if _, err := c.principal(resources, operations, &a.Said, base, &personClaims{Authorization: a.ID}); err != nil {
		return "", err
	}
	scope := c.registeredScopes(context, resources, operations)
	if scope == "" {
		return "", faultf("scope-not-registered", "nothing of the scope is registered any more")
	}
	return scope, nil
}

// NarrowScope says what asked is as a part of granted, in normal form; empty
// asked is all of it. An error is a [*Refusal]: asked holds more (RFC 6749 6).
func NarrowScope(granted, asked string) (string, error) {
	hadContext, had, hadOperations := parseScopes(granted)
	if strings.TrimSpace(asked) == "" {
		return joinScopes(hadContext, smart.Normalize(had), hadOperations), nil
	}
	var context []string
	operations, rest := splitScopes(asked)
	var others []string
	for s := range strings.FieldsSeq(rest) {
		if smart.ContextScope(s) {
			context = append(context, s)
			continue
		}
		others = append(others, s)
	}
	var resources smart.Scopes
	if len(others) > 0 {
		var err error
		if resources, err = smart.ParseRequested(strings.Join(others, " ")); err != nil {
			return "", unreadable(err)
		}
	}
	more := slices.ContainsFunc(context, func(s string) bool { return !slices.Contains(hadContext, s) }) ||
		slices.ContainsFunc(operations, func(s string) bool { return !slices.Contains(hadOperations, s) }) ||
		slices.ContainsFunc(resources, func(s smart.Scope) bool { return !covers(had, s) })
	if more && !guard.Off(guard.AuthorizeRefreshScope) {
		return "", badScope("scope-exceeds", "the scope holds more than was granted", nil)
	}
	return joinScopes(context, smart.Normalize(resources), operations), nil
}

// covers says whether the scopes hold s already: to add it changes nothing.
func covers(had smart.Scopes, s smart.Scope) bool {
	s.V1 = false
	plain := slices.Clone(had)
	for i := range plain {
		plain[i].V1 = false
	}
	return smart.Normalize(append(plain, s)).String() == smart.Normalize(plain).String()
}
