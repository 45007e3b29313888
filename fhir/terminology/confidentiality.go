package terminology

// levels are the codes of v3-Confidentiality from least to most restricted.
var levels = [...]string{"U", "L", "M", "N", "R", "V"}

// Rank returns the place of a v3-Confidentiality level: U is -3, N is 0, V is
// 2. ok is false for a code that is no level.
func Rank[T string | []byte](code T) (rank int, ok bool) {
	for i, l := range levels {
		if foldEqual(l, code) {
			return i - 3, true
		}
	}
	return 0, false
}

// LevelCode is the inverse of Rank; ranks out of range give the nearest level.
func LevelCode(rank int) string { return levels[min(max(rank+3, 0), len(levels)-1)] }

// retired are codes of v3-Confidentiality that moved to v3-ActCode. S and T
// ("sensitive", "taboo") and C ("celebrity") have other names there; B, D and I
// said who may look, which a level cannot express, and are read as restricted.
var retired = map[string]string{
	"ETH": "ETH", "HIV": "HIV", "PSY": "PSY", "SDV": "SDV", "T": "TBOO", "C": "CEL",
}

// Retired reads a retired v3-Confidentiality code: the v3-ActCode sensitivity
// it became ("" if it became none) and whether it is one.
func Retired[T string | []byte](code T) (sensitivity string, ok bool) {
	if s, ok := spelled(retired, code); ok {
		return s, true
	}
	for _, c := range [...]string{"S", "B", "D", "I"} {
		if foldEqual(c, code) {
			return "", true
		}
	}
	return "", false
}
