package attack

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// A browser follows redirects, keeps cookies and fills in forms, as far as an app
// launch needs it.
type browser struct {
	client *http.Client
	stops  string // an address at which it stops: the app's
}

func newBrowser(stops string) *browser {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &browser{stops: stops, client: &http.Client{
		Jar: jar, Timeout: 20 * time.Second, Transport: everyman(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// A page is where the browser has come to.
type page struct {
	at     *url.URL
	answer *answer
}

// arrived says whether it is the app's address, to which no request was made.
func (p *page) arrived() bool { return p.answer == nil }

func (p *page) String() string {
	if p.answer == nil {
		return p.at.String()
	}
	return p.at.String() + ": " + p.answer.String()
}

const maxSteps = 20

// open goes to an address and wherever it sends the browser.
func (b *browser) open(address string) (*page, error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return b.follow(req)
}

func (b *browser) follow(req *http.Request) (*page, error) {
	for range maxSteps {
		if b.stops != "" && strings.HasPrefix(req.URL.String(), b.stops) {
			return &page{at: req.URL}, nil
		}
		resp, err := b.client.Do(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		a := &answer{resp.StatusCode, resp.Header, body}
		to := resp.Header.Get("Location")
		if to == "" {
			to = forwarded(a)
		}
		if to == "" {
			return &page{req.URL, a}, nil
		}
		next, err := req.URL.Parse(to)
		if err != nil {
			return nil, err
		}
		if req, err = http.NewRequest(http.MethodGet, next.String(), nil); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s leads nowhere", req.URL)
}

var refresh = regexp.MustCompile(`(?i)<meta[^>]+http-equiv="refresh"[^>]+content="[^"]*url=([^"]+)"`)

// forwarded is where a page without a form sends its reader.
func forwarded(a *answer) string {
	if _, to, ok := strings.Cut(a.header.Get("Refresh"), "url="); ok {
		return to
	}
	if m := refresh.FindSubmatch(a.body); m != nil {
		return html.UnescapeString(string(m[1]))
	}
	return ""
}

// A webForm is a form on a page, with what its fields hold.
type webForm struct {
	action, method string
	fields         url.Values
	buttons        []string // name=value of each
	text           string
}

var (
	formTag   = regexp.MustCompile(`(?is)<form\b([^>]*)>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`(?is)<(input|button)\b([^>]*)>`)
	attribute = regexp.MustCompile(`(?s)([a-zA-Z-]+)(?:\s*=\s*"([^"]*)")?`)
)

func attributes(text string) map[string]string {
	out := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		out[strings.ToLower(m[1])] = html.UnescapeString(m[2])
	}
	return out
}

// forms lists the forms of a page. Boxes that are checked, and of radio buttons
// the first, count as the reader's choice.
func (p *page) forms() []webForm {
	var out []webForm
	if p.answer == nil {
		return nil
	}
	for _, m := range formTag.FindAllSubmatch(p.answer.body, -1) {
		a := attributes(string(m[1]))
		f := webForm{action: a["action"], method: strings.ToUpper(a["method"]), fields: url.Values{}, text: string(m[2])}
		for _, in := range inputTag.FindAllStringSubmatch(f.text, -1) {
			x := attributes(in[2])
			_, checked := x["checked"]
			switch kind := strings.ToLower(x["type"]); {
			case strings.ToLower(in[1]) == "button" || kind == "submit":
				f.buttons = append(f.buttons, x["name"]+"="+x["value"])
			case kind == "checkbox" && !checked:
			case kind == "radio" && f.fields.Has(x["name"]) && !checked:
			case kind == "radio":
				f.fields.Set(x["name"], x["value"])
			case x["name"] != "":
				f.fields.Add(x["name"], x["value"])
			}
		}
		out = append(out, f)
	}
	return out
}

// submit sends a form from its page; button is name=value, "" for none.
func (b *browser) submit(p *page, f webForm, button string, vary func(url.Values)) (*page, error) {
	to, err := p.at.Parse(f.action)
	if err != nil {
		return nil, err
	}
	if name, value, ok := strings.Cut(button, "="); ok && name != "" {
		f.fields.Set(name, value)
	}
	if vary != nil {
		vary(f.fields)
	}
	if f.method != http.MethodPost {
		to.RawQuery = f.fields.Encode()
		return b.open(to.String())
	}
	req, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(f.fields.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", to.Scheme+"://"+to.Host)
	return b.follow(req)
}
