package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/handoff-health/handoff/fhir/resource"
)

// Defaults of [Options].
const (
	DefaultMaxPageBytes = 8 << 20
	DefaultMaxPages     = 50
	DefaultRetries      = 2
	defaultWaitMin      = 50 * time.Millisecond
	defaultWaitMax      = time.Second
	maxRedirects        = 3
	// longest is how long one call may take whose context has no deadline.
	longest = 2 * time.Minute
)

// Options says which server a Client asks and how far it goes.
type Options struct {
	// System is the server's key in the configuration; errors name it.
	System string
	// Base is the server's FHIR base URL, such as https://ehr.example/fhir/r4.
	Base string
	// Transport carries the requests; nil makes one with [NewTransport].
	Transport http.RoundTripper
	// Tokens gives the bearer token of each request; nil sends none.
	Tokens TokenSource
	// MaxPageBytes bounds one answer, after unpacking. 0: DefaultMaxPageBytes.
	MaxPageBytes int64
	// MaxPages bounds the pages of one search. 0: DefaultMaxPages.
	MaxPages int
	// Retries is how often a failed GET is tried again; negative: never,
	// 0: DefaultRetries.
	Retries int
	// WaitMin and WaitMax bound the wait before a retry. 0: 50 ms and 1 s.
	WaitMin, WaitMax time.Duration
	// PlainHTTP allows a base without TLS on a host that is not loopback.
	PlainHTTP bool
	// Header is sent with every request, for servers that want an API key.
	Header http.Header
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Client asks one FHIR server. It is safe for concurrent use.
type Client struct {
	system   string
	base     base
	tokens   TokenSource
	maxBytes int64
	maxPages int
	header   http.Header
	retry    *retryablehttp.Client
}

// New makes a client. The error says what is wrong with the options.
func New(o Options) (*Client, error) {
	b, err := parseBase(o.Base, o.PlainHTTP)
	if err != nil {
		return nil, fmt.Errorf("system %s: base %w", o.System, err)
	}
	if o.Transport == nil {
		o.Transport = NewTransport()
	}
	if o.MaxPageBytes <= 0 {
		o.MaxPageBytes = DefaultMaxPageBytes
	}
	if o.MaxPages <= 0 {
		o.MaxPages = DefaultMaxPages
	}
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	if o.WaitMin <= 0 {
		o.WaitMin = defaultWaitMin
	}
	if o.WaitMax < o.WaitMin {
		o.WaitMax = max(defaultWaitMax, o.WaitMin)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{
		system: o.System, base: b, tokens: o.Tokens,
		maxBytes: o.MaxPageBytes, maxPages: o.MaxPages, header: o.Header.Clone(),
	}
	c.retry = newRetrying(o, b)
	return c, nil
}

// System returns the server's key in the configuration.
func (c *Client) System() string { return c.system }

// Base returns the server's base URL without a slash at its end.
func (c *Client) Base() string { return c.base.String() }

// Read fetches the newest version of one resource. It checks that the answer
// is of the type and has the id that were asked for. The error is an [*Error].
func (c *Client) Read(ctx context.Context, typ, id string) (*resource.Resource, error) {
	op := "read " + typ
	if !resource.ValidType(typ) || !resource.ValidID(id) {
		return nil, c.fail(op, BadRequest, errors.New("not a resource type and a FHIR id"))
	}
	r, err := c.fetch(ctx, op, c.base.join(typ, id))
	if err != nil {
		return nil, err
	}
	if r.Type() == "OperationOutcome" && typ != "OperationOutcome" {
		return nil, c.outcomeError(op, http.StatusOK, r)
	}
	if r.Type() != typ || r.ID() != id {
		return nil, c.fail(op, Protocol, errors.New("the answer is another resource than the one asked for"))
	}
	return r, nil
}

// Capabilities fetches the server's CapabilityStatement.
func (c *Client) Capabilities(ctx context.Context) (*resource.Resource, error) {
	const op = "metadata"
	r, err := c.fetch(ctx, op, c.base.join("metadata"))
	if err != nil {
		return nil, err
	}
	if r.Type() != "CapabilityStatement" {
		return nil, c.fail(op, Protocol, errors.New("the answer is not a CapabilityStatement"))
	}
	return r, nil
}

// fetch gets one resource and reads it whole.
func (c *Client) fetch(ctx context.Context, op string, u *url.URL) (*resource.Resource, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	resp, err := c.get(ctx, op, u) //nolint:bodyclose // drop reads a little and closes
	if err != nil {
		return nil, err
	}
	defer drop(resp.Body)
	raw, err := readAll(resp.Body, resp.ContentLength)
	if err != nil {
		return nil, c.bodyError(ctx, op, err)
	}
	r, err := resource.Parse(raw)
	if err != nil {
		return nil, c.bodyError(ctx, op, err)
	}
	return r, nil
}

// bounded gives a context a deadline if it has none: a server that sends a byte
// a minute must not hold a caller for ever.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, longest)
}

// get sends one GET and returns the answer when its status is 200 and it claims
// to be JSON; its body is unpacked and capped. A token that the server refuses
// is renewed once.
func (c *Client) get(ctx context.Context, op string, u *url.URL) (*http.Response, error) {
	for renewed := false; ; renewed = true {
		token, err := c.token(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, c.transportError(ctx, op, err)
		case err != nil:
			return nil, c.fail(op, Unauthorized, err)
		}
		resp, err := c.send(ctx, u, token)
		if err != nil {
			if resp != nil {
				drop(resp.Body)
			}
			return nil, c.transportError(ctx, op, err)
		}
		if resp.StatusCode == http.StatusUnauthorized && !renewed && c.renew(token) {
			drop(resp.Body)
			continue
		}
		if err := c.open(resp, op); err != nil {
			drop(resp.Body)
			return nil, err
		}
		return resp, nil
	}
}

func (c *Client) send(ctx context.Context, u *url.URL, token string) (*http.Response, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the request could not be made")
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "application/fhir+json")
	req.Header.Set("Accept-Encoding", "gzip")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.retry.Do(req)
}

func (c *Client) token(ctx context.Context) (string, error) {
	if c.tokens == nil {
		return "", nil
	}
	return c.tokens.Token(ctx)
}

// renew says whether another token may be had in place of one that was refused.
func (c *Client) renew(token string) bool {
	f, ok := c.tokens.(Forgetter)
	if !ok {
		return false
	}
	f.Forget(token)
	return true
}
