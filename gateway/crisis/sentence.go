package crisis

import (
	"maps"
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

// guidance are the codes of the project's system.
var guidance = map[string]kind{
	"helps": help, "calms": help, "communication": help, "mobility": help,
	"avoid": avoids, "trigger": avoids, "call": call, "go": place,
}

// GuidanceCodes returns the codes of GuidanceSystem, sorted.
func GuidanceCodes() []string { return slices.Sorted(maps.Keys(guidance)) }

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
		if k := guidance[e.Get("code").Text()]; k != unsorted {
			return k
		}
	}
	return headed(concept(c))
}

// Words by which a heading or a sentence says what it is for. A sentence that
// warns is never taken for one that helps, and one that comforts in words that
// may turn it round ("not calmed by", "hardly helps") is not sorted.
var (
	warnings = []string{"do not", "don't", "dont", "must not", "mustn't", "should not", "shouldn't", "never", "not help", "doesn't help", "didn't help", "avoid", "refrain", "keep away", "stay away", "no touching", "no sirens", "triggers", "trigger:", "triggered by", "worse", "worsens", "escalates", "agitates", "agitated by", "upsets", "upset by", "enrages", "provokes", "afraid of", "scared of", "frightened by", "terrified of", "fears", "hates"}
	comforts = []string{"what helps", "helps:", "calms", "calmed by", "soothes", "coping", "responds well", "it helps", "helps to"}
	doubts   = []string{"not", "no", "nothing", "nobody", "none", "neither", "nor", "hardly", "barely", "scarcely", "rarely", "seldom", "without", "cannot", "unless", "only", "stop", "stops", "less", "lacks", "poor", "refuses", "instead", "except", "but", "however", "though", "although", "than", "hurts", "harms"}
)

func headed(text string) kind {
	t := plain(text)
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return word(t, w) })
	}
	switch {
	case has(warnings):
		return avoids
	case has(doubts) || strings.Contains(t, "n't"):
		return unsorted
	case has(comforts), t == "helps":
		return help
	}
	return unsorted
}

// plain is a text for comparison: lower case, and one kind of apostrophe.
func plain(text string) string {
	return strings.NewReplacer("\u2019", "'", "\u2018", "'", "\u02bc", "'").Replace(strings.ToLower(text))
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
		joined := i > 0 && t[i-1] == '-' && letter(i-2) // "de-escalates"
		if !letter(i-1) && !joined && !(letter(end-1) && letter(end)) {
			return true
		}
		at = i + 1
	}
}

// say adds one text under its kind. What is for a list of names only has no
// name of its own here, so it is guidance. A text that warns stands with what to
// avoid, whatever it is filed under.
func (s *summary) say(k kind, text string) {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return
	}
	switch h := headed(text); {
	case k == unsorted:
		k = h
	case k == help && h == avoids:
		k = avoids
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

// sayAll adds free text, line by line and sentence by sentence, in its order. A
// heading on a line of its own holds for the list below it: what warns for every
// line up to the next blank one, what helps for the entries of a list alone.
func (s *summary) sayAll(text string) {
	under, listed, bulleted := unsorted, false, false
	for line := range strings.Lines(text) {
		line, entry := bullet(strings.TrimSpace(line))
		switch {
		case line == "" && listed, line != "" && !entry && (under == help || bulleted):
			under = unsorted
		}
		for _, sentence := range together(sentences(line)) {
			switch k := headed(sentence); {
			case sentence == "":
			case heading(sentence):
				under, listed, bulleted = k, false, false
				if k == unsorted {
					s.say(k, sentence)
				}
			case k == unsorted:
				s.say(under, sentence)
				listed, bulleted = true, bulleted || entry
			default:
				s.say(k, sentence)
				listed, bulleted = true, bulleted || entry
			}
		}
	}
}

// bullet cuts what marks the entry of a list: a dash, a star, a dot, a number.
func bullet(line string) (rest string, entry bool) {
	for _, mark := range [...]string{"-", "*", "\u2022", "\u2013"} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			return strings.TrimSpace(rest), true
		}
	}
	digits := strings.TrimLeft(line, "0123456789")
	if n := len(line) - len(digits); n > 0 && n < 3 && (strings.HasPrefix(digits, ". ") || strings.HasPrefix(digits, ") ")) {
		return strings.TrimSpace(digits[2:]), true
	}
	return line, false
}

// maxHeading is how many words a heading has at most.
const maxHeading = 6

// heading says whether a line is one: a few words before a colon, or the bare
// name of a list.
func heading(line string) bool {
	before, ok := strings.CutSuffix(line, ":")
	switch plain(before) {
	case "avoid", "triggers", "what helps", "helps", "what to avoid":
		return true
	}
	return ok && len(strings.Fields(before)) <= maxHeading
}

// together leaves what follows a heading that warns with it, up to a sentence
// that is sorted by itself: ("Avoid: Sirens. Dogs. Crowds.").
func together(list []string) []string {
	var out []string
	open := false
	for _, sentence := range list {
		if open && headed(sentence) == unsorted {
			out[len(out)-1] += " " + sentence
			continue
		}
		before, _, colon := strings.Cut(sentence, ":")
		open = colon && len(strings.Fields(before)) <= maxHeading && headed(before+":") == avoids
		out = append(out, sentence)
	}
	return out
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
