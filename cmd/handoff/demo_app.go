package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/config"
)

// A demoApp is the smallest SMART app: it sends the browser to the gateway, turns
// the code into tokens, reads the patient in context, and shows what it got. It
// serves as the app of each of the demo's organisations.
type demoApp struct {
	address  string // its own, "http://127.0.0.1:1234"
	fhir     string // FHIR base URL of the gateway
	listener net.Listener
	server   *http.Server

	mu       sync.Mutex
	openings map[string]opening // by state
}

// An opening is an app on its way through an authorization.
type opening struct {
	client, verifier string
	until            time.Time
}

const (
	appCookie     = "handoff-demo-app"
	openingLife   = 15 * time.Minute
	maxOpenings   = 1000
	appScope      = "openid fhirUser offline_access patient/Patient.rs patient/Encounter.rs patient/CarePlan.rs patient/AllergyIntolerance.rs"
	appAloneScope = "launch/patient launch/encounter " + appScope
	appEHRScope   = "launch " + appScope
)

// startDemoApp serves the app on a free loopback port.
func startDemoApp(fhir string) (*demoApp, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo app: %w", err)
	}
	a := &demoApp{address: "http://" + l.Addr().String(), fhir: fhir, listener: l, openings: map[string]opening{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /{client}/open", a.open)
	mux.HandleFunc("GET /{client}/launch", a.open)
	mux.HandleFunc("GET /{client}/callback", a.callback)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = a.server.Serve(l) }() // ends with close
	return a, nil
}

// registration is that of the app of a user's organisation. It names a provider of
// the demo's, which no file can.
func (a *demoApp) registration(u *demoUser) config.Client {
	return config.Client{
		ID: u.client, Name: u.app, Organization: u.organization, Roles: []string{u.role}, Purposes: []string{u.purpose},
		Grants: []string{auth.GrantAuthorizationCode, auth.GrantRefreshToken}, Public: true, Providers: []string{u.provider},
		RedirectURIs: []string{a.redirect(u.client)}, LaunchURL: a.address + "/" + u.client + "/launch",
		Scopes:           "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access patient/*.rs user/*.rs",
		TreatingProvider: u.treats, Users: "none", MFA: "never",
	}
}

func (a *demoApp) close() error { return a.server.Close() }

// home links to the apps.
func (a *demoApp) home(w http.ResponseWriter, _ *http.Request) {
	v := appView{Title: "Apps of the demo"}
	for _, u := range demoUsers() {
		v.Links = append(v.Links, appLink{"Open " + u.client + " (for " + u.display + ")", "/" + u.client + "/open"})
	}
	v.send(w, http.StatusOK)
}

// open begins a launch: by itself, or from an EHR, which then says so.
func (a *demoApp) open(w http.ResponseWriter, r *http.Request) {
	client, q := r.PathValue("client"), r.URL.Query()
	scope, launch := appAloneScope, q.Get("launch")
	if strings.HasSuffix(r.URL.Path, "/launch") {
		if q.Get("iss") != a.fhir || launch == "" {
			appFault(w, errors.New("the launch is not of the gateway that this app knows"))
			return
		}
		scope = appEHRScope
	}
	var known struct {
		Authorize string `json:"authorization_endpoint"`
	}
	if err := a.ask(r.Context(), a.fhir+"/.well-known/smart-configuration", &known); err != nil || known.Authorize == "" {
		appFault(w, errors.Join(err, errors.New("the gateway does not say where to authorize")))
		return
	}
	state, o := rand.Text(), opening{client, rand.Text() + rand.Text(), time.Now().Add(openingLife)}
	a.remember(state, o)
	challenge := sha256.Sum256([]byte(o.verifier))
	v := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {a.redirect(client)}, "scope": {scope}, "state": {state}, "aud": {a.fhir},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	if launch != "" {
		v.Set("launch", launch)
	}
	http.SetCookie(w, &http.Cookie{Name: appCookie, Value: state, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(openingLife / time.Second)})
	http.Redirect(w, r, known.Authorize+"?"+v.Encode(), http.StatusSeeOther)
}

func (a *demoApp) redirect(client string) string { return a.address + "/" + client + "/callback" }

func (a *demoApp) remember(state string, o opening) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(a.openings, func(_ string, o opening) bool { return now.After(o.until) })
	if len(a.openings) < maxOpenings {
		a.openings[state] = o
	}
}

