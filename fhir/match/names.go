package match

// compareNames takes the best pair of names. Middle names and suffixes are
// those of that pair: absent when one side has none, same when neither has.
func compareNames(a, b []Name) (name, middle, suffix likeness) {
	if len(a) == 0 || len(b) == 0 {
		return absent, same, same
	}
	best := -1
	for _, x := range a {
		for _, y := range b {
			n, m, s := compareName(x, y)
			if rank := int(n)*100 + int(s)*10 + int(m); rank > best {
				best, name, middle, suffix = rank, n, m, s
			}
		}
	}
	return name, middle, suffix
}

func compareName(x, y Name) (name, middle, suffix likeness) {
	name = different
	switch {
	case x.Given == y.Given && x.Family == y.Family:
		name = same
	case x.Given == y.Family && x.Family == y.Given:
		name = near
	case (alike(x.Given, y.Given) || initial(x.Given, y.Given)) && alike(x.Family, y.Family):
		name = near
	}
	return name, compareMiddle(x.Middle, y.Middle), compareSuffix(x.Suffix, y.Suffix)
}

func compareMiddle(a, b string) likeness {
	switch {
	case a == b:
		return same
	case a == "" || b == "":
		return absent
	case initial(a, b):
		return near
	case alike(a, b):
		return near
	}
	return different
}

func compareSuffix(a, b string) likeness {
	switch {
	case a == b:
		return same
	case a == "" || b == "":
		return absent
	case (a == "jr" && b == "2") || (a == "2" && b == "jr"):
		return same
	}
	return different
}

// initial says whether one is the first letter of the other.
func initial(a, b string) bool {
	ra, rb := []rune(a), []rune(b)
	return len(ra) > 0 && len(rb) > 0 && ra[0] == rb[0] && (len(ra) == 1 || len(rb) == 1)
}

// alike says whether two names may be one, written by two people.
func alike(a, b string) bool { return a == b || winkler(a, b) >= 0.88 }

// winkler is the Jaro-Winkler similarity, 0 to 1, with the usual prefix of four
// and scale of 0.1. Source: Winkler 1990.
func winkler(a, b string) float64 {
	x, y := []rune(a), []rune(b)
	j := jaro(x, y)
	prefix := 0
	for prefix < min(4, len(x), len(y)) && x[prefix] == y[prefix] {
		prefix++
	}
	return j + float64(prefix)*0.1*(1-j)
}

func jaro(x, y []rune) float64 {
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	window := max(0, max(len(x), len(y))/2-1)
	usedX, usedY := make([]bool, len(x)), make([]bool, len(y))
	m := 0
	for i := range x {
		for k := max(0, i-window); k < min(len(y), i+window+1); k++ {
			if !usedY[k] && x[i] == y[k] {
				usedX[i], usedY[k] = true, true
				m++
				break
			}
		}
	}
	if m == 0 {
		return 0
	}
	swapped, k := 0, 0
	for i := range x {
		if !usedX[i] {
			continue
		}
		for !usedY[k] {
			k++
		}
		if x[i] != y[k] {
			swapped++
		}
		k++
	}
	f := float64(m)
	return (f/float64(len(x)) + f/float64(len(y)) + (f-float64(swapped)/2)/f) / 3
}

// nearDate says whether two full dates differ by one digit, or have day and
// month swapped.
func nearDate(a, b string) bool {
	if len(a) != 10 || len(b) != 10 {
		return false
	}
	if a[:4] == b[:4] && a[5:7] == b[8:] && a[8:] == b[5:7] {
		return true
	}
	off := 0
	for i := range a {
		if a[i] != b[i] {
			off++
		}
	}
	return off <= 1
}
