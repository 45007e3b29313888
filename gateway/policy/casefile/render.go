package casefile

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/policy"
)

type policyObligation = policy.Obligation

// JSON renders the Outcome as one line: {"id", "resources": {"Type/id":
// {"decision", "reasons", "resource"}}, "obligations", "bundle", "notice"}.
func (o *Outcome) JSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"id":`)
	b.Write(resource.Quote(o.ID))
	b.WriteString(`,"resources":{`)
	for i := range o.Resources {
		j := &o.Resources[i]
		if i > 0 {
			b.WriteByte(',')
		}
		reasons, err := json.Marshal(j.Reasons)
		if err != nil {
			return nil, fmt.Errorf("case %s: reasons of %s: %w", o.ID, j.Reference, err)
		}
		fmt.Fprintf(&b, `%s:{"decision":%s,"reasons":%s`, resource.Quote(j.Reference), resource.Quote(j.Decision), reasons)
		if j.Resource != nil {
			fmt.Fprintf(&b, `,"resource":%s`, oneLine(j.Resource.Raw()))
		}
		b.WriteByte('}')
	}
	obligations, err := json.Marshal(o.Obligations)
	if err != nil {
		return nil, fmt.Errorf("case %s: obligations: %w", o.ID, err)
	}
	fmt.Fprintf(&b, `},"obligations":%s`, obligations)
	if o.Bundle != nil {
		fmt.Fprintf(&b, `,"bundle":%s`, oneLine(o.Bundle))
	}
	if len(o.Notices) > 0 {
		notices, err := json.Marshal(o.Notices)
		if err != nil {
			return nil, fmt.Errorf("case %s: notices: %w", o.ID, err)
		}
		fmt.Fprintf(&b, `,"notice":%s`, notices)
	}
	if o.Problem != "" {
		fmt.Fprintf(&b, `,"problem":%s`, resource.Quote(o.Problem))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// oneLine takes the white space between tokens out, nothing else.
func oneLine(raw []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
