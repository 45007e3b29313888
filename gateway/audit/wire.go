package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// How an event stands in the log. Most resources of a page are decided alike:
// what they share stands once, under "judgements", and a resource names its
// place there. Events of earlier releases have it with each resource.

// A wireResource is a resource with the place of its judgement, or, in older
// events, with the judgement itself.
type wireResource struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest,omitempty"`
	As        *int   `json:"as,omitempty"`
}

// MarshalJSON writes At in UTC with microseconds, also when they are zero.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	resources, judgements := shared(e.Resources)
	return json.Marshal(struct {
		plain
		At         string         `json:"at"`
		Resources  []wireResource `json:"resources,omitempty"`
		Judgements []Judged       `json:"judgements,omitempty"`
	}{plain(e), e.At.UTC().Format(timeFormat), resources, judgements})
}

// shared takes apart what resources have in common.
func shared(in []Judged) (resources []wireResource, judgements []Judged) {
	if len(in) == 0 {
		return nil, nil
	}
	places := make([]int, len(in))
	known := map[string]int{}
	var key []byte
	for i := range in {
		key = in[i].appendKey(key[:0])
		n, ok := known[string(key)]
		if !ok {
			n = len(judgements)
			known[string(key)] = n
			j := in[i]
			j.Reference, j.Digest = "", ""
			judgements = append(judgements, j)
		}
		places[i] = n
		resources = append(resources, wireResource{in[i].Reference, in[i].Digest, &places[i]})
	}
	return resources, judgements
}

// appendKey writes all of a judgement that can be shared, so that two are alike
// exactly if their keys are.
func (j *Judged) appendKey(key []byte) []byte {
	text := func(s string) { key = append(strconv.AppendInt(key, int64(len(s)), 10), ':'); key = append(key, s...) }
	number := func(n int64) { key = append(strconv.AppendInt(key, n, 10), ';') }
	flags := int64(0)
	for i, b := range [...]bool{j.Unsent, j.Internal, j.Origin.Police, j.Origin.Part2} {
		if b {
			flags |= 1 << i
		}
	}
	number(flags)
	number(int64(j.Question))
	for _, s := range [...]string{j.Decision, j.Policy, j.Patient, j.Labelled, j.Cut, j.Origin.System, j.Origin.Custodian, j.Origin.Capture.How} {
		text(s)
	}
	number(j.Origin.Capture.Until)
	for _, list := range [...][]string{j.Labels, j.Obligations} {
		number(int64(len(list)))
		for _, s := range list {
			text(s)
		}
	}
	for i := range j.Reasons {
		r := &j.Reasons[i]
		for _, s := range [...]string{r.Rule, r.Effect, r.Consent, r.Path, r.Basis, r.Pack, r.Citation, r.Detail} {
			text(s)
		}
	}
	return key
}

// UnmarshalJSON reads what MarshalJSON writes, and events of earlier releases.
func (e *Event) UnmarshalJSON(raw []byte) error {
	type plain Event
	var w struct {
		plain
		Resources []struct {
			Judged
			As *int `json:"as"`
		} `json:"resources"`
		Judgements []Judged `json:"judgements"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return err
	}
	*e = Event(w.plain)
	e.Resources = nil
	for i := range w.Resources {
		j := w.Resources[i].Judged
		if as := w.Resources[i].As; as != nil {
			if *as < 0 || *as >= len(w.Judgements) {
				return fmt.Errorf("resource %d is judged as number %d, which is not there", i, *as)
			}
			j = w.Judgements[*as]
			j.Reference, j.Digest = w.Resources[i].Reference, w.Resources[i].Digest
		}
		e.Resources = append(e.Resources, j)
	}
	return nil
}
