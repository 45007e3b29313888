package crisis

import (
	"slices"
	"strings"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// A kind is what a sentence of a plan is for.
type kind uint8

const (
	unsorted kind = iota
	help
	avoids
	call
	place
)

// GuidanceSystem is the code system by which a plan's activity or a Flag says
// what it is for: helps, avoid, trigger, call, go, communication, mobility.
const GuidanceSystem = terminology.Base + "/CodeSystem/crisis-guidance"

// kindOf reads a concept: by the project's code if it has one, else by the
// heading that its text is.
func kindOf(c resource.Node) kind {
	for e := range c.All("coding") {
		if !e.Get("system").Is(GuidanceSystem) {
			continue
		}
		switch e.Get("code").Text() {
		case "helps", "calms", "communication", "mobility":
			return help
		case "avoid", "trigger":
			return avoids
		case "call":
			return call
		case "go":
			return place
		}
	}
	return headed(concept(c))
}

// Words by which a heading or a sentence says what it is for. A sentence that
// warns is never taken for one that helps.
var (
	warnings = []string{"do not", "don't", "dont", "never", "avoid", "no touching", "no sirens", "triggers", "trigger:", "makes it worse", "makes worse", "worsens", "escalates", "upsets", "afraid of", "frightened by", "fears"}
	comforts = []string{"what helps", "helps:", "calms", "calmed by", "soothes", "coping", "responds well", "it helps", "helps to"}
)

func headed(text string) kind {
	t := strings.ToLower(text)
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return word(t, w) })
	}
	switch {
	case has(warnings):
		return avoids
	case has(comforts), t == "helps":
		return help
	}
	return unsorted
}

// word says whether t contains w, not within a longer word.
func word(t, w string) bool {
	for at := 0; ; {
		i := strings.Index(t[at:], w)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(w)
		letter := func(k int) bool { return k >= 0 && k < len(t) && t[k] >= 'a' && t[k] <= 'z' }
		if !letter(i-1) && !(letter(end-1) && letter(end)) {
			return true
		}
		at = i + 1
	}
}

// say adds one text under its kind. What is for a list of names only has no
// name of its own here, so it is guidance.
func (s *summary) say(k kind, text string) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return
	}
	if k == unsorted {
		k = headed(text)
	}
	switch k {
	case help:
		s.helps = append(s.helps, text)
	case avoids:
		s.avoid = append(s.avoid, text)
	default:
		s.guidance = append(s.guidance, text)
	}
}

// sayAll adds free text, sentence by sentence and in its order.
func (s *summary) sayAll(text string) {
	for line := range strings.Lines(text) {
		for _, sentence := range sentences(line) {
			s.say(unsorted, sentence)
		}
	}
}

// sentences cuts behind a full stop, question or exclamation mark that is
// followed by a space and a capital letter: "Dr. smith" and "5.5 mg" stay whole.
func sentences(line string) []string {
	var out []string
	start := 0
	for i := 0; i+2 < len(line); i++ {
		if !strings.ContainsRune(".!?", rune(line[i])) || line[i+1] != ' ' || line[i+2] < 'A' || line[i+2] > 'Z' || title(line[start:i]) {
			continue
		}
		out = append(out, line[start:i+1])
		start = i + 2
	}
	return append(out, line[start:])
}

// title says whether the text ends in a title, whose stop ends no sentence.
func title(text string) bool {
	last := text[strings.LastIndexByte(text, ' ')+1:]
	return slices.Contains([]string{"Dr", "Mr", "Mrs", "Ms", "St", "Sgt", "Lt", "Ofc"}, last)
}
