package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// A Crossing is something that begins at one gateway of a store and must hold at
// another. It returns nil if it does.
type Crossing struct {
	Name string
	Do   func(t *Target) error
}

// Places to which Crossings send what follows.
const (
	AtA    = 0
	AtB    = 1
	InTurn = -1 // each connection to the other
)

// EndsCross is the Crossing for which clocks of the gateways matter most.
const EndsCross = "a client that one ends has nothing of what the other gave it before"

// Crossings are what must hold between two gateways that serve one public address.
// to sends the connections that follow to one of them; rounds is how often what has to
// hold at once is tried.
func Crossings(to func(place int), rounds int) []Crossing {
	return []Crossing{
		{"a code of one is redeemed at the other, once", codeCrosses(to)},
		{"a refresh token of one is good at the other, once", refreshCrosses(to)},
		{"an assertion that one has seen is refused at the other", assertionCrosses(to, rounds)},
		{"a token that one has revoked is refused at the other at once", revocationCrosses(to, rounds)},
		{"a Consent that one has ended denies at the other at once", consentCrosses(to, rounds)},
		{"a page link of one goes on at the other", pageCrosses(to)},
		{"a launch that one has registered ends at the other", launchCrosses(to)},
		{"a sign-in goes from one to the other at every step", func(t *Target) error {
			to(InTurn)
			k, err := t.granted("app", personScope)
			if err != nil {
				return err
			}
			to(AtA)
			if err := reads(t, k.access, "weight"); err != nil {
				return err
			}
			to(AtB)
			return reads(t, k.access, "weight")
		}},
		{"opaque ids are the same at both", idsCross(to)},
		{"a client that one has registered is known to the other at once", registrationCrosses(to)},
		{EndsCross, endCrosses(to, rounds)},
		{"a code that comes at both at once is stolen", grantsAtOnce(to, rounds, codeGrant)},
		{"a refresh token that comes at both at once is stolen", grantsAtOnce(to, rounds, refreshGrant)},
		{"an assertion that comes at both at once is good once", assertionAtOnce(to, rounds)},
		{"what both are to create or to change at once is done once", createAtOnce(to, rounds)},
		{"who signs out at one is out at the other", signOutCrosses(to)},
		{"what a person refused at one counts at the other at once", captureCrosses(to, rounds)},
		{"an answer on the scene is the same at both, and has nothing that one has ended", summaryCrosses(to)},
		{"a Consent that ends while both are read ends for whoever begins afterwards", consentInFlight(to, rounds)},
	}
}

func codeCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		for _, from := range []int{AtA, AtB} {
			to(from)
			g, code, err := t.code("app", personScope)
			if err != nil {
				return err
			}
			to(1 - from)
			k, err := t.redeem(g, code)
			if err != nil {
				return err
			}
			to(from)
			if err := reads(t, k.access, "weight"); err != nil {
				return err
			}
			if err := gives(t.post(t.Token, g.exchange(code))); err != nil {
				return fmt.Errorf("the code again: %w", err)
			}
			to(1 - from) // a code that came twice ends what came of it
			if err := reads(t, k.access, "weight"); err == nil {
				return errors.New("what came of a code that came twice is still good at the other gateway")
			}
		}
		return nil
	}
}

func refreshCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		to(AtA)
		k, err := t.granted("app", personScope)
		if err != nil {
			return err
		}
		to(AtB)
		next, err := t.refresh(k)
		if err != nil {
			return err
		}
		to(AtA)
		if err := reads(t, next.access, "weight"); err != nil {
			return err
		}
		if err := gives(t.post(t.Token, k.refreshing())); err != nil {
			return fmt.Errorf("the refresh token again: %w", err)
		}
		to(AtB)
		if err := reads(t, next.access, "weight"); err == nil {
			return errors.New("a family whose refresh token came twice is still good at the other gateway")
		}
		return nil
	}
}

func assertionCrosses(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		p, err := t.party("clinician")
		if err != nil {
			return err
		}
		for i := range min(rounds, 20) {
			header, claims := t.assertion(p)
			text, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return err
			}
			to(i % 2)
			a, err := t.post(t.Token, form(text, "system/Patient.rs"))
			if err != nil {
				return err
			}
			if !a.ok() {
				return fmt.Errorf("the first use: %s", a)
			}
			to(1 - i%2)
			if err := gives(t.post(t.Token, form(text, "system/Patient.rs"))); err != nil {
				return err
			}
		}
		return nil
	}
}

