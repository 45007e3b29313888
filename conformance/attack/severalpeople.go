package attack

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What people begin at one gateway of a store, and end at another: sign-ins, what they
// said on the scene, and what an officer is told there.

// parameters is the body of an operation: names with their members.
func parameters(list ...object) []byte {
	raw, err := json.Marshal(object{"resourceType": "Parameters", "parameter": list})
	if err != nil {
		panic(err) // it holds texts and flags
	}
	return raw
}

func parameter(name, member string, value any) object { return object{"name": name, member: value} }

// operate calls an operation of the gateway.
func (t *Target) operate(token, path string, list ...object) (*answer, error) {
	return t.ask(token, http.MethodPost, path, parameters(list...))
}

// signOutCrosses signs a person in at one gateway and out at the other. The session's
// cookie, its tokens and a code that was on its way are then worth nothing anywhere.
func signOutCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		if t.Provider == nil {
			return Missing("identity provider")
		}
		t.Provider.as(nil)
		for _, from := range []int{AtA, AtB} {
			to(from)
			g, b, p, err := t.opened("app", personScope, nil, nil)
			if err != nil {
				return err
			}
			k, err := t.redeem(g, p.at.Query().Get("code"))
			if err != nil {
				return err
			}
			to(1 - from)
			// The session counts here: nobody signs in again.
			late, _, p, err := t.opened("app", personScope, b, atSignIn)
			if err != nil || !p.arrived() {
				return fmt.Errorf("a session of the other gateway: %v, %w", p, err)
			}
			if err := reads(t, k.access, "weight"); err != nil {
				return err
			}
			thief := newBrowser("") // with the cookies as they are now
			if err := thief.robs(b, t.Origin()); err != nil {
				return err
			}
			if err := t.signOut(b); err != nil {
				return err
			}
			to(from)
			if err := t.signedOut(k, late.exchange(p.at.Query().Get("code")), b, thief); err != nil {
				return err
			}
		}
		return nil
	}
}

// signedOut tries what a session has left behind after its end: tokens, the exchange of
// a code, and the cookies of browsers.
func (t *Target) signedOut(k *tokens, exchange url.Values, browsers ...*browser) error {
	if err := reads(t, k.access, "weight"); err == nil {
		return errors.New("a token of a session that ended at the other gateway is good")
	}
	for what, f := range map[string]url.Values{"a refresh token": k.refreshing(), "a code": exchange} {
		if err := gives(t.post(t.Token, f)); err != nil {
			return fmt.Errorf("%s of a session that ended at the other gateway: %w", what, err)
		}
	}
	for _, b := range browsers {
		_, _, p, err := t.opened("app", personScope, b, func(*page, webForm) bool { return true })
		if err != nil {
			return err
		}
		if p.arrived() || !atSignIn(p, webForm{}) {
			return fmt.Errorf("the cookie of a session that ended at the other gateway opens %s", p)
		}
	}
	return nil
}

// robs takes the cookies that another browser has of an origin.
func (b *browser) robs(other *browser, origin string) error {
	at, err := url.Parse(origin)
	if err != nil {
		return err
	}
	b.client.Jar.SetCookies(at, other.client.Jar.Cookies(at))
	return nil
}

// signOut ends the browser's session by the page for it.
func (t *Target) signOut(b *browser) error {
	p, err := b.open(t.Origin() + "/oauth/signout")
	if err != nil {
		return err
	}
	for _, f := range p.forms() {
		if strings.Contains(f.action, "signout") {
			p, err = b.submit(p, f, "", nil)
			if err == nil && !p.answer.ok() {
				err = fmt.Errorf("signing out: %s", p)
			}
			return err
		}
	}
	return fmt.Errorf("no form to sign out: %s", p)
}

// captureCrosses has an officer file at one gateway that a person refuses; it counts at
// the other at once, and so does the end of it.
func captureCrosses(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		for round := range min(rounds, 2) {
			if err := t.refusal(to, round%2); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		return nil
	}
}

