package launch

import (
	"strings"

	"github.com/handoff-health/handoff/gateway/smart"
)

// codeOf is the code of "system#code".
func codeOf(text string) string { return text[strings.LastIndexByte(text, '#')+1:] }

// words makes a code readable: "law-enforcement-officer" is Law enforcement officer.
func words(code string) string {
	t := strings.ReplaceAll(code, "-", " ")
	if t == "" {
		return ""
	}
	return strings.ToUpper(t[:1]) + t[1:]
}

// purposeNames are those of v3-ActReason and of the project's own purposes.
var purposeNames = map[string]string{
	"TREAT": "Treatment", "ETREAT": "Emergency treatment", "BTG": "Emergency access", "CAREMGT": "Care management", "COC": "Coordination of care",
	"LAWENF": "Law enforcement", "CRISIS": "Crisis response", "PATRQT": "At the patient's request", "FAMRQT": "At a family member's request",
	"HOPERAT": "Health care operations", "HPAYMT": "Payment", "HRESCH": "Research", "PUBHLTH": "Public health", "SUPNWK": "Support network",
	"HLEGAL": "Legal", "PATSFTY": "Patient safety", "PWATRNY": "Power of attorney", "TREATDS": "Treatment and disclosure", "HDIRECT": "Directory",
}

func purposeWords(code string) string {
	if n := purposeNames[code]; n != "" {
		return n
	}
	return "Purpose " + code
}

// contextWords are the scopes beside those of resources that a person can leave out.
var contextWords = map[string]string{
	smart.ScopeOffline:       "Stay connected when you are not there, for up to 90 days, until you sign out here",
	smart.ScopeOnline:        "Stay connected for as long as you are signed in here",
	smart.ScopeExplainAccess: "Ask why somebody gets a record or does not",
}

// verbs of the letters of a scope.
var verbs = []struct {
	letters smart.Permission
	text    string
}{
	{smart.Read, "read"}, {smart.Search, "search"}, {smart.Create, "add"}, {smart.Update, "change"}, {smart.Delete, "delete"},
}

// listed joins words as in a sentence: "read, search and change".
func listed(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// scopeWords says what a scope opens; "" for one that comes with the launch.
func scopeWords(text string) string {
	s, err := smart.ParseScope(text)
	if err != nil {
		if operation, _ := smart.OperationScope(text); operation && contextWords[text] == "" {
			return "Use the operation " + text
		}
		return contextWords[text]
	}
	var do []string
	for _, v := range verbs {
		if s.Permissions&v.letters != 0 {
			do = append(do, v.text)
		}
	}
	what := s.ResourceType + " records"
	if s.ResourceType == "*" {
		what = "all kinds of records"
	}
	for i, c := range s.Criteria {
		sep := " with "
		if i > 0 {
			sep = " and "
		}
		what += sep + c.Param + " " + c.Value
	}
	whose := "that you may see"
	if s.Context == smart.ContextPatient {
		whose = "of this patient that you may see"
	}
	t := listed(do)
	return strings.ToUpper(t[:1]) + t[1:] + " " + what + " " + whose
}
