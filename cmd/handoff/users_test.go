package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// signInPage brings a client with cookies to the page that asks the demo's users.
func signInPage(t *testing.T, d *demo, client *http.Client) (form url.Values) {
	t.Helper()
	need := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.gateway.signIn.Ask(w, r, []string{"demo-riverton"}, "/oauth/launch/authorize?id=1", false)
	}))
	defer need.Close()
	resp, err := client.Get(need.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	base := strings.TrimSuffix(d.base, "/fhir")
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	client.Jar.SetCookies(u, resp.Cookies())
	resp, err = client.Get(base + resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	form = url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`).FindAllStringSubmatch(string(raw), -1) {
		form.Set(m[1], m[2])
	}
	if form.Get("provider") != "demo-riverton" {
		t.Fatalf("no form in\n%s", raw)
	}
	return form
}

// A user of the demo is locked by failures, listed, let in by an administrator
// beside the running gateway, and both are in its trail.
func TestUsersAreLockedAndLetInAgain(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out screen
	dir := filepath.Join(t.TempDir(), "demo")
	d, done := startDemo(ctx, t, dir, &out)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	form := signInPage(t, d, client)
	officer := d.users[0]
	try := func(password string) int {
		t.Helper()
		form.Set("name", officer.name)
		form.Set("password", password)
		form.Set("code", officer.code)
		resp, err := client.PostForm(strings.TrimSuffix(d.base, "/fhir")+"/oauth/signin", form)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for i := range 5 {
		if got := try("wrong"); got != http.StatusUnprocessableEntity {
			t.Fatalf("failure %d: %d", i, got)
		}
	}
	if got := try(officer.password); got != http.StatusUnprocessableEntity {
		t.Fatalf("a locked user with the right password: %d", got)
	}
	file := filepath.Join(dir, "handoff.yaml")
	users := func(args ...string) (string, error) {
		var text bytes.Buffer
		cmd := newRootCommand()
		cmd.SetOut(&text)
		cmd.SetErr(&text)
		cmd.SetArgs(append(append([]string{"users"}, args...), "--config", file))
		err := cmd.ExecuteContext(ctx)
		return text.String(), err
	}
	if text, err := users("list"); err != nil || !strings.Contains(text, "demo-riverton") || !strings.Contains(text, officer.name) {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, err := users("unlock", "demo-riverton", officer.name); err == nil {
		t.Error("nobody answers for it")
	}
	if _, err := users("unlock", "demo-riverton", "nobody", "--by", "mlopez"); err == nil {
		t.Error("an unknown user was unlocked")
	}
	if text, err := users("unlock", "demo-riverton", officer.name, "--by", "mlopez", "--reason", "called back"); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got := try(officer.password); got != http.StatusSeeOther {
		t.Errorf("after the unlocking: %d", got)
	}
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		notes, err := d.gateway.store.Scan(ctx, "signin/note/", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(notes) == 0 {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal("the unlocking is not recorded")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	trail := trailText(t, filepath.Join(dir, "audit"))
	for what, n := range map[string]int{`"interaction":"login"`: 7, `"interaction":"lock"`: 1, `"interaction":"unlock"`: 1, "mlopez": 1, "reason=called+back": 1, officer.password: 0, officer.code: 0} {
		if got := strings.Count(trail, what); got != n {
			t.Errorf("%q is %d times in the trail, want %d", what, got, n)
		}
	}
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil || bytes.Contains(raw, []byte(officer.password)) {
			t.Errorf("%s holds a password (%v)", path, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), officer.password) {
		t.Error("the demo does not tell the password")
	}
}

// trailText is what the segments of a trail hold.
func trailText(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		text.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// startDemo runs a demo until the context ends, and returns when its tour is over.
func startDemo(ctx context.Context, t *testing.T, dir string, out *screen) (*demo, chan error) {
	t.Helper()
	done := make(chan error, 1)
	ready := make(chan *demo, 1)
	o := demoOnTestStore(t, demoOptions{addr: "127.0.0.1:0", data: dir, ready: func(d *demo) { ready <- d }})
	go func() { done <- runDemo(ctx, o, out, io.Discard) }()
	select {
	case d := <-ready:
		return d, done
	case err := <-done:
		t.Fatal(fmt.Errorf("the demo ended: %w\n%s", err, out.String()))
	}
	return nil, nil
}