func (t *Target) refusal(to func(int), from int) error {
	unit, err := t.tokenOf("unit", "")
	if err != nil {
		return err
	}
	said := t.refused()
	if err := t.contactsShown(to, 1-from, true); err != nil {
		return err
	}
	to(from)
	a, err := t.operate(unit, "Consent/$capture", said...)
	if err != nil || a.status != http.StatusCreated {
		return fmt.Errorf("capturing: %v, %w", a, err)
	}
	consent := located(a)
	if err := t.contactsShown(to, 1-from, false); err != nil {
		return fmt.Errorf("after a refusal at the other gateway: %w", err)
	}
	// What comes a second time, there, is the same.
	if a, err = t.operate(unit, "Consent/$capture", said...); err != nil || a.status != http.StatusOK || located(a) != consent {
		return fmt.Errorf("the refusal again: %v, %w", a, err)
	}
	if a, err = t.operate(unit, consent+"/$revoke", parameter("how", "valueCode", "phone"), parameter("reason", "valueString", "changed their mind")); err != nil || !a.ok() {
		return fmt.Errorf("ending it: %v, %w", a, err)
	}
	if err := t.contactsShown(to, from, true); err != nil {
		return fmt.Errorf("after its end at the other gateway: %w", err)
	}
	return nil
}

// located is the resource that an answer says it has made, "Consent/…".
func located(a *answer) string {
	_, at, _ := strings.Cut(a.header.Get("Location"), "/fhir/")
	ref, _, _ := strings.Cut(at, "/_history")
	return ref
}

// refused is what a terminal sends of somebody who does not want the clinic to be told.
func (t *Target) refused() []object {
	return []object{
		parameter("patient", "valueReference", object{"reference": t.Records["ada"]}),
		parameter("identifier", "valueIdentifier", object{"system": "urn:handoff:test:terminal", "value": rand.Text()}),
		parameter("how", "valueCode", "verbal"), parameter("decision", "valueCode", "refuse"),
		parameter("askedAt", "valueDateTime", Clock().Add(-time.Second).UTC().Format(time.RFC3339)),
		parameter("recipient", "valueReference", object{"reference": t.Records["clinic"]}),
		parameter("capacity", "valueCode", "capable"), parameter("askedBy", "valueString", "Badge 417"),
	}
}

// contactsShown says whether the clinic sees the contacts of the police.
func (t *Target) contactsShown(to func(int), place int, want bool) error {
	to(place)
	a, err := t.as("clinician", t.fill("Encounter?patient={ada}"))
	if err != nil || !a.ok() {
		return fmt.Errorf("%v, %w", a, err)
	}
	if got := len(a.entries()) > 0; got != want {
		return fmt.Errorf("contacts are shown: %v", got)
	}
	return nil
}

// summaryCrosses asks both gateways what an officer is to know on the scene. They say
// the same, byte for byte; when the Consent has ended at one, the other says what it
// says of somebody of whom nothing is known.
func summaryCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		for place, status := range []string{"inactive", "active"} {
			to(place)
			if err := t.planConsentBecomes(status); err != nil {
				return err
			}
			who := []string{t.Records["ada"], t.Records["ada"]}
			if status == "inactive" {
				who = append(who, "Patient/nobody")
			}
			var said [][]byte
			for i, one := range who {
				to([]int{1 - place, place, 1 - place}[i])
				a, err := t.as("officer", one+"/$crisis-summary")
				if err != nil || !a.ok() {
					return fmt.Errorf("%v, %w", a, err)
				}
				said = append(said, a.body)
			}
			if plan := bytes.Contains(said[0], []byte("Call her sister first")); plan != (status == "active") {
				return fmt.Errorf("the Consent is %s at one gateway, and at the other the summary has the plan: %v: %s", status, plan, said[0])
			}
			for _, other := range said[1:] {
				if !bytes.Equal(said[0], other) {
					return breach("the Consent is %s, and summaries differ: %s and %s", status, said[0], other)
				}
			}
		}
		return nil
	}
}
