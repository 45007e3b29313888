package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
)

// OpenIDOptions name an OpenID Provider and this gateway's registration there.
type OpenIDOptions struct {
	Issuer     string // its issuer URL, as its documents and tokens have it
	Client     string // id of this gateway there
	Secret     string // for client_secret_basic, or
	Key        *auth.PrivateKey
	Algorithms []string         // of id tokens; none: RS256
	Fetcher    auth.Fetcher     // of its documents
	Now        func() time.Time // optional
}

// OpenID asks an OpenID Provider. All that it does not know from the options comes
// from the provider's discovery document, which is kept for a while.
type OpenID struct {
	o      OpenIDOptions
	signer *auth.Signer
	client *http.Client
	calls  singleflight.Group

	mu     sync.Mutex
	found  *metadata
	until  time.Time
	asked  time.Time
	failed error
}

// Bounds of what a provider may take.
const (
	providerTimeout = 10 * time.Second
	discoveryRetry  = 5 * time.Second // after a discovery that failed
	discoveryFresh  = time.Hour       // where the provider does not say
	discoveryLeast  = time.Minute     // however little it says
	discoveryMost   = 24 * time.Hour
)

// metadata is what the discovery document says, checked.
type metadata struct {
	authorize, token string
	keys             *auth.RemoteKeys
	issuerInAnswer   bool // RFC 9207: answers name the issuer
}

// NewOpenID checks the options and asks nothing yet.
func NewOpenID(o OpenIDOptions) (*OpenID, error) {
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{auth.RS256}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &OpenID{o: o, client: &http.Client{
		Timeout: providerTimeout,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: providerTimeout, ResponseHeaderTimeout: providerTimeout,
			MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
	}}
	switch err := p.endpoint(o.Issuer); {
	case err != nil || strings.Contains(o.Issuer, "?"):
		return nil, fmt.Errorf("provider: issuer %q is not an https URL without query", o.Issuer)
	case o.Client == "" || o.Fetcher == nil || (o.Secret == "") == (o.Key == nil):
		return nil, errors.New("provider: the client, what fetches, or exactly one of secret and key is missing")
	}
	if o.Key != nil {
		var err error
		if p.signer, err = auth.NewSigner(o.Client, o.Key, 0, o.Now); err != nil {
			return nil, fmt.Errorf("provider: %w", err)
		}
	}
	return p, nil
}

// endpoint wants https; a provider on this machine (a test, a proxy beside it) may
// have plain HTTP, and only such a one may send us back to this machine.
func (p *OpenID) endpoint(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("is no absolute URL")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && auth.Loopback(u.Hostname()) && strings.HasPrefix(p.o.Issuer, "http:"):
		return nil
	}
	return errors.New("is not https")
}

// discover returns the provider's metadata, fetched if need be; callers that come
// at once share one fetch.
func (p *OpenID) discover(ctx context.Context) (*metadata, error) {
	if m, err := p.kept(); m != nil || err != nil {
		return m, err
	}
	done := p.calls.DoChan("", func() (any, error) {
		if m, err := p.kept(); m != nil || err != nil {
			return m, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
		defer cancel()
		return p.fetch(ctx)
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("discovery: %w", ctx.Err())
	case r := <-done:
		m, _ := r.Val.(*metadata)
		return m, r.Err
	}
}

func (p *OpenID) kept() (*metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Now()
	if p.found != nil && now.Before(p.until) {
		return p.found, nil
	}
	if p.failed != nil && now.Before(p.asked.Add(discoveryRetry)) {
		return nil, p.failed
	}
	return nil, nil
}

func (p *OpenID) fetch(ctx context.Context) (*metadata, error) {
	asked := p.o.Now()
	body, fresh, err := p.o.Fetcher.Fetch(ctx, strings.TrimSuffix(p.o.Issuer, "/")+"/.well-known/openid-configuration")
	var m *metadata
	if err == nil {
		m, err = p.parseMetadata(body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.failed = asked, nil
	if err != nil {
		p.failed = fmt.Errorf("discovery of %s: %w", p.o.Issuer, err)
		return nil, p.failed
	}
	if fresh < 0 {
		fresh = discoveryFresh
	}
	if p.found != nil && p.found.keys.URL() == m.keys.URL() {
		m.keys = p.found.keys // and what is known of them
	}
	p.found, p.until = m, asked.Add(min(max(fresh, discoveryLeast), discoveryMost))
	return m, nil
}

// parseMetadata reads a discovery document (OpenID Connect Discovery 1.0, 3). The
// issuer must be the configured one byte for byte: else the document is another's.
func (p *OpenID) parseMetadata(body []byte) (*metadata, error) {
	doc, err := resource.ParseDocument(body)
	if err != nil {
		return nil, err
	}
	n := doc.Root()
	if !n.Get("issuer").Is(p.o.Issuer) {
		return nil, errors.New("issuer is not the configured one")
	}
	m := &metadata{authorize: n.Get("authorization_endpoint").Text(), token: n.Get("token_endpoint").Text()}
	jwks := n.Get("jwks_uri").Text()
	for _, e := range []struct{ name, url string }{{"authorization_endpoint", m.authorize}, {"token_endpoint", m.token}, {"jwks_uri", jwks}} {
		if err := p.endpoint(e.url); err != nil {
			return nil, fmt.Errorf("%s %w", e.name, err)
		}
	}
	if m.keys, err = auth.NewRemoteKeys(jwks, p.o.Fetcher, p.o.Now); err != nil {
		return nil, err
	}
	yes, ok := n.Get("authorization_response_iss_parameter_supported").Bool()
	m.issuerInAnswer = ok && yes
	want := "client_secret_basic"
	if p.signer != nil {
		want = "private_key_jwt"
	}
	// Where the document does not say, client_secret_basic is what there is.
	if methods := words(n.Get("token_endpoint_auth_methods_supported")); len(methods) > 0 && !slices.Contains(methods, want) {
		return nil, fmt.Errorf("the token endpoint does not offer %s", want)
	}
	if methods := words(n.Get("code_challenge_methods_supported")); len(methods) > 0 && !slices.Contains(methods, "S256") {
		return nil, errors.New("the provider does not offer PKCE S256")
	}
	return m, nil
}

// words reads a list of strings; what is none is left out.
func words(n resource.Node) []string {
	var out []string
	if n.Kind() == resource.Array {
		for e := range n.Elements() {
			if e.Kind() == resource.String {
				out = append(out, e.Text())
			}
		}
	}
	return out
}
