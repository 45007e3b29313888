package label

import (
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/terminology"
)

// Codes returns l as meta.security would list it: the level, sensitivities, law
// tags, criminal-justice labels and the rest. A resource without any level
// lists none.
func (l *Labels) Codes() []Code {
	return l.AppendCodes(make([]Code, 0, 1+len(l.Sensitivity)+len(l.Law)+len(l.CJI)+len(l.Other)))
}

// AppendCodes appends Codes to codes.
func (l *Labels) AppendCodes(codes []Code) []Code {
	if l.Stated {
		codes = append(codes, Code{Confidentiality, l.Level.String()})
	}
	for _, s := range l.Sensitivity {
		codes = append(codes, Code{ActCode, s})
	}
	for _, s := range l.Law {
		codes = append(codes, Code{ActCode, s})
	}
	for _, s := range l.CJI {
		codes = append(codes, Code{CJI, s})
	}
	return append(codes, l.Other...)
}

// Texts returns Codes as "system|code", as a store keeps them.
func (l *Labels) Texts() []string {
	codes := l.Codes()
	out := make([]string, len(codes))
	for i, c := range codes {
		out[i] = c.String()
	}
	return out
}

// MetaSecurity renders l as the JSON array of meta.security; nil if it is empty.
func MetaSecurity(l *Labels) []byte { return RenderCodes(l.Codes()) }

// RenderCodes renders codes as a JSON array of Codings; nil if there are none.
func RenderCodes(codes []Code) []byte { return AppendRendered(nil, codes) }

// AppendRendered appends RenderCodes to out.
func AppendRendered(out []byte, codes []Code) []byte {
	if len(codes) == 0 {
		return out
	}
	out = append(out, '[')
	for i, c := range codes {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '{')
		if c.System != "" {
			out = append(resource.AppendQuote(append(out, `"system":`...), c.System), ',')
		}
		out = resource.AppendQuote(append(out, `"code":`...), c.Code)
		out = append(out, '}')
	}
	return append(out, ']')
}

// A HighWater is the label of a Bundle: the highest level and all labels of
// what is in it. Its zero value is that of an empty Bundle.
//
// It is made from the resources as returned, so it tells nothing that they do
// not tell, and it leaves out every tag that reveals that something was
// withheld (HL7 DS4P).
type HighWater struct {
	some   bool
	level  Level
	others []Code
}

// Add takes in the labels of one returned resource.
func (h *HighWater) Add(l *Labels) { h.AddCodes(l.Codes()) }

// AddCodes takes in the labels of one returned resource as meta.security lists
// them (enforce's Result.Security).
func (h *HighWater) AddCodes(codes []Code) {
	level := N
	for _, c := range codes {
		switch c.System {
		case Confidentiality:
			if rank, ok := terminology.Rank(c.Code); ok {
				level = Level(rank)
			}
			continue
		case ActCode:
			if terminology.PrivacyRevealing(c.Code) {
				continue
			}
		case CJI:
		default: // origin marks and foreign codes say nothing about a Bundle
			continue
		}
		if !slices.Contains(h.others, c) {
			h.others = append(h.others, c)
		}
	}
	if !h.some || level > h.level {
		h.level = level
	}
	h.some = true
}

// MetaSecurity renders the Bundle's meta.security; nil for an empty Bundle, so
// that no match and nothing permitted look the same.
func (h *HighWater) MetaSecurity() []byte { return RenderCodes(h.Codes()) }

// Codes returns what MetaSecurity renders; nil for an empty Bundle.
func (h *HighWater) Codes() []Code {
	if !h.some {
		return nil
	}
	slices.SortFunc(h.others, func(a, b Code) int {
		if a.System != b.System {
			if a.System == ActCode {
				return -1
			}
			return 1
		}
		return slices.Compare([]byte(a.Code), []byte(b.Code))
	})
	return append([]Code{{Confidentiality, h.level.String()}}, h.others...)
}
