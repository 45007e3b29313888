package auth

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Addresses that a client registers. They are compared byte for byte, with what a
// stranger may have chosen: what two readers could read in two ways is refused.

// privateScheme is a private-use scheme in reverse-domain form (RFC 8252 7.1).
var privateScheme = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$`)

// redirectFault says why a redirect URI cannot be registered, "" if it can.
func redirectFault(s string) string {
	u, why := fixedAddress(s)
	if why != "" {
		return why
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return hostFault(u)
	case u.Scheme == "http":
		return "is plain HTTP to another machine; use https"
	case !privateScheme.MatchString(u.Scheme):
		return "is neither https, nor http to this machine, nor of a private-use scheme in reverse-domain form (com.example.app:/callback)"
	case u.Opaque != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(s, u.Scheme+"://"):
		return "must have one slash after its private-use scheme: com.example.app:/callback (RFC 8252)"
	}
	return ""
}

// launchFault says why a launch URL cannot be registered.
func launchFault(s string) string {
	u, why := fixedAddress(s)
	switch {
	case why != "":
		return why
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return hostFault(u)
	}
	return "is not an absolute https URL (http only to this machine)"
}

// originFault wants an origin as browsers send it (RFC 6454 6.2).
func originFault(s string) string {
	u, why := fixedAddress(s)
	switch {
	case why != "":
		return why
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return "is not an https origin (http only for this machine)"
	case hostFault(u) != "":
		return hostFault(u)
	case s != u.Scheme+"://"+strings.ToLower(u.Host):
		return "is not exactly scheme://host or scheme://host:port, in lower case, without a slash at the end"
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return "names the port that browsers leave out"
	}
	return ""
}

// fixedAddress reads what all of them must be: absolute, whole, and written in a
// way that nobody can read as something else.
func fixedAddress(s string) (*url.URL, string) {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte("\\\"<>^`{|}", s[i]) >= 0 {
			return nil, "has a character that no URI has"
		}
	}
	u, err := url.Parse(s)
	switch {
	case len(s) > maxURIBytes:
		return nil, "is too long"
	case err != nil || u.Scheme == "":
		return nil, "is not an absolute URI"
	case strings.Contains(s, "*"):
		return nil, "has a wildcard; register each address in full"
	case strings.Contains(s, "#"):
		return nil, "has a fragment"
	case u.User != nil:
		return nil, "has user information"
	case !strings.HasPrefix(s, u.Scheme+":"):
		return nil, "has a scheme in upper case"
	case dotted(u.EscapedPath()):
		return nil, "has . or .. in its path"
	}
	return u, ""
}

func dotted(path string) bool {
	path = strings.ReplaceAll(strings.ToLower(path), "%2e", ".")
	return slices.ContainsFunc(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), func(part string) bool { return part == "." || part == ".." })
}

// hostFault wants the host of an http or https URL.
func hostFault(u *url.URL) string {
	switch {
	case u.Hostname() == "" || u.Opaque != "":
		return "names no host"
	case strings.HasSuffix(u.Host, ":"):
		return "has a colon without a port"
	case strings.Contains(u.Hostname(), "%"):
		return "has an escaped character in its host"
	}
	return ""
}