// take finds the opening of an answer, once, for the browser that began it.
func (a *demoApp) take(r *http.Request) (opening, error) {
	state := r.URL.Query().Get("state")
	cookie, err := r.Cookie(appCookie)
	a.mu.Lock()
	defer a.mu.Unlock()
	o, ok := a.openings[state]
	delete(a.openings, state)
	if err != nil || cookie.Value != state || !ok || o.client != r.PathValue("client") || time.Now().After(o.until) {
		return opening{}, errors.New("this browser asked for no such answer")
	}
	return o, nil
}

// callback takes the gateway's answer, gets the tokens and shows what came.
func (a *demoApp) callback(w http.ResponseWriter, r *http.Request) {
	o, err := a.take(r)
	if err != nil {
		appFault(w, err)
		return
	}
	q := r.URL.Query()
	if q.Has("error") {
		v := appView{Title: "The app was not let in", Links: []appLink{{"Try again", "/" + o.client + "/open"}}}
		for _, name := range []string{"error", "error_description"} {
			v.Fields = append(v.Fields, appField{name, q.Get(name)})
		}
		v.send(w, http.StatusOK)
		return
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {a.redirect(o.client)}, "code_verifier": {o.verifier}, "client_id": {o.client},
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, strings.TrimSuffix(a.fhir, "/fhir")+tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		appFault(w, err)
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := send(req)
	var answer map[string]any
	if err == nil {
		err = json.Unmarshal(got.body, &answer)
	}
	if err != nil || got.code != http.StatusOK {
		appFault(w, errors.Join(err, errors.New("the gateway gave no token for the code")))
		return
	}
	a.show(r.Context(), w, o.client, answer)
}

// show tells what a token answer holds, but no token, and the patient.
func (a *demoApp) show(ctx context.Context, w http.ResponseWriter, client string, answer map[string]any) {
	v := appView{Title: client + " is open", Links: []appLink{{"Open it again", "/" + client + "/open"}}}
	for _, name := range slices.Sorted(maps.Keys(answer)) {
		text := fmt.Sprint(answer[name])
		if strings.HasSuffix(name, "_token") {
			text = fmt.Sprintf("(%d characters, kept by the app)", len(text))
		}
		v.Fields = append(v.Fields, appField{name, text})
	}
	if id, _ := answer["patient"].(string); id != "" {
		token, _ := answer["access_token"].(string)
		v.Patient = []appField{a.read(ctx, token, id)}
	}
	v.send(w, http.StatusOK)
}

// read reads the patient in context with the token.
func (a *demoApp) read(ctx context.Context, token, id string) appField {
	field := appField{Name: "GET Patient/" + id}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.fhir+"/Patient/"+url.PathEscape(id), nil)
	if err != nil {
		return field
	}
	req.Header.Set("Authorization", "Bearer "+token)
	got, err := send(req)
	if err != nil {
		field.Text = err.Error()
		return field
	}
	field.Text = got.status
	if doc, err := resource.Parse(got.body); err == nil && got.code == http.StatusOK {
		for name := range doc.Root().All("name") {
			field.Text += ": " + name.Get("family").Text()
			for g := range name.All("given") {
				field.Text += ", " + g.Text()
			}
			break
		}
		if born := doc.Root().Get("birthDate").Text(); born != "" {
			field.Text += ", born " + born
		}
	}
	return field
}

// ask reads a JSON document.
func (a *demoApp) ask(ctx context.Context, address string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	got, err := send(req)
	if err != nil {
		return err
	}
	return json.Unmarshal(got.body, to)
}

// An appView is a page of the app.
type appView struct {
	Title           string
	Fields, Patient []appField
	Links           []appLink
}

type appField struct{ Name, Text string }

type appLink struct{ Text, Href string }

var appPage = template.Must(template.New("app").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title></head>
<body><h1>{{.Title}}</h1><p>An app of the demo. It is not part of the gateway.</p>
{{- with .Patient}}<h2>Patient</h2><dl id="patient">{{range .}}<dt>{{.Name}}</dt><dd>{{.Text}}</dd>{{end}}</dl>{{end}}
{{- with .Fields}}<h2>Answer of the token endpoint</h2><dl id="answer">{{range .}}<dt>{{.Name}}</dt><dd>{{.Text}}</dd>{{end}}</dl>{{end}}
<ul>{{range .Links}}<li><a href="{{.Href}}">{{.Text}}</a></li>{{end}}</ul></body></html>
`))

func (v appView) send(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = appPage.Execute(w, v) // the browser has gone if this fails
}

func appFault(w http.ResponseWriter, err error) {
	appView{Title: "The app cannot go on", Fields: []appField{{"error", err.Error()}}, Links: []appLink{{"Start again", "/"}}}.send(w, http.StatusBadRequest)
}
