package attack

import (
	"fmt"
	"net/http"
)

// given is the answer to a request of a party's that must be granted.
func (t *Target) given(party, path string) (*answer, error) {
	a, err := t.as(party, path)
	if err == nil && !a.ok() {
		err = fmt.Errorf("%s: %s", path, a)
	}
	return a, err
}

// Count says how many resources a search of a party's finds.
func (t *Target) Count(party, path string) (int, error) {
	ids, err := t.IDs(party, path)
	return len(ids), err
}

// Next is the link to the page after one that a party asks for, "" if there is none.
func (t *Target) Next(party, path string) (string, error) {
	a, err := t.given(party, path)
	if err != nil {
		return "", err
	}
	return a.link("next"), nil
}

// IDs lists what an answer has, as "Type/id".
func (t *Target) IDs(party, path string) ([]string, error) {
	a, err := t.given(party, path)
	if err != nil {
		return nil, err
	}
	return a.entries(), nil
}

// Status is how a request of a party's is answered.
func (t *Target) Status(party, path string) (int, error) {
	a, err := t.as(party, path)
	if err != nil {
		return 0, err
	}
	return a.status, nil
}

// Event sends a signed event and says whether it was taken.
func (t *Target) Event() (taken bool, err error) {
	a, err := t.hooked(hookEvent(), Clock(), "")
	if err != nil {
		return false, err
	}
	return a.status == http.StatusAccepted, nil
}
