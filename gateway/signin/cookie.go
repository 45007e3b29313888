package signin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"

	"github.com/handoff-health/handoff/gateway/guard"
)

// Cookies of a browser. The one of a session is made anew at each sign-in; the
// other ties a sign-in that has begun, and the forms shown meanwhile, to the
// browser. Over TLS both have the prefix that keeps other hosts and plain HTTP
// from setting them (RFC 6265bis 4.1.3.2).
const (
	sessionCookie = "handoff-session"
	browserCookie = "handoff-browser"
	hostPrefix    = "__Host-"
)

// NewHandle makes 256 random bits that name something to a browser. Only their hash
// is stored, so that who reads the store cannot use them.
func NewHandle() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(raw)
}

// HandleBytes is the length of a handle as text.
const HandleBytes = 43

// HashHandle is how a handle is stored.
func HashHandle(h string) string {
	sum := sha256.Sum256([]byte(h))
	return hex.EncodeToString(sum[:])
}

func (s *Server) cookieName(name string) string {
	if s.secure {
		return hostPrefix + name
	}
	return name
}

// cookie returns a handle that the browser brings. Of two cookies with one name
// neither is believed: somebody put one of them there.
func (s *Server) cookie(r *http.Request, name string) string {
	found := ""
	for _, c := range r.CookiesNamed(s.cookieName(name)) {
		if found != "" && found != c.Value {
			return ""
		}
		found = c.Value
	}
	if len(found) != HandleBytes {
		return ""
	}
	return found
}

// setCookie gives the browser a handle until it is closed; "" takes it away.
func (s *Server) setCookie(w http.ResponseWriter, name, value string) {
	c := &http.Cookie{Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// browser returns the handle of the browser, and gives it one if it has none.
func (s *Server) browser(w http.ResponseWriter, r *http.Request) string {
	if b := s.cookie(r, browserCookie); b != "" {
		return b
	}
	b := NewHandle()
	s.setCookie(w, browserCookie, b)
	r.AddCookie(&http.Cookie{Name: s.cookieName(browserCookie), Value: b})
	return b
}

// Token implements [Sessions]: a keyed hash of the session's cookie, or of the
// browser's before there is one. Another site can make a browser send a form, and
// cannot read what a page of this server holds.
func (s *Server) Token(w http.ResponseWriter, r *http.Request) string {
	if c := s.cookie(r, sessionCookie); c != "" {
		return s.pageToken(sessionCookie, c)
	}
	return s.pageToken(browserCookie, s.browser(w, r))
}

// Check implements [Sessions]. A form comes by POST.
func (s *Server) Check(r *http.Request) bool {
	if r.Method != http.MethodPost {
		return false
	}
	sent, want := r.PostFormValue(Field), ""
	if c := s.cookie(r, sessionCookie); c != "" {
		want = s.pageToken(sessionCookie, c)
	} else if c := s.cookie(r, browserCookie); c != "" {
		want = s.pageToken(browserCookie, c)
	}
	ok := want != "" && hmac.Equal([]byte(sent), []byte(want))
	return ok || guard.Off(guard.SignInPageToken)
}

func (s *Server) pageToken(kind, cookie string) string {
	return base64.RawURLEncoding.EncodeToString(s.keyed("page token", kind, cookie))
}

// keyed hashes parts with the site key for one use; a part ends with a zero byte.
func (s *Server) keyed(use string, parts ...string) []byte {
	m := hmac.New(sha256.New, s.o.SiteKey)
	m.Write([]byte("signin " + use + "\x00"))
	for _, p := range parts {
		m.Write([]byte(p + "\x00"))
	}
	return m.Sum(nil)
}
