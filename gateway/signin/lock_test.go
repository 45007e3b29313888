package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
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
	if err := Unlock(t.Context(), w.facts, Unlocking{Provider: "demo", Name: "somebody", By: "admin", At: w.clock.now()}); err == nil {
		t.Error("somebody who is not locked was unlocked")
	}
	if err := Unlock(t.Context(), w.facts, Unlocking{Provider: "demo", Name: "Ortiz", By: "admin", Reason: "proved & known", At: w.clock.now()}); err != nil {
		t.Fatal(err)
	}
	if err := RecordNotes(t.Context(), w.facts, w.trail, w.s.o.NewID); err != nil {
		t.Fatal(err)
	}
	if e := w.trail.last(); e.Interaction != audit.Unlock || e.User != "admin" || e.Query != "provider=demo&reason=proved+%26+known&user=ortiz" {
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

// Right passwords at once take nothing from each other, whatever the order of their
// steps: here none goes on before all have come as far.
func TestRightPasswordsAtOnce(t *testing.T) {
	const people = MaxFailures + 1
	w := newWorld(t)
	one := w.browser()
	one.try(one.choice().form(t, "demo"), "ortiz", "wrong", demoCode)
	var here sync.WaitGroup
	here.Add(people)
	var n atomic.Int32
	steps := &storetest.Halting{Facts: w.facts}
	steps.From(func(_ int, key string) {
		if strings.HasPrefix(key, "auth/ended/subject/") && n.Add(1) <= people {
			here.Done()
			here.Wait()
		}
	})
	w.s.o.Facts = steps
	got := make([]int, people)
	var group sync.WaitGroup
	for i := range people {
		b := w.browser()
		form := b.choice().form(t, "demo")
		group.Go(func() { got[i] = b.try(form, "ortiz", demoPassword, demoCode).status })
	}
	group.Wait()
	for i, status := range got {
		if status != http.StatusSeeOther {
			t.Errorf("%d of %d: %d", i, people, status)
		}
	}
	if list, err := LockedUsers(t.Context(), w.facts); err != nil || len(list) > 0 {
		t.Errorf("locked are %v, %v", list, err)
	}
}

// What the store cuts off anywhere counts against nobody: neither the user nor the
// address is shut out when the store is back.
func TestSignInsThatTheStoreCutsOff(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		b := w.browser()
		form := b.choice().form(t, "demo")
		cut := &cutFacts{Facts: w.facts}
		w.s.o.Facts = cut
		failed := 0
		for range addressFailures + 1 {
			cut.left = at
			if got := b.try(form, "ortiz", demoPassword, demoCode); got.status == http.StatusServiceUnavailable {
				failed++
			}
			b = w.browser()
			cut.left = -1
			form = b.choice().form(t, "demo")
		}
		if got := b.try(form, "ortiz", demoPassword, demoCode); got.status != http.StatusSeeOther {
			t.Errorf("cut off before step %d, then the store is back: %d %s", at, got.status, w.trail.last().Reason)
		}
		if failed == 0 {
			if at < 6 {
				t.Errorf("a sign-in has %d steps", at-1)
			}
			return
		}
	}
}

var errAway = errors.New("the store is away")

// cutFacts fail from a step on; left < 0: never.
type cutFacts struct {
	store.Facts
	left int
}

func (c *cutFacts) step() error {
	if c.left > 0 {
		c.left--
	}
	if c.left == 0 {
		return errAway
	}
	return nil
}

func (c *cutFacts) Get(ctx context.Context, key string) (store.Fact, error) {
	if err := c.step(); err != nil {
		return store.Fact{}, err
	}
	return c.Facts.Get(ctx, key)
}

func (c *cutFacts) PutIfAbsent(ctx context.Context, key string, value []byte, expires time.Time) (store.Fact, error) {
	if err := c.step(); err != nil {
		return store.Fact{}, err
	}
	return c.Facts.PutIfAbsent(ctx, key, value, expires)
}

func (c *cutFacts) CompareAndSet(ctx context.Context, key string, version int64, value []byte, expires time.Time) (store.Fact, error) {
	if err := c.step(); err != nil {
		return store.Fact{}, err
	}
	return c.Facts.CompareAndSet(ctx, key, version, value, expires)
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
