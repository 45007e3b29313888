package config

import (
	"fmt"
	"strings"
	"time"
)

// maxPace keeps an answer at the scene from waiting for its own sake.
const maxPace = 2 * time.Second

func (k *checker) checkCrisis() {
	if k.Crisis.Pace < 0 || k.Crisis.Pace > maxPace {
		k.value("$.crisis.pace", k.Crisis.Pace.String(), "is not from 0s to 2s")
	}
	for i, c := range k.Crisis.Contacts {
		if strings.TrimSpace(c.Name) == "" || strings.TrimSpace(c.Phone) == "" {
			k.fault(fmt.Sprintf("$.crisis.contacts[%d]", i), "a contact needs a name and a phone")
		}
	}
	for i, c := range k.Crisis.Places {
		if strings.TrimSpace(c.Name) == "" || strings.TrimSpace(c.Address) == "" {
			k.fault(fmt.Sprintf("$.crisis.places[%d]", i), "a place needs a name and an address")
		}
	}
	for i, g := range k.Crisis.Guidance {
		if strings.TrimSpace(g) == "" {
			k.fault(fmt.Sprintf("$.crisis.guidance[%d]", i), "is empty")
		}
	}
}
