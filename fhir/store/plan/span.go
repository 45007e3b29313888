package plan

// A Span is a set of values in the order of their bytes: one value, or those from Low
// on and below High.
type Span struct {
	Low, High string
	Equal     bool // only Low
	Open      bool // no upper bound
}

// Everything says whether every value is in the span.
func (s Span) Everything() bool { return s.Open && s.Low == "" }

// Empty says whether no value can be in the span.
func (s Span) Empty() bool { return !s.Equal && !s.Open && s.Low >= s.High }

// Contains says whether a value is in the span.
func (s Span) Contains(v string) bool {
	if s.Equal {
		return v == s.Low
	}
	return v >= s.Low && (s.Open || v < s.High)
}

// Prefix is the set of values that start with prefix.
func Prefix(prefix string) Span {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return Span{Low: prefix, High: string(end[:i+1])}
		}
	}
	return Span{Low: prefix, Open: true}
}
