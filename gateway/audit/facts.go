package audit

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/handoff-health/handoff/gateway/consent"
	"github.com/handoff-health/handoff/gateway/policy"
)

// Facts are what the decisions of one event depended on besides the resources:
// enough to make them again. Every question to policy stands here once, however
// many resources it was asked about; a question after the first says only what
// is different. They hold ids, codes and switches, no clinical content: of a
// Consent the name, what it counted as, and the digest of its content; of an
// emergency that a reason was given, not which.
type Facts struct {
	Laws      []string   `json:"laws,omitempty"`      // rule packs with version and content hash
	Directory []string   `json:"directory,omitempty"` // policy.Options.Directory
	LabelSet  string     `json:"labelSet,omitempty"`
	Questions []Question `json:"questions,omitempty"`
	Consents  []Heard    `json:"consents,omitempty"`
}

// A Question is a policy.Request in recorded form.
type Question struct {
	// Facts are the fields of policy.Request by name; absent is zero in the first
	// question, and as in the first in a later one.
	Facts jsontext.Value `json:"facts"`
	// Without lists fields that the first question has and this one has not.
	Without  []string `json:"without,omitempty"`
	Consents []int    `json:"consents,omitempty"` // places in Facts.Consents
	// Graph lists the instances, with version, of which it was known what they
	// refer to.
	Graph []string `json:"graph,omitempty"`
}

// A Heard is a Consent that was put before policy.
type Heard struct{ consent.Source }

// apart are the fields of policy.Request that are recorded in a form of their
// own. Every other field is recorded by its name and value.
var apart = []string{"Consents", "Graph"}

// A FactsRecorder turns the questions of one request into Facts.
type FactsRecorder struct {
	Facts
	questions map[*policy.Request]int
	consents  map[*consent.Consent]int
	first     *policy.Request
}

// Number returns the place of the question in Questions, counted from 1; it is
// recorded when it is seen first. An error is a fact that cannot be recorded.
func (f *FactsRecorder) Number(q *policy.Request) (int, error) {
	if n, ok := f.questions[q]; ok {
		return n, nil
	}
	out, err := f.question(q)
	if err != nil {
		return 0, fmt.Errorf("record what a decision depended on: %w", err)
	}
	if f.questions == nil {
		f.questions, f.first = map[*policy.Request]int{}, q
	}
	f.Questions = append(f.Questions, out)
	f.questions[q] = len(f.Questions)
	return len(f.Questions), nil
}

func (f *FactsRecorder) question(q *policy.Request) (out Question, err error) {
	own := *q
	out.Consents = f.heard(q.Consents)
	if out.Graph, err = instances(q.Graph); err != nil {
		return out, err
	}
	own.Consents, own.Graph = nil, nil
	if f.first != nil {
		out.Without = differ(&own, f.first)
		f.shorten(&out)
	}
	out.Facts, err = json.Marshal(&own, recorded)
	return out, err
}

// heard records Consents, each once.
func (f *FactsRecorder) heard(cs []*consent.Consent) []int {
	var out []int
	for _, c := range cs {
		n, ok := f.consents[c]
		if !ok {
			if f.consents == nil {
				f.consents = map[*consent.Consent]int{}
			}
			n = len(f.Consents)
			f.consents[c] = n
			f.Consents = append(f.Consents, Heard{c.Source()})
		}
		out = append(out, n)
	}
	return out
}

// instances asks a graph of which instances it knows.
func instances(g consent.Graph) ([]string, error) {
	if g == nil {
		return nil, nil
	}
	known, ok := g.(interface{ Instances() []string })
	if !ok {
		return nil, fmt.Errorf("a graph of type %T does not say what it knows", g)
	}
	return known.Instances(), nil
}

// differ leaves in q what is not as in the first question, and returns which
// fields the first has and q has not.
func differ(q, first *policy.Request) (without []string) {
	a, b := reflect.ValueOf(q).Elem(), reflect.ValueOf(first).Elem()
	for i := range a.NumField() {
		name, mine := a.Type().Field(i).Name, a.Field(i)
		switch {
		case slices.Contains(apart, name):
		case reflect.DeepEqual(mine.Interface(), b.Field(i).Interface()):
			mine.SetZero()
		case mine.IsZero():
			without = append(without, name)
		}
	}
	return without
}

// shorten leaves out the Consents and the graph where they are those of the
// first question.
func (f *FactsRecorder) shorten(q *Question) {
	first := &f.Questions[0]
	if slices.Equal(q.Consents, first.Consents) {
		q.Consents = nil
	} else if len(q.Consents) == 0 {
		q.Without = append(q.Without, "Consents")
	}
	if slices.Equal(q.Graph, first.Graph) {
		q.Graph = nil
	} else if len(q.Graph) == 0 {
		q.Without = append(q.Without, "Graph")
	}
}
