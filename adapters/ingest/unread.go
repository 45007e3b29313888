package ingest

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/mappings"
)

// unread finds rejects by the words in them: those of which no mapping could say
// what record they are (another schema, an event under a taken id). It keeps no
// word, but a keyed hash.
type unread struct {
	next  uint64 // the first entry of the reject stream that was not looked at
	words map[string][]string
}

// minimal is the shortest word with a digit that can name a record.
const minimal = 4

// forgetUnread destroys the texts of unread rejects in which all words of an
// expunged record's key stand: they may be of the record. Restrictions win in
// doubt; the reject itself stays, without its text.
func (p *Pipeline) forgetUnread(ctx context.Context, m *flow.Mapped, key string) error {
	_, named, _ := strings.Cut(key, "|") // the first part says what kind of key it is
	words, telling := wordsOf(named), false
	for w := range words {
		telling = telling || len(w) >= minimal && strings.ContainsFunc(w, unicode.IsDigit)
	}
	if !telling {
		return nil
	}
	if err := p.lookUnread(ctx); err != nil {
		return err
	}
	hits := map[string]int{}
	for w := range words {
		for _, record := range p.unread.words[p.hash("word", w)] {
			hits[record]++
		}
	}
	for record, n := range hits {
		if n < len(words) {
			continue
		}
		if err := p.destroyKey(ctx, record); err != nil {
			return err
		}
		m.Result.Issues = append(m.Result.Issues, mappings.Issue{Severity: mappings.Warning, Code: "reject-destroyed", Pos: m.Item.Pos,
			Message: "the text of a reject that names the expunged record was destroyed with it"})
	}
	return nil
}

// lookUnread reads on in the reject stream.
func (p *Pipeline) lookUnread(ctx context.Context) error {
	if p.unread.words == nil {
		p.unread = unread{next: 1, words: map[string][]string{}}
	}
	const page = 200
	for {
		kept, err := Read(ctx, p.Log, p.Facts, p.Origin.System, RejectStream(p.Origin.System), p.unread.next, page)
		if err != nil {
			return err
		}
		for _, k := range kept {
			p.unread.next = k.Seq + 1
			if k.Raw == nil || k.record != p.recordHash(p.rejectKey(k.Source, k.Line, k.Raw)) {
				continue // under the key of its record, by which an expunge finds it
			}
			for w := range wordsOf(string(k.Raw)) {
				h := p.hash("word", w)
				p.unread.words[h] = append(p.unread.words[h], k.record)
			}
		}
		if len(kept) < page {
			return nil
		}
	}
}

// rejectKey is the key of a reject that is under no record's.
func (p *Pipeline) rejectKey(source string, line int, raw []byte) string {
	return "reject " + p.hash(source, fmt.Sprint(line), string(raw))
}

// wordsOf are the words of a text that may be part of a record's number.
func wordsOf(text string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsFuncSeq(strings.ToUpper(text), func(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.ContainsFunc(w, unicode.IsDigit) {
			out[w] = true
		}
	}
	return out
}
