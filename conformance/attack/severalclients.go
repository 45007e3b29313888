package attack

import (
	"fmt"
	"net/http"
)

// Clients that one gateway of a store registers or ends, for the other.

// registrationCrosses registers a client at one gateway, which the other lets in,
// and ends it there, after which neither does.
func registrationCrosses(to func(int)) func(*Target) error {
	return func(t *Target) error {
		to(AtA)
		client, err := t.registered()
		if err != nil {
			return err
		}
		to(AtB)
		if a, err := t.grant(client, "system/Patient.rs", nil); err != nil || !a.ok() {
			return fmt.Errorf("at the other gateway: %v, %w", a, err)
		}
		if a, err := t.manage("registrar", http.MethodDelete, "/"+client.ID, nil); err != nil || !a.ok() {
			return fmt.Errorf("ending it: %v, %w", a, err)
		}
		to(AtA)
		return gives(t.grant(client, "system/Patient.rs", nil))
	}
}

// registered registers a backend service.
func (t *Target) registered() (*Party, error) {
	key, err := NewKey("several-key", "ES384")
	if err != nil {
		return nil, err
	}
	a, err := t.manage("registrar", http.MethodPost, "", object{"client_name": "a client of both", "scope": "system/Patient.rs", "grant_types": []string{"client_credentials"},
		"jwks": object{"keys": []object{key.Public()}}, "roles": []string{"treating-clinician"}, "purposes": []string{"TREAT"}})
	if err != nil || a.status != http.StatusCreated {
		return nil, fmt.Errorf("registering: %v, %w", a, err)
	}
	return &Party{ID: a.text("client_id"), Key: key}, nil
}

// endCrosses disables a client at one gateway, and enables it again: what the other
// gave it before is over, what it gives it afterwards counts, whatever their clocks say.
func endCrosses(to func(int), rounds int) func(*Target) error {
	return func(t *Target) error {
		client, err := t.registered()
		if err != nil {
			return err
		}
		believed := func(token string) (bool, error) {
			a, err := t.get(token, t.fill("{ada}"))
			return err == nil && a.status != http.StatusUnauthorized, err
		}
		for i := range min(rounds, 20) {
			to(i % 2)
			before, err := t.newToken(client, "system/Patient.rs")
			if err != nil {
				return err
			}
			to(1 - i%2)
			for _, do := range []string{"disable", "enable"} {
				if a, err := t.manage("registrar", http.MethodPost, "/"+client.ID+"/"+do, object{}); err != nil || !a.ok() {
					return fmt.Errorf("%s: %v, %w", do, a, err)
				}
			}
			to(i % 2)
			after, err := t.newToken(client, "system/Patient.rs")
			if err != nil {
				return err
			}
			for place := range 2 {
				to(place)
				old, err := believed(before)
				if err != nil || old {
					return fmt.Errorf("round %d, gateway %d: a token of before the end is believed: %w", i, place, err)
				}
				if now, err := believed(after); err != nil || !now {
					return fmt.Errorf("round %d, gateway %d: a token of after the end is not believed: %w", i, place, err)
				}
			}
		}
		return nil
	}
}
