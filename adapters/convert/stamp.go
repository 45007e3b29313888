package convert

// words are texts that are kept once, and versions, most of which are times.
type words struct{ all, tails wordList }

type wordList struct {
	list []string
	at   map[string]uint32
}

// index finds or adds a text.
func (l *wordList) index(s string) uint32 {
	i, ok := l.at[s]
	if !ok {
		if l.at == nil {
			l.at = map[string]uint32{}
		}
		i = uint32(len(l.list)) //nolint:gosec // as many as there are records, at most
		l.list = append(l.list, s)
		l.at[s] = i
	}
	return i
}

// A stamp is a version of a record in 64 bits: a time to the second with what
// follows it, a text of at most seven bytes, or the place of a text.
type stamp uint64

const (
	textStamp stamp = iota << 62
	briefStamp
	timeStamp

	kindBits = stamp(3) << 62
	tailBits = 12 // of a time: which text follows it
)

// timePattern is how times begin; 0 is a digit.
const timePattern = "0000-00-00T00:00:00"

func (w *words) stamp(version string) stamp {
	if len(version) < 8 {
		s := briefStamp | stamp(len(version))<<56 //nolint:gosec // less than 8
		for i := range len(version) {
			s |= stamp(version[i]) << (8 * i)
		}
		return s
	}
	if digits, ok := timeDigits(version); ok {
		tail := version[len(timePattern):]
		if _, known := w.tails.at[tail]; known || len(w.tails.list) < 1<<tailBits {
			return timeStamp | digits<<tailBits | stamp(w.tails.index(tail))
		}
	}
	return textStamp | stamp(w.all.index(version))
}

func (w *words) version(s stamp) string {
	switch s & kindBits {
	case briefStamp:
		b := make([]byte, s>>56&7)
		for i := range b {
			b[i] = byte(s >> (8 * i))
		}
		return string(b)
	case timeStamp:
		tail := w.tails.list[s&(1<<tailBits-1)]
		b := append(make([]byte, 0, len(timePattern)+len(tail)), timePattern...)
		digits := s &^ kindBits >> tailBits
		for i := len(b) - 1; i >= 0; i-- {
			if timePattern[i] == '0' {
				b[i] = byte('0' + digits%10)
				digits /= 10
			}
		}
		return string(append(b, tail...))
	}
	return w.all.list[uint32(s)] //nolint:gosec // an index was put in
}

// timeDigits reads the fourteen digits that a time begins with.
func timeDigits(s string) (n stamp, ok bool) {
	if len(s) < len(timePattern) {
		return 0, false
	}
	for i := range len(timePattern) {
		c := s[i]
		switch {
		case timePattern[i] != '0':
			if c != timePattern[i] {
				return 0, false
			}
		case c < '0' || c > '9':
			return 0, false
		default:
			n = n*10 + stamp(c-'0')
		}
	}
	return n, true
}
