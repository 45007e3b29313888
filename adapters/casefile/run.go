package casefile

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/adapters/flow"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/validate"
	"github.com/handoff-health/handoff/mappings"
	"github.com/handoff-health/handoff/mappings/tree"
)

// A Feed is what turns the input of a case into resources.
type Feed struct {
	Format  adapters.Format
	Options adapters.Options
	Mapper  flow.Mapper
}

// A Failure is one expectation that does not hold.
type Failure struct {
	At      string // file:line of the expectation
	Message string
}

// An Outcome is what became of one case.
type Outcome struct {
	Failures []Failure
	// Trace tells which rows made the output.
	Trace []mappings.Trace
}

// Run converts the input of a case and checks all that the case expects. Its
// error says that the input as a whole cannot be read. input is what Case.Input
// says, or the content of Case.File.
func Run(ctx context.Context, f Feed, c *mappings.Case, input []byte) (*Outcome, error) {
	if c.Record != nil {
		f.Options.Profile = plain(f.Options.Profile)
		input = table(c.Record)
	}
	seen := &recorder{mapper: f.Mapper}
	var out, rejects, issues bytes.Buffer
	job := convert.Job{Format: f.Format, Options: f.Options, Mapper: seen, Mapping: mappings.Options{IDs: mappings.TestIDs},
		Out: &out, Rejects: &rejects, Issues: &issues}
	_, err := job.Run(ctx, []convert.Path{{Name: c.Name, Open: func() (adapters.Input, io.Closer, error) {
		return adapters.Input{Name: c.Name, Reader: bytes.NewReader(input)}, io.NopCloser(nil), nil
	}}})
	if err != nil {
		return nil, err
	}
	r := &results{trace: seen.trace, unmapped: seen.unmapped}
	for line := range bytes.Lines(out.Bytes()) {
		if err := r.add(bytes.TrimSpace(line)); err != nil {
			return nil, err
		}
	}
	r.rejects, r.issues = codes(rejects.Bytes()), codes(issues.Bytes())
	return &Outcome{Failures: check(c, r), Trace: seen.trace}, nil
}

// plain is a profile for a record that is given as data: UTF-8 with commas.
func plain(p *mappings.Profile) *mappings.Profile {
	if p == nil {
		return nil
	}
	q := *p
	q.Charset, q.Delimiter = "utf-8", ","
	return &q
}

// table writes one record with its header.
func table(cells []mappings.Cell) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := make([][]string, 2)
	for _, c := range cells {
		rows[0], rows[1] = append(rows[0], c.Column), append(rows[1], c.Value)
	}
	_ = w.WriteAll(rows) // a buffer takes all
	return b.Bytes()
}

// A recorder asks the mapping to tell where everything comes from.
type recorder struct {
	mapper   flow.Mapper
	mu       sync.Mutex
	trace    []mappings.Trace
	unmapped []mappings.Unmapped
}

// Apply implements flow.Mapper.
func (m *recorder) Apply(rec *tree.Record, opts mappings.Options) (*mappings.Result, error) {
	opts.Trace = true
	res, err := m.mapper.Apply(rec, opts)
	if res != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.trace, m.unmapped = append(m.trace, res.Trace...), append(m.unmapped, res.Unmapped...)
	}
	return res, err
}

// results is what an input came to.
type results struct {
	resources       []made
	rejects, issues []string
	unmapped        []mappings.Unmapped
	trace           []mappings.Trace
}

type made struct {
	typ, id string
	raw     []byte
	faults  []validate.Issue
}

func (r *results) add(raw []byte) error {
	var head struct {
		Type string `json:"resourceType"`
		ID   string `json:"id"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("the conversion put out what is no JSON: %w", err)
	}
	doc, err := resource.Parse(raw)
	if err != nil {
		return fmt.Errorf("the conversion put out what is no resource: %w", err)
	}
	r.resources = append(r.resources, made{head.Type, head.ID, raw, slices.Concat(validate.Resource(doc), validate.Claims(doc))})
	return nil
}

// codes reads the codes out of JSON lines.
func codes(lines []byte) []string {
	var out []string
	for line := range bytes.Lines(lines) {
		var x adapters.Reject
		if json.Unmarshal(line, &x) == nil {
			out = append(out, x.Code)
		}
	}
	return out
}
