package attack

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// What comes at both gateways of a store at the same time.

// sides is how many requests of one kind go out at once: two to each gateway.
const sides = 4

// atOnce sends requests side by side, and gives the answers in any order.
func atOnce(ask func() (*answer, error)) ([]*answer, error) {
	var wg sync.WaitGroup
	answers, errs := make([]*answer, sides), make([]error, sides)
	for i := range sides {
		wg.Go(func() { answers[i], errs[i] = ask() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// taken counts the answers that gave what was asked for.
func taken(answers []*answer) (n int) {
	for _, a := range answers {
		if a.ok() {
			n++
		}
	}
	return n
}

// grantsAtOnce sends one grant, of a person to an app, to both gateways at once: it
// comes twice, so that nothing that comes of it may be good afterwards.
func grantsAtOnce(to func(int), rounds int, grant func(*Target) (*Party, url.Values, error)) func(*Target) error {
	return func(t *Target) error {
		to(InTurn)
		for round := range min(rounds, 3) {
			app, f, err := grant(t)
			if err != nil {
				return err
			}
			answers, err := atOnce(func() (*answer, error) { return t.post(t.Token, f, app.prove()) })
			if err != nil {
				return err
			}
			if n := taken(answers); n > 1 {
				return breach("round %d: it is good %d times", round, n)
			}
			for _, a := range answers {
				if a.status >= http.StatusInternalServerError {
					return fmt.Errorf("round %d: %s", round, a)
				}
				token := a.text("access_token")
				for range 2 { // one at each
					if token != "" && reads(t, token, "weight") == nil {
						return breach("round %d: what came of it is good although it came %d times", round, sides)
					}
				}
			}
		}
		return nil
	}
}

func codeGrant(t *Target) (*Party, url.Values, error) {
	g, code, err := t.code("app", personScope)
	if err != nil {
		return nil, nil, err
	}
	return g.app, g.exchange(code), nil
}

func refreshGrant(t *Target) (*Party, url.Values, error) {
	k, err := t.granted("app", personScope)
	if err != nil {
		return nil, nil, err
	}
	return k.app, k.refreshing(), nil
}

func assertionAtOnce(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		p, err := t.party("clinician")
		if err != nil {
			return err
		}
		to(InTurn)
		for round := range min(rounds, 4) {
			header, claims := t.assertion(p)
			text, err := forgery{header: header, claims: claims, key: p.Key}.token()
			if err != nil {
				return err
			}
			answers, err := atOnce(func() (*answer, error) { return t.post(t.Token, form(text, "system/Patient.rs")) })
			if err != nil {
				return err
			}
			if n := taken(answers); n != 1 {
				return breach("round %d: %d tokens for one assertion", round, n)
			}
		}
		return nil
	}
}

// createAtOnce files one Consent by several conditional creates, and then changes it by
// as many conditional updates of one version.
func createAtOnce(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		token, err := t.tokenOf("clinician", "")
		if err != nil {
			return err
		}
		to(InTurn)
		for round := range min(rounds, 4) {
			mark := "T-" + rand.Text()
			body := []byte(t.fill(strings.ReplaceAll(planConsent, "{mark}", mark)))
			query := "identifier=https://handoff-health.github.io/fhir/sid/clinic/consent|" + mark
			answers, err := atOnce(func() (*answer, error) {
				return t.ask(token, http.MethodPost, "Consent", body, with("If-None-Exist", query))
			})
			if err != nil {
				return err
			}
			created := 0
			for _, a := range answers {
				switch a.status {
				case http.StatusCreated:
					created++
				case http.StatusOK, http.StatusConflict, http.StatusPreconditionFailed:
				default:
					return fmt.Errorf("round %d: %s", round, a)
				}
			}
			a, err := t.get(token, "Consent?"+query)
			if err != nil || len(a.entries()) != 1 || created != 1 {
				return breach("round %d: %d were created, and %v are found, %v", round, created, a, err)
			}
			if err := t.updateAtOnce(token, a.entries()[0]); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		return nil
	}
}

// updateAtOnce makes a Consent inactive, by several who have all read the same version.
func (t *Target) updateAtOnce(token, ref string) error {
	a, err := t.get(token, ref)
	if err != nil || !a.ok() {
		return fmt.Errorf("%v, %w", a, err)
	}
	resource, version := a.json(), a.header.Get("ETag")
	resource["status"] = "inactive"
	delete(resource, "meta")
	raw, err := json.Marshal(resource)
	if err != nil {
		return err
	}
	answers, err := atOnce(func() (*answer, error) {
		return t.ask(token, http.MethodPut, ref, raw, with("If-Match", version))
	})
	if err != nil {
		return err
	}
	if n := taken(answers); n != 1 {
		return breach("%d of %d updates of one version are taken: %v", n, sides, answers)
	}
	return nil
}

// consentInFlight ends a Consent while others read at both gateways all the time: who
// began after the end was acknowledged sees nothing.
func consentInFlight(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		officer, err := t.tokenOf("officer", "")
		if err != nil {
			return err
		}
		to(InTurn)
		plans := t.fill("CarePlan?patient={ada}")
		for round := range min(rounds, 4) {
			if err := t.planConsentBecomes("active"); err != nil {
				return err
			}
			var ended, over atomic.Bool
			var shown, late atomic.Int32
			done := make(chan error, sides)
			for range sides {
				go func() {
					for !over.Load() {
						after := ended.Load()
						a, err := t.get(officer, plans)
						if err != nil || !a.ok() {
							done <- fmt.Errorf("%v, %w", a, err)
							return
						}
						switch n := int32(len(a.entries())); { //nolint:gosec // a page
						case after:
							late.Add(n)
						default:
							shown.Add(n)
						}
					}
					done <- nil
				}()
			}
			for i := 0; shown.Load() == 0 && i < 1000; i++ {
				if _, err := t.get(officer, plans); err != nil {
					break
				}
			}
			err := t.planConsentBecomes("inactive")
			ended.Store(err == nil)
			for range 5 {
				if a, got := t.get(officer, plans); got != nil || len(a.entries()) > 0 {
					late.Add(1)
				}
			}
			over.Store(true)
			for range sides {
				if failed := <-done; err == nil {
					err = failed
				}
			}
			switch {
			case err != nil:
				return err
			case late.Load() > 0:
				return breach("round %d: who began after the Consent had ended saw what it let them", round)
			case shown.Load() == 0:
				return fmt.Errorf("round %d: nobody saw the plan before", round)
			}
		}
		return t.planConsentBecomes("active")
	}
}

// planConsentBecomes changes the Consent that lets the police have the plan.
func (t *Target) planConsentBecomes(status string) error {
	ref, err := t.record("consent")
	if err != nil {
		return err
	}
	token, err := t.tokenOf("clinician", "")
	if err != nil {
		return err
	}
	a, err := t.get(token, ref)
	if err != nil || !a.ok() {
		return fmt.Errorf("the Consent: %v, %w", a, err)
	}
	resource, version := a.json(), a.header.Get("ETag")
	if resource["status"] == status {
		return nil
	}
	resource["status"] = status
	delete(resource, "meta")
	raw, err := json.Marshal(resource)
	if err != nil {
		return err
	}
	if a, err = t.ask(token, http.MethodPut, ref, raw, with("If-Match", version)); err != nil || !a.ok() {
		return fmt.Errorf("making it %s: %v, %w", status, a, err)
	}
	return nil
}
