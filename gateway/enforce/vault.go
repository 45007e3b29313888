package enforce

import (
	"iter"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
)

// A vault is a set of secrets, with an index by which those that an element may
// repeat are found without trying each.
type vault struct {
	list   []secret
	noted  map[secret]bool
	byCode map[string][]int // a code
	whole  map[string][]int // a text, in lower case
	byWord map[string][]int // the first word of a text or a distinctive code
}

func (v *vault) hide(s secret) {
	s.text = strings.ToLower(strings.TrimSpace(s.text))
	if s.code == "" && len(s.text) < minWhole || v.noted[s] {
		return
	}
	if v.noted == nil {
		*v = vault{noted: map[secret]bool{}, byCode: map[string][]int{}, whole: map[string][]int{}, byWord: map[string][]int{}}
	}
	k := len(v.list)
	v.noted[s] = true
	v.list = append(v.list, s)
	text := s.text
	if s.code != "" {
		v.byCode[s.code] = append(v.byCode[s.code], k)
		if text = strings.ToLower(s.code); !isDistinctive(text) {
			return
		}
	} else {
		v.whole[text] = append(v.whole[text], k)
	}
	for w := range words(text) {
		v.byWord[w] = append(v.byWord[w], k)
		break
	}
}

// words yields the runs of letters and digits of a text.
func words(text string) iter.Seq[string] {
	return strings.FieldsFuncSeq(text, func(r rune) bool { return r < 0x80 && !wordByte(string(r), 0) })
}

// suspects yields the secrets that element i may repeat.
func (c *cutter) suspects(i int, v *vault) iter.Seq[*secret] {
	return func(yield func(*secret) bool) {
		if len(v.list) == 0 {
			return
		}
		each := func(ks []int) bool {
			for _, k := range ks {
				if s := &v.list[k]; c.reveals(i, s) && !yield(s) {
					return false
				}
			}
			return true
		}
		switch n := c.elems[i].node; n.Kind() {
		case resource.Object:
			each(v.byCode[n.Get("code").Text()])
		case resource.String:
			text := c.lower(i)
			if !each(v.whole[text]) {
				return
			}
			for w := range words(text) {
				if !each(v.byWord[w]) {
					return
				}
			}
		}
	}
}
