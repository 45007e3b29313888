package cases

// A scene shows one rule of a pack: a row in which the rule holds, and for each
// of its conditions what makes just that condition fail. Each becomes a case,
// tagged with the rule and the conditions that it is about.
type scene struct {
	rule string // "us-tx/gate/611.004"
	row         // says is left empty; want is for when everything holds
	// shown are the conditions that the row as it stands shows to hold.
	shown []string
	shots []shot
}

// A shot changes the scene. It is about conditions of the rule, and gives
// another outcome.
type shot struct {
	of     string // condition
	also   []string
	says   string
	change change
	want   doc
	absent []string // obligations that must not go along
	duties []string
	spoke  string // rule that must be among the reasons
	silent string // rule that must not
}

// A change makes another row of one.
type change func(*row)

// asks changes the request.
func asks(parts ...part) change { return func(r *row) { r.request = with(r.request, parts...) } }

// attribute changes the declared basis.
func attribute(name string, value any) change {
	return func(r *row) { r.request["legalBasis"].(doc)[name] = value }
}

// data changes the resources.
func dataOf(rs ...doc) change { return func(r *row) { r.resources = rs } }

// under changes the Consents.
func under(cs ...doc) change { return func(r *row) { r.consents = cs } }

// organizations changes what the directory says of organisations.
func organizations(d doc) change { return func(r *row) { r.orgs = d } }

// by changes who asks.
func by(q doc) change { return func(r *row) { r.request = q } }

func several(cs ...change) change {
	return func(r *row) {
		for _, c := range cs {
			c(r)
		}
	}
}

// expand makes the rows of a scene.
func (s *scene) expand() []row {
	base := s.row.copied()
	base.says, base.rule, base.conditions = s.rule+" holds", s.rule, s.shown
	out := []row{base}
	for _, x := range s.shots {
		r := s.row.copied()
		if x.change != nil {
			x.change(&r)
		}
		says := x.says
		if says == "" {
			says = "is not met"
		}
		r.says, r.rule, r.conditions = s.rule+" "+x.of+" "+says, s.rule, append([]string{x.of}, x.also...)
		r.want, r.duties, r.absent = x.want, x.duties, x.absent
		r.spoke, r.silent = x.spoke, x.silent
		out = append(out, r)
	}
	return out
}

// copied gives a row whose documents can be changed.
func (r row) copied() row {
	r.request, r.orgs = deep(r.request), deep(r.orgs)
	r.consents, r.resources = deepAll(r.consents), deepAll(r.resources)
	return r
}

func deepAll(ds []doc) []doc {
	var out []doc
	for _, d := range ds {
		out = append(out, deep(d))
	}
	return out
}

func deep(d doc) doc {
	if d == nil {
		return nil
	}
	out := doc{}
	for k, v := range d {
		out[k] = deepValue(v)
	}
	return out
}

func deepValue(v any) any {
	switch v := v.(type) {
	case doc:
		return deep(v)
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, deepValue(e))
		}
		return out
	}
	return v
}
