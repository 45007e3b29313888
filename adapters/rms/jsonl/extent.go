package jsonl

import "fmt"

// An extent says where a value ends, or why it does not.
type extent struct {
	n       int    // bytes of the value, or of what is rejected
	restart int    // first line inside that looks like the beginning of a record; 0: none
	code    string // "" if every bracket is closed
	why     string
	cut     bool // over the cap: n is as far as it goes
}

// nested is how deep values may lie in each other.
const nested = 64

// measure finds the end of the object or array that begins at the window's start,
// by its brackets and strings alone. indent is the column at which the line of its
// beginning begins to say something.
func (s *Source) measure(indent int) (x extent, err error) {
	var stack []byte
	quoted, escaped := false, false
	for i := 0; ; i++ {
		c, ok, err := s.in.at(i)
		if err != nil {
			return x, err
		}
		switch {
		case !ok:
			return s.broken(x, i, indent, "truncated", "the input ends inside a value")
		case i >= s.limit:
			x.cut = true
			return s.broken(x, i, indent, "too-long", fmt.Sprintf("the record is longer than %d bytes", s.limit))
		case c == '\n' && quoted:
			return s.broken(x, i, indent, "line-end-in-string", "the line ends inside a text: the record is cut off or not JSON")
		case escaped:
			escaped = false
		case quoted:
			quoted, escaped = c != '"', c == '\\'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if stack = append(stack, c+2); len(stack) > nested { // } and ] are two further on
				return s.broken(x, i, indent, "too-deep", fmt.Sprintf("values lie in each other more than %d deep", nested))
			}
		case c == '}' || c == ']':
			if stack[len(stack)-1] != c {
				return s.broken(x, i, indent, "syntax", "brackets do not fit each other")
			}
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				x.n = i + 1
				return x, nil
			}
		case c == '\n' && x.restart == 0:
			if begins, err := s.beginsAt(i+1, indent); err != nil {
				return x, err
			} else if begins {
				x.restart = i + 1
			}
		}
	}
}

// beginsAt says whether the line at i looks like the beginning of another record:
// no further in than the one at hand, and not going on with what is inside one.
func (s *Source) beginsAt(i, indent int) (bool, error) {
	for col := 1; ; col++ {
		c, ok, err := s.in.at(i + col - 1)
		switch {
		case err != nil || !ok:
			return false, err
		case c == ' ' || c == '\t':
		case c == '{':
			return col <= indent, nil
		default:
			return col <= indent && (c == '[' || c >= 'A' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80), nil
		}
	}
}

// broken ends what is rejected: before the next line that looks like a record.
func (s *Source) broken(x extent, i, indent int, code, why string) (extent, error) {
	x.code, x.why = code, why
	if x.restart > 0 {
		x.n = x.restart
		return x, nil
	}
	for {
		c, ok, err := s.in.at(i)
		switch {
		case err != nil:
			return x, err
		case !ok:
			x.n = i
			return x, nil
		case i >= s.limit:
			x.cut, x.n = true, i
			return x, nil
		case c == '\n':
			begins, err := s.beginsAt(i+1, indent)
			if err != nil {
				return x, err
			}
			if begins {
				x.n = i + 1
				return x, nil
			}
		}
		i++
	}
}
