package smart

// Restrict returns what a client gets that asks for requested and is registered
// for registered: for each pair the narrower type, the letters that both have
// and the criteria of both. The result covers a resource only if both do; it is
// in normal form and in the order of the request.
func Restrict(requested, registered Scopes) Scopes {
	var out Scopes
	for _, q := range requested {
		for _, g := range registered {
			if s, ok := intersect(q, g); ok {
				out = append(out, s)
			}
		}
	}
	return Normalize(out)
}

func intersect(q, g Scope) (Scope, bool) {
	s := Scope{Context: q.Context, ResourceType: q.ResourceType, Permissions: q.Permissions & g.Permissions}
	if q.Context != g.Context || s.Permissions == 0 {
		return Scope{}, false
	}
	switch {
	case q.ResourceType == g.ResourceType, g.ResourceType == "*":
	case q.ResourceType == "*":
		s.ResourceType = g.ResourceType
	default:
		return Scope{}, false
	}
	s.Criteria = narrowest(append(append([]Criterion(nil), q.Criteria...), g.Criteria...))
	for _, c := range s.Criteria {
		// A criterion on "*" may mean nothing on the narrower type.
		if !c.supported(s.ResourceType) {
			return Scope{}, false
		}
	}
	// Only what is granted just as it was asked keeps the version 1 form.
	s.V1 = q.V1 && s.Permissions == q.Permissions && s.ResourceType == q.ResourceType && len(s.Criteria) == 0
	return s, true
}

// narrowest leaves out criteria that another one implies.
func narrowest(cs []Criterion) []Criterion {
	cs = sortCriteria(cs)
	var out []Criterion
	for i, c := range cs {
		implied := false
		for j, d := range cs {
			// Of two that imply each other the first stays.
			if i != j && d.implies(c) && (!c.implies(d) || j < i) {
				implied = true
				break
			}
		}
		if !implied {
			out = append(out, c)
		}
	}
	return out
}

// Normalize returns the shortest set that covers the same: letters of one
// context, type and criteria together (".rs?…", not ".r?…" and ".s?…"), and
// nothing that another scope has already. The order of first appearance stays.
// Version 1 scopes are not joined, so that a version 1 client finds in the
// answer what it asked for.
func Normalize(ss Scopes) Scopes {
	var joined Scopes
	at := make(map[string]int, len(ss))
	for _, s := range ss {
		if s.Permissions == 0 {
			continue
		}
		key := s.key()
		if i, ok := at[key]; ok {
			joined[i].Permissions |= s.Permissions
			continue
		}
		at[key] = len(joined)
		joined = append(joined, s)
	}
	return irredundant(joined)
}

// key is what scopes must have in common to be joined.
func (s Scope) key() string {
	if s.V1 {
		return "1" + s.String()
	}
	s.Permissions = 0
	return "2" + s.String()
}

// irredundant leaves out scopes that another one covers. Only scopes of the
// same type or of "*" can, which keeps hostile requests cheap.
func irredundant(ss Scopes) Scopes {
	type bucket struct{ context, typ string }
	byType := make(map[bucket][]int)
	for i, s := range ss {
		b := bucket{s.Context, s.ResourceType}
		byType[b] = append(byType[b], i)
	}
	covered := func(i int, by []int) bool {
		for _, j := range by {
			// Of two that cover each other the first stays.
			if i != j && ss[i].within(ss[j]) && (j < i || !ss[j].within(ss[i])) {
				return true
			}
		}
		return false
	}
	var out Scopes
	for i, s := range ss {
		if covered(i, byType[bucket{s.Context, s.ResourceType}]) {
			continue
		}
		if s.ResourceType != "*" && covered(i, byType[bucket{s.Context, "*"}]) {
			continue
		}
		out = append(out, s)
	}
	return out
}

// within says whether t covers all that s covers.
func (s Scope) within(t Scope) bool {
	if s.Context != t.Context || (t.ResourceType != "*" && t.ResourceType != s.ResourceType) || s.Permissions&^t.Permissions != 0 {
		return false
	}
	for _, d := range t.Criteria {
		implied := false
		for _, c := range s.Criteria {
			if implied = c.implies(d); implied {
				break
			}
		}
		if !implied {
			return false
		}
	}
	return true
}
