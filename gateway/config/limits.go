package config

import "time"

// Bounds of what one caller may ask in a minute.
const (
	defaultRequests = 6000
	defaultUsers    = 600
	defaultTokens   = 300
	leastRate       = 10
	mostRate        = 1_000_000
)

// Limits bound what one caller may ask of the gateway.
type Limits struct {
	Requests int `yaml:"requests"` // FHIR requests of one client in a minute; default 6000, -1 none
	// Users are FHIR requests of one person through one client in a minute; default
	// 600, -1 none.
	Users  int `yaml:"users"`
	Tokens int `yaml:"tokens"` // token requests of one client, or of one address that proves no client, in a minute; default 300, -1 none
	// Failures in Window lock a user's sign-in, until an administrator lets them in
	// again, and a client at that address for Window; default and most 5 in 15m.
	Failures int           `yaml:"failures"`
	Window   time.Duration `yaml:"window"`
}

// limitDefaults fills in rates. Failures and their window are with the sign-in,
// which has the same.
func (c *Config) limitDefaults() {
	for rate, usual := range map[*int]int{&c.Limits.Requests: defaultRequests, &c.Limits.Users: defaultUsers, &c.Limits.Tokens: defaultTokens} {
		if *rate == 0 {
			*rate = usual
		}
	}
}

// checkRates refuses a rate by which nobody could work, and one that is none.
func (k *checker) checkRates() {
	for _, r := range [...]struct {
		at   string
		rate int
	}{{"$.limits.requests", k.Limits.Requests}, {"$.limits.users", k.Limits.Users}, {"$.limits.tokens", k.Limits.Tokens}} {
		if r.rate != -1 && (r.rate < leastRate || r.rate > mostRate) {
			k.fault(r.at, "must be from 10 to 1000000 in a minute, or -1 for no limit")
		}
	}
}
