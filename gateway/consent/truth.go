package consent

// truth is a three-valued answer. The order makes min its "and" (no wins over
// unknown) and max its "or".
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}
