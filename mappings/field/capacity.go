package field

import (
	"regexp"
	"slices"
	"strings"
)

// A Capacity says what speaks against somebody's ability to consent. It reads
// words; it never says that somebody is able.
type Capacity struct {
	Lacking bool     // unconscious, unresponsive, sedated …: consent is not possible
	Doubts  []string // codes: "naloxone", "intoxicated", "psychosis", "confusion", sorted
}

// Doubtful says that something speaks against the ability, short of Lacking.
func (c Capacity) Doubtful() bool { return len(c.Doubts) > 0 }

// The patterns are checked clause by clause, so that "not unconscious" and
// "denies passing out" do not count, while "unconscious, not breathing" does.
var (
	unable = regexp.MustCompile(`(?i)\b(?:un-?conscious(?:ness)?|unresponsive|non-?responsive|un-?arousable|comatose|in\s+a\s+coma|intubated|sedated|ketamine|obtunded|stuporous|passed\s+out|blacked\s+out|not\s+(?:conscious|responsive|responding|breathing|arousable|awake)|no\s+(?:pulse|response|vitals)|pulseless|apneic|cardiac\s+arrest|cpr\b|seiz(?:ing|ure)|catatonic|mute\s+and\s+unresponsive|gcs\s*(?:of\s*|=\s*)?[3-8]\b|could\s+not\s+be\s+(?:woken|awoken|roused|aroused)|unable\s+to\s+(?:be\s+)?(?:wake|woken|arouse|aroused|rouse|respond|communicate)|lost\s+consciousness|loss\s+of\s+consciousness|(?:positive|brief|had|with)\s+LOC\b|found\s+down|overdosed?\s+and\s+unresp\w*|unresp\b|uncon\b|deceased|DOA\b|lacks?\s+capacity|no\s+capacity|lack\s+of\s+capacity|incapacitated|incompetent|slumped\s+over)`)
	denied = regexp.MustCompile(`(?i)\b(?:not|no|never|denie[sd]|denying|without|neither|nor|wasn'?t|isn'?t|didn'?t|did\s+not|negative\s+for|w/o)\b[^.;,]{0,24}$`)

	doubts = []struct {
		code string
		re   *regexp.Regexp
	}{
		{"naloxone", regexp.MustCompile(`(?i)\b(?:narcan|naloxone)\b`)},
		{"intoxicated", regexp.MustCompile(`(?i)\b(?:intox\w*|drunk|slurred|inebriated|impaired|under\s+the\s+influence|high\s+on|BAC\s+(?:of\s+)?0?\.\d|overdos\w*|alcohol|meth\b|methamphetamine|opioids?|opiates?|heroin|fentanyl|cocaine|PCP|hallucinogens?)`)},
		{"psychosis", regexp.MustCompile(`(?i)\b(?:hallucinat\w*|delusion\w*|psychotic|psychosis|persons?\s+not\s+present|hearing\s+voices|responding\s+to\s+internal\s+stimuli)`)},
		{"confusion", regexp.MustCompile(`(?i)\b(?:disorient\w*|confus\w*|incoherent|disorgani[sz]ed|altered\s+mental|AMS\b|dementia)`)},
	}
)

// ReadCapacity reads what officers wrote: behaviours, substances, method,
// injuries, narrative.
func ReadCapacity(texts ...string) Capacity {
	var c Capacity
	for _, s := range texts {
		if s == "" {
			continue
		}
		for _, clause := range clauses(s) {
			c.Lacking = c.Lacking || says(unable, clause)
			for _, d := range doubts {
				if !slices.Contains(c.Doubts, d.code) && says(d.re, clause) {
					c.Doubts = append(c.Doubts, d.code)
				}
			}
		}
	}
	slices.Sort(c.Doubts)
	return c
}

func clauses(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ';' || r == '\n' })
}

// says whether clause asserts re: a match that no denial precedes.
func says(re *regexp.Regexp, clause string) bool {
	for _, m := range re.FindAllStringIndex(clause, -1) {
		found := strings.ToLower(clause[m[0]:m[1]])
		if strings.HasPrefix(found, "not ") || strings.HasPrefix(found, "no ") || !denied.MatchString(clause[:m[0]]) {
			return true
		}
	}
	return false
}
