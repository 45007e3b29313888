package config

// Bounds of what one caller may ask in a minute.
const (
	defaultRequests = 6000
	defaultUsers    = 600
	defaultTokens   = 300
	leastRate       = 10
	mostRate        = 1_000_000
)

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
