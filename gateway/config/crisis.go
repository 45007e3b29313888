package config

import (
	"fmt"
	"strings"
	"time"
)

// Crisis is what Patient/$crisis-summary offers whoever is asked about.
type Crisis struct {
	Contacts []CrisisContact `yaml:"contacts"` // whom to call; default the 988 lifeline
	Places   []CrisisContact `yaml:"places"`   // where to go: crisis centres that take a drop-off
	Guidance []string        `yaml:"guidance"` // advice that fits everybody
	// Pace makes every answer leave at a multiple of it after the question came,
	// so that the time taken tells less; default 250ms, at most 2s.
	Pace time.Duration `yaml:"pace"`
}

// CrisisContact is somebody to call or a place to go to.
type CrisisContact struct {
	Name    string `yaml:"name"`
	Role    string `yaml:"role"`    // "mobile crisis team"
	Phone   string `yaml:"phone"`   // as it is dialled
	Hours   string `yaml:"hours"`   // "24 hours"
	Address string `yaml:"address"` // of a place
}

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
