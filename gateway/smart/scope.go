package smart

import (
	"slices"
	"strings"
)

// A Scope is one resource scope: context/ResourceType.cruds?criteria. The zero
// value covers nothing.
type Scope struct {
	Context      string // "patient", "user", "system"
	ResourceType string // a type or "*"
	Permissions  Permission
	Criteria     []Criterion // all must hold; sorted, without repetition
	// V1 says that the scope was asked in the form of SMART 1 (.read, .write,
	// .*) and is written so again. It changes nothing about what it covers.
	V1 bool
}

// Scopes is a set of scopes; several add up. The zero value covers nothing.
type Scopes []Scope

// A Permission is a set of the letters c, r, u, d, s.
type Permission uint8

// The letters. Read stands for read, vread and the history of one resource;
// Search for searches and the history of a type; Update for update and patch.
const (
	Create Permission = 1 << iota
	Read
	Update
	Delete
	Search
)

const (
	letters    = "cruds" // in the order of the constants
	v1Read     = Read | Search
	v1Write    = Create | Update | Delete
	everything = v1Read | v1Write
)

// Contexts of resource scopes.
const (
	ContextPatient = "patient"
	ContextUser    = "user"
	ContextSystem  = "system"
)

// String returns the letters in their order: "rs".
func (p Permission) String() string {
	var b [len(letters)]byte
	n := 0
	for i := range len(letters) {
		if p&(1<<i) != 0 {
			b[n] = letters[i]
			n++
		}
	}
	return string(b[:n])
}

// String writes the scope as it stands in a token.
func (s Scope) String() string {
	var b strings.Builder
	b.WriteString(s.Context)
	b.WriteByte('/')
	b.WriteString(s.ResourceType)
	b.WriteByte('.')
	b.WriteString(s.permissions())
	for i, c := range s.Criteria {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(escape(c.Param))
		b.WriteByte('=')
		b.WriteString(escape(c.Value))
	}
	return b.String()
}

func (s Scope) permissions() string {
	if s.V1 && len(s.Criteria) == 0 {
		switch s.Permissions {
		case v1Read:
			return "read"
		case v1Write:
			return "write"
		case everything:
			return "*"
		}
	}
	return s.Permissions.String()
}

// String writes the scopes with a space between them, as RFC 6749 3.3 has it.
func (ss Scopes) String() string {
	parts := make([]string, len(ss))
	for i, s := range ss {
		parts[i] = s.String()
	}
	return strings.Join(parts, " ")
}

// In returns the scopes of one of these contexts. Rights of different contexts
// are never put together to allow one interaction.
func (ss Scopes) In(contexts ...string) Scopes {
	var out Scopes
	for _, s := range ss {
		if slices.Contains(contexts, s.Context) {
			out = append(out, s)
		}
	}
	return out
}

// escape keeps the characters of a scope-token (RFC 6749 3.3) that mean nothing
// in a query and percent-encodes the rest.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	plain := func(c byte) bool {
		return c > ' ' && c < 0x7f && !strings.ContainsRune("\"\\%&#+<>", rune(c))
	}
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if plain(s[i]) {
			b.WriteByte(s[i])
			continue
		}
		b.Write([]byte{'%', hex[s[i]>>4], hex[s[i]&15]})
	}
	return b.String()
}
