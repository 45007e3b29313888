package signin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store/storetest"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/guard"
)

// try signs a demo user in with the form of a page.
func (b *browser) try(form url.Values, name, password, code string) seen {
	b.w.t.Helper()
	sent := url.Values{"name": {name}, "password": {password}, "code": {code}}
	for k, v := range form {
		sent[k] = v
	}
	return b.do(http.MethodPost, "/oauth/signin", sent)
}

func TestDemoUserSignsIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	form := b.choice().form(t, "demo")
	if got := b.try(form, " Ortiz ", demoPassword, "482 913"); got.status != 303 {
		t.Fatalf("%d\n%s", got.status, got.body)
	}
	p := b.who()
	if p == nil || !p.MFA || strings.Join(p.Methods, " ") != "pwd otp" || p.ID != "PD-7" || p.Provider != "demo" {
		t.Errorf("%+v", p)
	}
	if raw := fmt.Sprintf("%+v", w.trail.events); strings.Contains(raw, demoPassword) || strings.Contains(raw, demoCode) {
		t.Error("the trail holds a password or a code")
	}
}

// A wrong password, a wrong code, a user who is not there and a user who is locked
// get the same bytes.
func TestFailuresLookAlike(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	form := b.choice().form(t, "demo")
	pages := map[string]string{}
	for name, try := range map[string][3]string{
		"password": {"ortiz", "wrong", demoCode}, "code": {"ortiz", demoPassword, "000000"}, "nobody": {"nobody", demoPassword, demoCode},
		"no name": {"", demoPassword, demoCode}, "long": {strings.Repeat("x", 300), demoPassword, demoCode},
	} {
		got := b.try(form, try[0], try[1], try[2])
		pages[name] = fmt.Sprint(got.status) + got.body
	}
	for range 5 {
		b.try(form, "ortiz", "wrong", demoCode)
	}
	got := b.try(form, "ortiz", demoPassword, demoCode)
	pages["locked"] = fmt.Sprint(got.status) + got.body
	for name, page := range pages {
		if page != pages["password"] || !strings.HasPrefix(page, "422") {
			t.Errorf("%s is not like a wrong password:\n%s\n%s", name, page, pages["password"])
		}
	}
	if !strings.Contains(got.body, `href="#demo-password"`) || !strings.Contains(got.body, `aria-describedby="demo-password-fault"`) {
		t.Errorf("the summary does not lead to the field:\n%s", got.body)
	}
}

func TestFiveFailuresLockUntilAnAdministratorSaysOtherwise(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	form := b.choice().form(t, "demo")
	for range 4 {
		b.try(form, "ortiz", "wrong", demoCode)
		w.clock.add(time.Minute)
	}
	if got := b.try(form, "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Fatalf("after four failures: %d", got.status)
	}
	b = w.browser()
	form = b.choice().form(t, "demo")
	for range 5 {
		b.try(form, "ortiz", "wrong", demoCode)
	}
	if e := w.trail.last(); e.Interaction != audit.Lock || !strings.Contains(e.Query, "ortiz") {
		t.Errorf("event %+v", e)
	}
	w.clock.add(100 * 24 * time.Hour)
	form = b.choice().form(t, "demo")
	if got := b.try(form, "ortiz", demoPassword, demoCode); got.status != 422 || w.trail.last().Reason != reasonLocked {
		t.Errorf("a hundred days later: %d %s", got.status, w.trail.last().Reason)
	}
	locked, err := LockedUsers(t.Context(), w.facts)
	if err != nil || len(locked) != 1 || locked[0].Name != "ortiz" || locked[0].Provider != "demo" {
		t.Fatalf("%v %v", locked, err)
	}
	if err := Unlock(t.Context(), w.facts, "demo", "somebody", "admin", w.clock.now()); err == nil {
		t.Error("somebody who is not locked was unlocked")
	}
	if err := Unlock(t.Context(), w.facts, "demo", "Ortiz", "admin", w.clock.now()); err != nil {
		t.Fatal(err)
	}
	if err := RecordNotes(t.Context(), w.facts, w.trail, w.s.o.NewID); err != nil {
		t.Fatal(err)
	}
	if e := w.trail.last(); e.Interaction != audit.Unlock || e.User != "admin" {
		t.Errorf("event %+v", e)
	}
	if got := b.try(form, "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Errorf("after the unlocking: %d", got.status)
	}
}

func TestFailuresFarApartDoNotLock(t *testing.T) {
	w := newWorld(t)
	for range 12 {
		b := w.browser()
		b.try(b.choice().form(t, "demo"), "ortiz", "wrong", demoCode)
		w.clock.add(4 * time.Minute)
	}
	b := w.browser()
	if got := b.try(b.choice().form(t, "demo"), "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Errorf("%d", got.status)
	}
}

// Many guesses at once are no more guesses than one after the other.
func TestGuessesAtOnce(t *testing.T) {
	w := newWorld(t, func(_ *world, o *Options) {
		n := 0
		var mu sync.Mutex
		o.Source = func(*http.Request) string { mu.Lock(); defer mu.Unlock(); n++; return fmt.Sprint(n) }
	})
	b := w.browser()
	form := b.choice().form(t, "demo")
	var group sync.WaitGroup
	for range 16 {
		one := w.browser()
		for name, value := range b.jar {
			one.jar[name] = value
		}
		group.Go(func() { one.try(form, "ortiz", "wrong", demoCode) })
	}
	group.Wait()
	judged, locks := 0, 0
	for _, e := range w.trail.events {
		if e.Reason == reasonPassword {
			judged++
		}
		if e.Interaction == audit.Lock {
			locks++
		}
	}
	if judged != 5 || locks != 1 {
		t.Errorf("%d guesses were judged, %d locks recorded", judged, locks)
	}
	guard.Disable(t, guard.SignInLock)
	if got := b.try(form, "ortiz", demoPassword, demoCode); got.status != 303 {
		t.Errorf("the guard stops nothing: %d", got.status)
	}
}

func TestAnAddressIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	form := b.choice().form(t, "demo")
	for i := range addressFailures {
		if got := b.try(form, fmt.Sprint("nobody", i), "wrong", demoCode); got.status != 422 {
			t.Fatalf("%d: %d", i, got.status)
		}
	}
	got := b.try(form, "ortiz", demoPassword, demoCode)
	if got.status != 429 || got.header.Get("Retry-After") != "900" || w.trail.last().Reason != reasonPlace {
		t.Errorf("%d %v", got.status, got.header)
	}
	if got := b.signIn(); got.status != 429 {
		t.Errorf("at the provider: %d", got.status)
	}
	w.clock.add(16 * time.Minute)
	if got := b.signIn(); got.status != 303 {
		t.Errorf("later: %d", got.status)
	}
}

func TestNewUsersWantsLongRandomPasswords(t *testing.T) {
	good := User{Name: "a", Password: demoPassword, Code: demoCode, ID: "1", Display: "A", Roles: demoProvider(t).Users.known["ortiz"].Roles}
	if _, err := NewUsers(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*User){
		"short": func(u *User) { u.Password = "short" }, "no code": func(u *User) { u.Code = "" }, "no name": func(u *User) { u.Name = " " },
		"no role": func(u *User) { u.Roles = nil }, "no id": func(u *User) { u.ID = "" },
	} {
		u := good
		change(&u)
		if _, err := NewUsers(u); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewUsers(good, good); err == nil {
		t.Error("one user twice")
	}
}

// A gateway stands still before each step that concerns the user, while the user is
// locked at another: nobody is let in any more.
func TestALockHoldsForASignInThatIsUnderWay(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		steps := &storetest.Halting{Facts: w.facts}
		w.s.o.Facts = steps
		b, guesser := w.browser(), w.browser()
		form, guesses := b.choice().form(t, "demo"), guesser.choice().form(t, "demo")
		n, reached := 0, false
		steps.From(func(_ int, key string) {
			if !strings.HasPrefix(key, userKey) || reached {
				return
			}
			if n++; n < at {
				return
			}
			reached = true
			for range MaxFailures {
				guesser.try(guesses, "ortiz", "wrong", demoCode)
			}
		})
		got := b.try(form, "ortiz", demoPassword, demoCode)
		if !reached {
			if at < 4 || got.status != 303 {
				t.Errorf("a sign-in has %d steps: %d", at-1, got.status)
			}
			return
		}
		if list, err := LockedUsers(t.Context(), w.facts); err != nil || len(list) != 1 {
			t.Errorf("halted before step %d: locked are %v, %v", at, list, err)
		}
		if got.status == 303 {
			t.Errorf("halted before step %d: a locked user is let in", at)
		}
	}
}
