package match

import (
	"cmp"
	"slices"
)

// A Pair is two records of different systems that belong together, or may.
type Pair struct {
	A, B Person // as given
	Verdict
}

// crowd is how many people may share an address or a telephone before it says
// nothing: a shelter that is not named as one looks like this.
const crowd = 5

// Pairs compares the records of different systems. A pair that is Certain by
// itself becomes Possible when either side has a second candidate in the
// other's system: which of two is meant is for a reviewer. The result is in a
// stable order.
//
// To be safe the set must hold, for every record, all that may be the same
// person: everybody of one birth date, or everybody.
func Pairs(people []Person) []Pair {
	clean := withoutCrowds(people)
	return judged(people, clean, blocks(clean))
}

// Around gives those of Pairs that have to do with the first record: it, its
// candidates, their candidates, and so on. It costs as much as they are many.
func Around(people []Person) []Pair {
	clean := withoutCrowds(people)
	keys := make([][]string, len(clean))
	for i := range clean {
		keys[i] = clean[i].keys()
	}
	var of [][2]int
	seen := make([]bool, len(clean)) // candidates that were looked at, or will be
	for queue := []int{0}[:min(1, len(clean))]; len(queue) > 0; queue = queue[1:] {
		i := queue[0]
		seen[i] = true
		for j := range clean {
			if j == i || people[i].System == people[j].System || !overlap(keys[i], keys[j]) || Judge(clean[i], clean[j]).Level == None {
				continue
			}
			if of = append(of, [2]int{min(i, j), max(i, j)}); !seen[j] {
				seen[j] = true
				queue = append(queue, j)
			}
		}
	}
	slices.SortFunc(of, inOrder)
	return judged(people, clean, slices.Compact(of))
}

// judged gives the pairs that are possible at least.
func judged(people, clean []Person, pairs [][2]int) []Pair {
	var out []Pair
	var of [][2]int
	for _, ij := range pairs {
		i, j := ij[0], ij[1]
		if people[i].System == people[j].System {
			continue
		}
		if v := Judge(clean[i], clean[j]); v.Level > None {
			out = append(out, Pair{people[i], people[j], v})
			of = append(of, ij)
		}
	}
	// Candidates of each record in each other system. Records that their system
	// has merged are one.
	type side struct {
		person int
		system string
	}
	one := merged(people)
	rivals := map[side]map[int]bool{}
	note := func(i, j int) {
		s := side{one[i], people[j].System}
		if rivals[s] == nil {
			rivals[s] = map[int]bool{}
		}
		rivals[s][one[j]] = true
	}
	for _, ij := range of {
		note(ij[0], ij[1])
		note(ij[1], ij[0])
	}
	for k, ij := range of {
		if len(rivals[side{one[ij[0]], people[ij[1]].System}]) > 1 || len(rivals[side{one[ij[1]], people[ij[0]].System}]) > 1 {
			out[k].Level = Possible
		}
	}
	return out
}

func inOrder(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }

// merged gives for each record the index of one that stands for all that its
// system has merged it with.
func merged(people []Person) []int {
	one := make([]int, len(people))
	for i := range one {
		one[i] = i
	}
	for i := range people {
		if len(people[i].ReplacedBy) == 0 {
			continue
		}
		for j := range people {
			if people[j].Ref != "" && people[i].System == people[j].System && one[i] != one[j] && slices.Contains(people[i].ReplacedBy, people[j].Ref) {
				from, to := one[i], one[j]
				for k := range one {
					if one[k] == from {
						one[k] = to
					}
				}
			}
		}
	}
	return one
}

// blocks gives the pairs worth comparing, each once: those that share something
// which a verdict can rest on.
func blocks(people []Person) [][2]int {
	keys := map[string][]int{}
	for i, p := range people {
		for _, k := range p.keys() {
			if l := keys[k]; len(l) == 0 || l[len(l)-1] != i {
				keys[k] = append(l, i)
			}
		}
	}
	seen := map[[2]int]bool{}
	for _, list := range keys {
		for x, i := range list {
			for _, j := range list[x+1:] {
				seen[[2]int{i, j}] = true
			}
		}
	}
	out := make([][2]int, 0, len(seen))
	for ij := range seen {
		out = append(out, ij)
	}
	slices.SortFunc(out, inOrder)
	return out
}

// keys are what records are grouped by.
func (p *Person) keys() []string {
	var out []string
	if p.Born != "" {
		out = append(out, "b"+p.Born)
	}
	for _, id := range p.Identifiers {
		out = append(out, "i"+id.System+"|"+id.Value)
	}
	for _, n := range p.Names {
		given, family := n.Given, n.Family
		if given > family { // swapped names meet too
			given, family = family, given
		}
		out = append(out, "n"+given+"|"+family)
	}
	return out
}

// withoutCrowds takes addresses and telephones out that too many share.
func withoutCrowds(people []Person) []Person {
	count := map[string]map[string]bool{}
	note := func(key string, p *Person) {
		if count[key] == nil {
			count[key] = map[string]bool{}
		}
		who := p.Born
		if len(p.Names) > 0 {
			who += "|" + p.Names[0].Given + "|" + p.Names[0].Family
		}
		count[key][who] = true
	}
	for i := range people {
		for _, a := range people[i].Addresses {
			note("a"+a, &people[i])
		}
		for _, t := range people[i].Phones {
			note("t"+t[len(t)-7:], &people[i])
		}
	}
	out := slices.Clone(people)
	for i := range out {
		out[i].Addresses = slices.DeleteFunc(slices.Clone(out[i].Addresses), func(a string) bool { return len(count["a"+a]) >= crowd })
		out[i].Phones = slices.DeleteFunc(slices.Clone(out[i].Phones), func(t string) bool { return len(count["t"+t[len(t)-7:]]) >= crowd })
	}
	return out
}
