package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/guard"
)

// A RefreshToken is what stands behind a refresh token.
type RefreshToken struct {
	Authorization Authorization
	Issued        time.Time // when the family began
	Expires       time.Time
	// Used says that it gives no token any more, because it was exchanged for
	// another or needs a sign-in that has ended; its family may live.
	Used bool
	// Ends is when the last token of the family has expired.
	Ends time.Time
}

// Families are what the authorization server knows of the tokens of persons.
type Families interface {
	// RefreshToken returns what stands behind a refresh token, nil if it is none
	// or has expired. An error is no answer.
	RefreshToken(ctx context.Context, token string) (*RefreshToken, error)
	// LaunchContext returns what the token answers of an authorization told beside
	// patient and encounter: fhirContext, need_patient_banner, intent … It may be nil.
	LaunchContext(ctx context.Context, authorization string) (map[string]any, error)
}

// An InquiryAuditor keeps a record of every introspection and revocation, refused
// ones too. It is called before the answer leaves; an error means that no answer
// leaves.
type InquiryAuditor interface {
	TokenInquired(ctx context.Context, q *Inquiry) error
}

// An Inquiry is one request to be told of a token or to end it, and what came of
// it. It holds no token.
type Inquiry struct {
	Attempt          // who asks; TokenID is of the bearer token with which it asks
	Path      string // of the endpoint
	Kind      string // "introspect" or "revoke"
	Asked     string // jti of the access token asked about; "" if it is none of ours
	AskedOf   string // client of the token, "" as before
	AskedFor  string // family of the token; "" if it has none
	Effective bool   // the token is alive, or was ended by this request
}

// TokenInquiries says how tokens are told of and ended.
type TokenInquiries struct {
	Clients  *Authenticator
	Verifier *Verifier
	Registry *Registry
	Facts    store.Facts
	Base     string   // FHIR base URL
	Families Families // nil: there are no refresh tokens
	Auditor  InquiryAuditor
	Now      func() time.Time           // nil is time.Now
	Source   func(*http.Request) string // the caller's address; nil is RemoteAddr
	// Pin gives the context of a request that starts now, where Facts have memory
	// (fhir/store/epoch); nil leaves it as it is.
	Pin func(context.Context) (context.Context, error)
}

func (o TokenInquiries) check() (TokenInquiries, error) {
	if o.Clients == nil || o.Verifier == nil || o.Registry == nil || o.Facts == nil || o.Auditor == nil || o.Base == "" {
		return o, errors.New("token inquiries: clients, verifier, registry, facts, auditor or base are missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Source == nil {
		o.Source = func(r *http.Request) string { return r.RemoteAddr }
	}
	if o.Pin == nil {
		o.Pin = func(ctx context.Context) (context.Context, error) { return ctx, nil }
	}
	return o, nil
}

// serve answers one request; answer does what is peculiar to its endpoint and
// returns the body, nil for none.
func (o *TokenInquiries) serve(w http.ResponseWriter, r *http.Request, kind string, answer func(context.Context, *http.Request, *Inquiry) (any, error)) {
	q := &Inquiry{Attempt: Attempt{At: o.Now(), Source: o.Source(r), Method: r.Method}, Kind: kind, Path: r.URL.Path}
	var body any
	ctx, err := o.Pin(r.Context())
	if err == nil {
		body, err = answer(ctx, r, q)
	}
	refusal := AsRefusal(err)
	bearer := q.TokenID
	q.Close(refusal, o.Now())
	q.TokenID = bearer // names the caller here, not what it got
	if err := o.Auditor.TokenInquired(context.WithoutCancel(r.Context()), q); err != nil {
		refusal = &Refusal{Status: http.StatusInternalServerError, Code: codeServerError, Reason: "audit", Err: err}
	}
	switch {
	case refusal != nil && bearerScheme(r):
		_, challenge := Challenge("token", refusal)
		w.Header().Set("WWW-Authenticate", challenge)
		if refusal.RetryAfter > 0 {
			w.Header().Set("Retry-After", RetryAfter(refusal.RetryAfter))
		}
		WriteJSON(w, refusal.Status, problem{refusal.Code, refusal.Description})
	case refusal != nil:
		WriteRefusal(w, r, refusal)
	case body == nil:
		noStore(w.Header())
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	default:
		WriteJSON(w, http.StatusOK, body)
	}
}

func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// read takes the form apart: POST, and one token in it.
func (o *TokenInquiries) read(r *http.Request) (map[string]string, error) {
	if r.Method != http.MethodPost {
		return nil, &Refusal{Status: http.StatusMethodNotAllowed, Code: codeInvalidRequest, Description: "POST only", Reason: "method"}
	}
	return ReadForm(r)
}

// about wants the parameter token. Its hint is optional and changes nothing: what
// a token is shows by itself.
func about(form map[string]string) (string, error) {
	token := form["token"]
	if token == "" {
		return "", badRequest("token-missing", "token is missing")
	}
	return token, nil
}

func bearerScheme(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}

// access returns an access token of the gateway's own that could be used now, nil
// for anything else: one that is expired, ended or damaged, one of another issuer,
// an id token, an assertion. An error is no answer.
func (o *TokenInquiries) access(ctx context.Context, token string) (*verified, *Principal, error) {
	s, err := parseSigned(token)
	if err != nil {
		return nil, nil, nil //nolint:nilerr // garbage is no token
	}
	// Keys of others need not be asked for what is none of ours.
	if is := o.Verifier.issuers[s.claims.issuer]; is == nil || is.Outside {
		return nil, nil, nil
	}
	t, p, err := o.Verifier.believe(ctx, token)
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return nil, nil, nil
	}
	return t, p, err
}

// refresh returns a refresh token that could be used now, nil for anything else.
func (o *TokenInquiries) refresh(ctx context.Context, token string) (*RefreshToken, *Client, error) {
	f, err := o.family(ctx, token)
	if f == nil || err != nil || f.Used || !o.Now().Before(f.Expires) {
		return nil, nil, err
	}
	a := &f.Authorization
	client, err := o.Registry.Client(ctx, a.Client)
	if err != nil || !client.May(GrantRefreshToken) {
		return nil, nil, unlessFault(err) // unknown or disabled: the token is worth nothing
	}
	is, err := FamilyEnded(ctx, o.Facts, a, f.Issued)
	if err != nil || is && !guard.Off(guard.TokenEnded) {
		return nil, nil, err
	}
	return f, client, nil
}

// unlessFault keeps errors that are no judgment of what was asked about.
func unlessFault(err error) error {
	if f := (*fault)(nil); errors.As(err, &f) {
		return nil
	}
	return err
}

// family finds the family of a refresh token, used ones too.
func (o *TokenInquiries) family(ctx context.Context, token string) (*RefreshToken, error) {
	if o.Families == nil || len(token) > MaxTokenBytes {
		return nil, nil
	}
	f, err := o.Families.RefreshToken(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("refresh token: %w", err)
	}
	return f, nil
}
