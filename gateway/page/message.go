package page

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Message is a page without a form: that something cannot be, or is done.
type Message struct {
	Title string
	Text  []string // paragraphs: what happened, what to do
	// RequestID is what the person can tell an administrator, who finds the
	// request in the audit trail by it; "" if there is nothing to ask about.
	RequestID string
	Links     []Link
}

// A Link leads on from a message.
type Link struct {
	Text string
	Href string // a path of this server
}

var own = func() *Templates {
	t, err := Parse(files, "message.html", "forward.html")
	if err != nil {
		panic(err) // the templates are part of the program, and a test shows them
	}
	return t
}()

// Show sends a message.
func Show(w http.ResponseWriter, status int, m Message) error {
	return own.Write(w, status, "message", View{Title: m.Title, Data: m})
}

// Fail sends the page for what went wrong inside: it says nothing of it, and when to
// try again.
func Fail(w http.ResponseWriter, requestID string) error {
	w.Header().Set("Retry-After", "5")
	return Show(w, http.StatusServiceUnavailable, Message{
		Title:     "This does not work at the moment",
		Text:      []string{"The gateway could not do this. Go back and try again in a minute.", "If it goes on, tell your administrator the request number below."},
		RequestID: requestID,
	})
}

// ErrTarget says that a browser is not sent there.
var ErrTarget = errors.New("page: a browser is not sent to such an address")

// forbidden are schemes that run or show content in the place of this server.
var forbidden = []string{"", "about", "blob", "data", "file", "filesystem", "javascript", "vbscript", "view-source"}

// Forward sends the browser on to an address of another server, or of an app of
// the device, as the answer to a form: by the Refresh header, which needs no
// script and is no redirect, and by a link for browsers that do not follow it.
func Forward(w http.ResponseWriter, to string) error {
	address, err := Address(to)
	if err != nil {
		return err
	}
	w.Header().Set("Refresh", "0;url="+to)
	where := "the app"
	if u, err := url.Parse(to); err == nil && u.Host != "" {
		where = u.Host
	}
	return own.Write(w, http.StatusOK, "forward", View{Title: "One moment", Data: struct {
		To    template.URL
		Where string
	}{address, where}})
}

// Address is an address of another server, or of an app of the device, that may
// stand in a link: one that neither runs nor shows content in the place of this
// server. Else it is [ErrTarget].
func Address(to string) (template.URL, error) {
	u, err := url.Parse(to)
	if err != nil || slices.Contains(forbidden, strings.ToLower(u.Scheme)) || strings.ContainsFunc(to, notVisible) {
		return "", ErrTarget
	}
	return template.URL(to), nil //nolint:gosec // the scheme was checked
}

// notVisible says whether a character has no place in an address.
func notVisible(r rune) bool {
	return r <= ' ' || r > '~' || r == '"' || r == '\'' || r == '<' || r == '>'
}
