package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// NewTransport makes a transport for talking to upstreams. Its pool keeps as
// many idle connections a host as there are clients in a busy hour: the pool
// of retryablehttp's own transport holds three and doubles the CPU cost.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    3 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// Unpacking is done here, where it can be counted.
		DisableCompression: true,
	}
}

// pool hides the transport's CloseIdleConnections, which retryablehttp calls
// after every failure: one bad answer must not cost all others their
// connections.
type pool struct{ next http.RoundTripper }

func (p pool) RoundTrip(r *http.Request) (*http.Response, error) { return p.next.RoundTrip(r) }

var (
	errRedirectAway = errors.New("it redirects to another place than its own base; nothing was sent there")
	errRedirectLoop = errors.New("it redirects too often")
)

func newRetrying(o Options, b base) *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = max(o.Retries, 0)
	c.RetryWaitMin, c.RetryWaitMax = o.WaitMin, o.WaitMax
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.HTTPClient = &http.Client{
		Transport: pool{o.Transport},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case !b.holds(req.URL):
				return errRedirectAway
			case len(via) > maxRedirects:
				return errRedirectLoop
			}
			return nil
		},
	}
	c.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		return worthRetry(ctx, resp, err, o), nil
	}
	c.Backoff = func(lo, hi time.Duration, attempt int, resp *http.Response) time.Duration {
		if resp != nil {
			if wait, ok := retryAfter(resp.Header, o.Now()); ok {
				return wait
			}
		}
		ceiling := min(hi, lo<<min(attempt, 16))
		return lo/2 + rand.N(ceiling) // jitter: clients that failed together come back apart
	}
	return c
}

// worthRetry says whether a GET may be sent again. Every request that comes
// here is a GET; a wait that would outlive the deadline is not begun.
func worthRetry(ctx context.Context, resp *http.Response, err error, o Options) bool {
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		var cert *tls.CertificateVerificationError
		return !errors.Is(err, errRedirectAway) && !errors.Is(err, errRedirectLoop) && !errors.As(err, &cert)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return false // 500 is an answer: asking again costs the server the same fault
	}
	wait := o.WaitMin
	if after, ok := retryAfter(resp.Header, o.Now()); ok {
		wait = after
	}
	if wait > time.Minute {
		return false
	}
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > wait
}

// retryAfter reads Retry-After: seconds or an HTTP date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(s) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now)), true
	}
	return 0, false
}
