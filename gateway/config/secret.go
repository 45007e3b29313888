package config

import "strconv"

// A Secret hides itself wherever it is printed.
type Secret string

// String returns a placeholder.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "<hidden>"
}

// GoString keeps the secret out of %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalYAML keeps the secret out of `config print`.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// MarshalJSON keeps the secret out of structured logs.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(s.String())), nil }

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }
