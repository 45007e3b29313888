package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
)

// A base is the address space of one server: scheme, host and path prefix.
type base struct {
	scheme, host string // lower case, with the port always written out
	path         string // without a slash at its end; "" for the root
	url          *url.URL
}

func parseBase(s string, plain bool) (base, error) {
	u, err := url.Parse(s)
	if err != nil {
		return base{}, errors.New("is not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return base{}, fmt.Errorf("has the scheme %q; it must be https", u.Scheme)
	case u.Hostname() == "":
		return base{}, errors.New("has no host")
	case u.User != nil:
		return base{}, errors.New("has a user name in it")
	case u.RawQuery != "" || u.Fragment != "":
		return base{}, errors.New("has a query or a fragment")
	case u.Scheme == "http" && !plain && !loopback(u.Hostname()):
		return base{}, errors.New("is plain http on a host that is not loopback; use https or allow it")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	if u.Path != "" && path.Clean(u.Path) != u.Path {
		return base{}, errors.New("has a path that is not clean")
	}
	return base{scheme: u.Scheme, host: hostPort(u), path: u.Path, url: u}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func (b base) String() string { return b.url.String() }

func (b base) join(segments ...string) *url.URL { return b.url.JoinPath(segments...) }

// holds says whether u lies within the base. A path that climbs, or hides
// slashes or dots in escapes, does not.
func (b base) holds(u *url.URL) bool {
	if u.User != nil || u.Opaque != "" || strings.ToLower(u.Scheme) != b.scheme || hostPort(u) != b.host {
		return false
	}
	escaped := strings.ToLower(u.EscapedPath())
	if strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") || strings.Contains(u.Path, `\`) {
		return false
	}
	p := strings.TrimRight(u.Path, "/")
	if p != "" && path.Clean(p) != p {
		return false
	}
	return p == b.path || strings.HasPrefix(p, b.path+"/")
}
