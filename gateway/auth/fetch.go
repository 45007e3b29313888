package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HTTPFetcher fetches key sets over HTTP: no redirects, bounded in size and
// time.
type HTTPFetcher struct{ client *http.Client }

// NewHTTPFetcher makes one with a connection pool of its own.
func NewHTTPFetcher() *HTTPFetcher {
	return &HTTPFetcher{&http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSHandshakeTimeout:    fetchTimeout,
			ResponseHeaderTimeout:  fetchTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("redirects are not followed")
		},
	}}
}

// Fetch gets a key set.
func (f *HTTPFetcher) Fetch(ctx context.Context, url string) (body []byte, fresh time.Duration, err error) {
	if err := checkKeySetURL(url); err != nil {
		return nil, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("status %d", resp.StatusCode)
	}
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || (t != "application/json" && !strings.HasSuffix(t, "+json")) {
		return nil, 0, fmt.Errorf("content type %.60q is not JSON", resp.Header.Get("Content-Type"))
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxKeySetBytes+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > maxKeySetBytes {
		return nil, 0, fmt.Errorf("larger than %d bytes", maxKeySetBytes)
	}
	return body, freshness(resp.Header), nil
}

// freshness reads Cache-Control: negative if it does not say.
func freshness(h http.Header) time.Duration {
	fresh := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			sec, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0 // unreadable: the safe reading
			}
			if d := time.Duration(sec) * time.Second; fresh < 0 || d < fresh {
				fresh = d
			}
		}
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil && fresh > 0 {
		fresh = max(0, fresh-time.Duration(age)*time.Second)
	}
	return fresh
}

// Loopback says whether a host, a name or an address, is this machine.
func Loopback(host string) bool { return loopback(host) }

// loopback says whether the host is this machine.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
