package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

type include struct {
	System   string
	Concept  []struct{ Code string }
	Filter   []struct{ Op string }
	ValueSet []string
}

type concept struct {
	Code    string
	Concept []concept
}

// valueSets knows the codes of value sets whose definitions list them, alone
// or through a code system that does.
type valueSets struct {
	includes map[string][]include
	systems  map[string][]concept
	used     map[string]bool
}

func newValueSets() *valueSets {
	return &valueSets{map[string][]include{}, map[string][]concept{}, map[string]bool{}}
}

func (v *valueSets) read(bundle []byte) error {
	var in struct {
		Entry []struct{ Resource json.RawMessage }
	}
	if err := json.Unmarshal(bundle, &in); err != nil {
		return err
	}
	for _, e := range in.Entry {
		var r struct {
			ResourceType, URL, Content string
			Compose                    struct{ Include []include }
			Concept                    []concept
		}
		if err := json.Unmarshal(e.Resource, &r); err != nil {
			return err
		}
		switch {
		case r.ResourceType == "ValueSet":
			v.includes[r.URL] = r.Compose.Include
		case r.Content == "complete":
			v.systems[r.URL] = r.Concept
		}
	}
	return nil
}

// use returns the set's short name if all its codes are known, and "" if not:
// languages, MIME types, currencies, units.
func (v *valueSets) use(url string) string {
	url, _, _ = strings.Cut(url, "|")
	if _, ok := v.expand(url); !ok {
		return ""
	}
	v.used[url] = true
	return short(url)
}

func short(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

func (v *valueSets) expand(url string) (map[string][]string, bool) {
	out := map[string][]string{}
	if len(v.includes[url]) == 0 {
		return nil, false
	}
	for _, in := range v.includes[url] {
		for _, set := range in.ValueSet {
			more, ok := v.expand(set)
			if !ok {
				return nil, false
			}
			for s, codes := range more {
				out[s] = append(out[s], codes...)
			}
		}
		switch {
		case len(in.Filter) > 0:
			return nil, false
		case in.System == "":
		case len(in.Concept) > 0:
			for _, c := range in.Concept {
				out[in.System] = append(out[in.System], c.Code)
			}
		case v.systems[in.System] != nil:
			out[in.System] = appendCodes(out[in.System], v.systems[in.System])
		default:
			return nil, false
		}
	}
	return out, true
}

func appendCodes(codes []string, cs []concept) []string {
	for _, c := range cs {
		codes = appendCodes(append(codes, c.Code), c.Concept)
	}
	return codes
}

// lines are "$, set, system, codes" for each set used.
func (v *valueSets) lines() []string {
	var out []string
	for url := range v.used {
		sets, _ := v.expand(url)
		for system, codes := range sets {
			slices.Sort(codes)
			out = append(out, fmt.Sprintf("$\t%s\t%s\t%s", short(url), system, strings.Join(slices.Compact(codes), " ")))
		}
	}
	slices.Sort(out)
	return out
}
