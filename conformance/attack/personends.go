package attack

import (
	"fmt"
	"net/http"
	"time"
)

// PersonEnds has somebody sign in to an app at one gateway of two and then at the other,
// ends the person each time by end, and says whether anything that the app had for them
// counts at either afterwards. Who signs in again goes on. to sends connections on.
func PersonEnds(t *Target, to func(place int), end func() error) error {
	for from := range 3 {
		to(from % 2)
		k, err := t.granted("app", personScope)
		if err != nil {
			return fmt.Errorf("sign-in %d: %w", from+1, err)
		}
		for place := range 2 {
			to(place)
			if err := reads(t, k.access, "weight"); err != nil {
				return fmt.Errorf("gateway %d, before the end: %w", place, err)
			}
		}
		if from == 2 {
			return nil
		}
		if err := end(); err != nil {
			return err
		}
		for place := range 2 {
			to(place)
			a, err := t.get(k.access, t.fill("{ada}"))
			if err != nil || a.status != http.StatusUnauthorized {
				return fmt.Errorf("gateway %d: an access token of a person who was signed out: %v, %w", place, a, err)
			}
			if _, err := t.refresh(k); err == nil {
				return fmt.Errorf("gateway %d: a refresh token of a person who was signed out", place)
			}
		}
		// What the provider says of the second of the end proves nothing.
		time.Sleep(1100 * time.Millisecond)
	}
	return nil
}
