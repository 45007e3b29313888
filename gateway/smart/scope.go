package smart

// A Scope is one resource scope: context/ResourceType.cruds?criteria.
type Scope struct {
	Context      string // "patient", "user", "system"
	ResourceType string // a type or "*"
	Permissions  Permission
	Criteria     []Criterion
}

// Scopes is a set of scopes; several add up. The zero value covers nothing.
type Scopes []Scope

// A Permission is a set of the letters c, r, u, d, s.
type Permission uint8

// The letters.
const (
	Create Permission = 1 << iota
	Read
	Update
	Delete
	Search
)

// A Criterion narrows a scope: a search parameter with a token value.
type Criterion struct{ Param, Value string }
