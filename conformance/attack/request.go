package attack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) String() string {
	text := string(a.body)
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(text))
}

func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

// json reads the body as an object; an empty one if it is none.
func (a *answer) json() object {
	var o object
	if json.Unmarshal(a.body, &o) != nil {
		return object{}
	}
	return o
}

// text is a member of the body that is a string.
func (a *answer) text(name string) string {
	s, _ := a.json()[name].(string)
	return s
}

// entries lists the references in a searchset, outcomes left out.
func (a *answer) entries() []string {
	var b struct {
		Entry []struct {
			Resource struct{ ResourceType, ID string }
			Search   struct{ Mode string }
		}
	}
	_ = json.Unmarshal(a.body, &b) // no Bundle has no entries
	var out []string
	for _, e := range b.Entry {
		if e.Search.Mode != "outcome" {
			out = append(out, e.Resource.ResourceType+"/"+e.Resource.ID)
		}
	}
	return out
}

// link is a link of a Bundle.
func (a *answer) link(relation string) string {
	var b struct {
		Link []struct{ Relation, URL string }
	}
	_ = json.Unmarshal(a.body, &b)
	for _, l := range b.Link {
		if l.Relation == relation {
			return l.URL
		}
	}
	return ""
}

func (t *Target) send(req *http.Request) (*answer, error) {
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, body}, nil
}

// A change alters a request before it leaves.
type change func(*http.Request)

func with(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }

func and(name, value string) change { return func(r *http.Request) { r.Header.Add(name, value) } }

// ask sends a FHIR request with a bearer token ("": none). path is below the
// base, or absolute.
func (t *Target) ask(token, method, path string, body []byte, changes ...change) (*answer, error) {
	address := path
	if !strings.HasPrefix(path, "http://") && !strings.HasPrefix(path, "https://") {
		address = t.Base + "/" + path
	}
	req, err := http.NewRequest(method, strings.ReplaceAll(address, "|", "%7C"), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	for _, c := range changes {
		c(req)
	}
	return t.send(req)
}

func (t *Target) get(token, path string, changes ...change) (*answer, error) {
	return t.ask(token, http.MethodGet, path, nil, changes...)
}

// as is get with a token for all that the party is registered for.
func (t *Target) as(party, path string, changes ...change) (*answer, error) {
	token, err := t.tokenOf(party, "")
	if err != nil {
		return nil, err
	}
	return t.get(token, path, changes...)
}

// raw writes bytes to the gateway's socket and returns what came back; for what
// no client library writes.
func (t *Target) raw(request string) (string, error) {
	u, err := url.Parse(t.Base)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" {
		return "", Missing("plain connection to write bytes to")
	}
	host := u.Host
	if u.Port() == "" {
		host += ":80"
	}
	c, err := net.DialTimeout("tcp", host, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	got, err := io.ReadAll(io.LimitReader(c, 1<<20))
	if err != nil && len(got) == 0 && !errors.Is(err, io.EOF) {
		return "", nil // closed without a word
	}
	return string(got), nil
}

// hungUp says whether the gateway ended the connection instead of answering, which
// is its right before it has read all that was sent.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
