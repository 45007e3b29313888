package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/handoff-health/handoff/fhir/label"
	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/gateway/consent"
)

// benchSubject is a Condition of about 1.2 kB.
func benchSubject(tb testing.TB) (*Subject, []byte) {
	tb.Helper()
	raw, err := os.ReadFile("testdata/condition.json")
	if err != nil {
		tb.Fatal(err)
	}
	r, err := resource.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return &Subject{Resource: r, Labels: new(label.Labels), Patient: "Patient/p", Origin: resource.Origin{Custodian: "Organization/clinic"}}, raw
}

// benchConsents are n Consents, of which one in ten is about the requester.
func benchConsents(n int) []*consent.Consent {
	out := make([]*consent.Consent, n)
	for i := range out {
		org := "Organization/pd"
		if i%10 != 0 {
			org = fmt.Sprintf("Organization/other-%d", i)
		}
		out[i] = consentOf(fmt.Sprintf(`"type":"permit","actor":[{"role":{"coding":[{"system":"%sv3-ParticipationType","code":"IRCP"}]},"reference":{"reference":%q}}],`+
			`"class":[{"system":"http://hl7.org/fhir/resource-types","code":"Condition"}],"dataPeriod":{"start":"2025-01-01"},`+
			`"provision":[{"type":"deny","securityLabel":[{"system":"%sv3-ActCode","code":"SUD"}]}]`, tho, org, tho), "")
	}
	return out
}

// BenchmarkDecide labels and decides one parsed resource of 1.2 kB; compare
// with JSONValid on its bytes.
func BenchmarkDecide(b *testing.B) {
	labeller, engine := label.New(label.Options{}), New(Options{})
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("consents=%d", n), func(b *testing.B) {
			sub, raw := benchSubject(b)
			req := officer(newWorld(1))
			req.Consents = benchConsents(n)
			s := engine.Begin(req)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				labeller.Label(sub.Resource, sub.Origin, sub.Labels)
				if d := s.Decide(sub); d.Effect != Permit {
					b.Fatalf("wrong answer: %+v", d)
				}
			}
		})
	}
}

// BenchmarkDecideOnly leaves the labelling out.
func BenchmarkDecideOnly(b *testing.B) {
	sub, raw := benchSubject(b)
	label.New(label.Options{}).Label(sub.Resource, sub.Origin, sub.Labels)
	req := officer(newWorld(1))
	req.Consents = benchConsents(10)
	s := New(Options{}).Begin(req)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if d := s.Decide(sub); d.Effect != Permit {
			b.Fatalf("wrong answer: %+v", d)
		}
	}
}

// BenchmarkBegin compiles a request.
func BenchmarkBegin(b *testing.B) {
	engine := New(Options{})
	for _, n := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("consents=%d", n), func(b *testing.B) {
			req := officer(newWorld(1))
			req.Consents = benchConsents(n)
			b.ReportAllocs()
			for b.Loop() {
				engine.Begin(req)
			}
		})
	}
}

// BenchmarkJSONValid is the yardstick.
func BenchmarkJSONValid(b *testing.B) {
	_, raw := benchSubject(b)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if !json.Valid(raw) {
			b.Fatal("invalid")
		}
	}
}
