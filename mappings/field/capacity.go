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

// The patterns. Misspellings count; where a word may or may not mean that
// somebody could not consent ("LOC", "collapsed"), it does: the consent is then
// looked at by a person, no more.
const (
	conscious = `con(?:s?c?s?[iou]{1,4}s|sc|sh)\w*` // conscious, concious, consious, consciousness
	roused    = `(?:wake|waken|woken|awake|awaken\w*|awoken|rous\w*|arous\w*|respond|communicate|come\s+to|stay\s+awake|speak)`
)

var (
	unable = regexp.MustCompile(`(?i)(?:\b(?:` + strings.Join([]string{
		`un[\s-]?` + conscious, `un[\s-]?conc?s?\b`, `uncs?\b`, `unawake`,
		`(?:semi|barely|partially|hardly|half|minimally|scarcely|non)[\s-]*(?:` + conscious + `|responsive|awake|alert)`,
		`(?:los[te]|loses|losing|loss\s+of|laps\w+|drift\w*|fad\w*|slip\w*|regain\w*|altered|decreased|reduced|diminished|low|lowered|impaired|in\s+and\s+out(?:\s+of)?|in/out(?:\s+of)?)\s+(?:\w+\s+){0,4}?` + conscious,
		`A?LOC\b`, `in\s+and\s+out\s+of\s+it`, `(?:slip\w*|drift\w*|go\w*|fad\w*|com\w*)\s+in\s+and\s+out\b`, `avpu\W{0,3}[pu]\b`, `post[\s-]?ictal`, `inconsciente\w*`, `desmayad\w*`, `not\s+(?:\w+\s+){1,3}(?:or|nor)\s+` + conscious,
		`gcs[^0-9;]{0,12}(?:[3-9]|1[0-4])t?\b`, `gcs\W*e\s*[1-3]`,
		`un[\s-]?resp\w*`, `non[\s-]*resp\w*`, `un-?(?:a?rousable|wakeable)`, `coma\b`, `comato\w*`, `intubated`, `sedated`, `ketamine`, `obtunded`, `stupor\w*`, `somnolent`, `lethargic`, `lifeless`, `limp\s+(?:and|on|body)`,
		`pass(?:ed|ing)[\s-]+out`, `black(?:ed|ing)?[\s-]*out`, `(?:was|is|were|completely|totally|seemed|appeared)\s+out\s+of\s+it`, `ko['’]?d`, `(?:drift|doz)(?:ed|ing)\s+off`, `asleep`, `sleeping`, `eyes\s+rolled\s+back`, `turn(?:ed|ing)\s+blue`, `blue\s+lips`, `cyanotic`, `(?:out|knocked)\s+cold`, `knocked\s+out`, `faint(?:ed|ing)\b`, `syncop\w*`, `collapsed`, `slumped\s+over`, `found\s+down`, `nodding\s+(?:off|out)`,
		`(?:not|(?:was|is|were|are|did|does|do|could|would|wo|ca|ai)n['’]?t|cannot|never|no\s+longer)\s+(?:(?:fully|really|very|at\s+all)\s+)?(?:` + conscious + `|responsive|responding|respond|breathing|a?rousable|awake|alert|moving)\b`,
		`no\s+(?:pulse|response|vitals|vital\s+signs|signs?\s+of\s+life|capacity)`, `(?:respon\w+|reacts?|reacted)\s+(?:only\s+)?to\s+(?:pain\w*|sternal)`, `pain\w*\s+response`, `sternal\s+rub`, `a\s*(?:&|and|/)?\s*o\s*x\s*[0-2]\b`, `no\s+gag`, `posturing`, `non[\s-]?verbal`, `mute\b`, `(?:stopped|ceased|quit)\s+breathing`, `pulseless`, `apn(?:e|o)ic`, `agonal`, `cardiac\s+arrest`, `cpr\b`, `seiz(?:ing|ure)\w*`, `convulsing`, `catatonic`,
		`(?:could|can|would|will|did|does)\s*(?:not|n['’]?t)\s+(?:be\s+)?` + roused + `\b`, `(?:ca|wo|could|would|did)n?['’]?t\s+(?:be\s+)?` + roused + `\b`,
		`(?:unable|impossible|difficult|hard|failed|not\s+able|tried|attempt\w*|a\s+while|time|minutes?)\s+to\s+(?:be\s+)?` + roused + `\b`, `(?:difficulty|trouble|problems?)\s+(?:wak|rous|arous)ing`,
		`(?:deceased|DOA)\b`, `(?:found|pronounced|declared|appear\w*)\s+dead`, `coroner`, `medical\s+examiner`, `morgue`, `completed\s+suicide`, `suicide\s*-?\s*completed`,
		`lack(?:s|ed|ing)?\s+(?:of\s+)?(?:mental\s+|decisional\s+)?capacity`, `incapacitated`, `incapable`, `incompetent`, `too\s+(?:drunk|intoxicated|high|impaired|altered|confused)\s+to`, `unable\s+to\s+(?:consent|understand|answer|sign)`,
	}, "|") + `)|(?:\+|\(\+\))\s*LOC\b)`)

	// A denial counts only directly before the word, with nothing between but
	// what belongs to the verb: "not unconscious", "denies ever having passed
	// out". "Not armed and unconscious" denies the arms.
	denied  = regexp.MustCompile(`(?i)(?:(?:^|[^\w'’])(?:not|no|never|denie[sd]|deny|denying|without|neither|nor|(?:was|is|were|did|does|do|has|have|had)n['’]?t|neg(?:ative)?\.?(?:\s+for)?|w/o)\s+(?:(?:a|any|an|been|being|be|to|having|had|have|ever|was|is|been|actually|appear\w*|seem\w*|look(?:s|ed|ing)?|found|fully|hx|history|signs?|evidence|episodes?|of)\s+){0,4})$`)
	minus   = regexp.MustCompile(`(^|[\s,;])(?:\([-–]\)\s*|[-–])LOC\b`)
	chained = regexp.MustCompile(`(?i)^[\s,]*(?:or|nor)\s+$`) // "denies LOC or seizures"

	doubts = []struct {
		code string
		re   *regexp.Regexp
	}{
		{"naloxone", regexp.MustCompile(`(?i)\b(?:narcan|naloxone)\b`)},
		{"intoxicated", regexp.MustCompile(`(?i)\b(?:intox\w*|drunk|slurred|inebriated|impaired|under\s+the\s+influence|high\s+on|BAC\s+(?:of\s+)?0?\.\d|overdos\w*|alcohol|meth\b|methamphetamine|opioids?|opiates?|heroin|fentanyl|cocaine|PCP|hallucinogens?)`)},
		{"psychosis", regexp.MustCompile(`(?i)\b(?:hallucinat\w*|delusion\w*|psychotic|psychosis|persons?\s+not\s+present|hearing\s+voices|responding\s+to\s+internal\s+stimuli)`)},
		{"confusion", regexp.MustCompile(`(?i)\b(?:disorient\w*|confus\w*|incoherent|disorgani[sz]ed|altered\s+mental|AMS\b|dementia|dazed?\b|in\s+a\s+daze|not\s+(?:oriented|coherent|lucid))`)},
	}
)

// ReadCapacity reads what officers and dispatchers wrote, in any column.
func ReadCapacity(texts ...string) Capacity {
	var c Capacity
	for _, s := range texts {
		if len(s) < 3 { // Y, N: no word that says anything
			continue
		}
		for _, clause := range clauses(minus.ReplaceAllString(s, "${1}no LOC")) {
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

// says whether clause asserts re: a match that no denial precedes. A match that
// begins with its own "not" or "no" is its assertion.
func says(re *regexp.Regexp, clause string) bool {
	end, chain := 0, false
	for _, m := range re.FindAllStringIndex(clause, -1) {
		before := clause[:m[0]]
		chain = denied.MatchString(before) || chain && chained.MatchString(clause[end:m[0]])
		if !chain {
			return true
		}
		end = m[1]
	}
	return false
}
