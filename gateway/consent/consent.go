package consent

// A Consent is a parsed Consent.
type Consent struct{}