func revocationCrosses(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		p, err := t.party("clinician")
		if err != nil {
			return err
		}
		revoke := t.endpoint("revocation_endpoint")
		for i := range min(rounds, 100) {
			to(i % 2)
			token, err := t.newToken(p, "system/Patient.rs")
			if err != nil {
				return err
			}
			to(1 - i%2)
			for range 2 { // so that it is remembered as good
				if err := reads(t, token, "ada"); err != nil {
					return err
				}
			}
			to(i % 2)
			header, claims := t.assertion(p)
			text, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return err
			}
			a, err := t.post(revoke, url.Values{"token": {token}, "client_assertion_type": {assertionType}, "client_assertion": {text}})
			if err != nil || !a.ok() {
				return fmt.Errorf("revoking: %v, %w", a, err)
			}
			to(1 - i%2)
			if err := reads(t, token, "ada"); err == nil {
				return fmt.Errorf("round %d: a token that was revoked at the other gateway is good", i)
			}
		}
		return nil
	}
}

// consentCrosses ends and renews the Consent that lets the police have the plan.
func consentCrosses(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		ref, err := t.record("consent")
		if err != nil {
			return err
		}
		clinician, err := t.tokenOf("clinician", "")
		if err != nil {
			return err
		}
		officer, err := t.tokenOf("officer", "")
		if err != nil {
			return err
		}
		to(AtA)
		a, err := t.get(clinician, ref)
		if err != nil || !a.ok() {
			return fmt.Errorf("the Consent: %v, %w", a, err)
		}
		resource, version := a.json(), a.header.Get("ETag")
		for i := range 2 * ((rounds + 1) / 2) { // in the end it is active
			status := []string{"inactive", "active"}[i%2]
			resource["status"] = status
			delete(resource, "meta")
			raw, err := json.Marshal(resource)
			if err != nil {
				return err
			}
			writer := i / 2 % 2
			to(writer)
			a, err := t.ask(clinician, http.MethodPut, ref, raw, with("If-Match", version))
			if err != nil || !a.ok() {
				return fmt.Errorf("round %d: making it %s: %v, %w", i, status, a, err)
			}
			version = a.header.Get("ETag")
			to(1 - writer)
			a, err = t.get(officer, t.fill("CarePlan?patient={ada}"))
			if err != nil || !a.ok() {
				return fmt.Errorf("round %d: %v, %w", i, a, err)
			}
			if got := len(a.entries()) > 0; got != (status == "active") {
				return fmt.Errorf("round %d: the Consent is %s at one gateway, and at the other the plan is shown: %v", i, status, got)
			}
		}
		return nil
	}
}

func pageCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		for _, from := range []int{AtA, AtB} {
			to(from)
			all, err := t.as("clinician", t.fill("Encounter?patient={ada}"))
			if err != nil || len(all.entries()) < 2 {
				return fmt.Errorf("too few for pages: %v, %w", all, err)
			}
			var got []string
			for link := t.fill("Encounter?patient={ada}&_count=1"); link != ""; {
				a, err := t.as("clinician", link)
				if err != nil || !a.ok() {
					return fmt.Errorf("page %d: %v, %w", len(got)+1, a, err)
				}
				got = append(got, a.entries()...)
				if link = a.link("next"); len(got) > 20 {
					return errors.New("no end of pages")
				}
				from = 1 - from
				to(from)
			}
			if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(all.entries()))) {
				return fmt.Errorf("pages of both: %v, at once: %v", got, all.entries())
			}
		}
		return nil
	}
}

func launchCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		to(AtA)
		token, err := t.tokenOf("ehr", "")
		if err != nil {
			return err
		}
		app, err := t.party("app")
		if err != nil {
			return err
		}
		body, err := json.Marshal(object{"client_id": app.ID, "patient": t.Records["ada"]})
		if err != nil {
			return err
		}
		a, err := t.ask(token, http.MethodPost, t.Origin()+"/oauth/launch", body, with("Content-Type", "application/json"))
		if err != nil || a.text("launch") == "" {
			return fmt.Errorf("no launch: %v, %w", a, err)
		}
		to(AtB)
		g, err := t.begin("app", "launch openid user/Patient.rs user/Observation.rs")
		if err != nil {
			return err
		}
		g.request.Set("launch", a.text("launch"))
		at, err := t.authorized(g)
		if err != nil {
			return err
		}
		to(AtA)
		k, err := t.redeem(g, at.Query().Get("code"))
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		to(AtB)
		return reads(t, k.access, "weight")
	}
}

func idsCross(to func(int)) func(*Target) error {
	return func(t *Target) error {
		for _, query := range []string{"Encounter?patient={ada}", "Observation?patient={ada}", "Condition?patient={ada}", "Patient?_id={#ada}"} {
			var seen [2][]string
			for place := range seen {
				to(place)
				a, err := t.as("clinician", t.fill(query))
				if err != nil || !a.ok() || len(a.entries()) == 0 {
					return fmt.Errorf("%s: %v, %w", query, a, err)
				}
				seen[place] = slices.Sorted(slices.Values(a.entries()))
			}
			if !slices.Equal(seen[AtA], seen[AtB]) {
				return fmt.Errorf("%s: %v at one, %v at the other", query, seen[AtA], seen[AtB])
			}
		}
		return nil
	}
}
