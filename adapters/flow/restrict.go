package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/mappings"
)

// Restrictions are what a source says against the use of a record, as a set.
type Restrictions uint8

// The restrictions.
const (
	Proposed   Restrictions = 1 << iota // a Consent that is not active yet
	Ended                               // a Consent that is revoked, refused or void
	Void                                // entered in error
	Juvenile                            // label JUVENILE
	Restricted                          // confidentiality R
	Sealed                              // confidentiality V
	// Undated restricts nothing: it notes of what is known that it is a Patient
	// without a birth date, which cannot say that somebody is no minor.
	Undated
)

const labels = Juvenile | Restricted | Sealed

const (
	confidentiality = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
	justiceLabel    = "https://handoff-health.github.io/fhir/CodeSystem/cji-label"
)

// codings are the security labels of the restrictions, the strictest first.
var codings = []struct {
	is           Restrictions
	system, code string
}{{Sealed, confidentiality, "V"}, {Restricted, confidentiality, "R"}, {Juvenile, justiceLabel, "JUVENILE"}}

// OfResult is what a result says against the use of its record. A seal without
// any label restricts as much as can be.
func OfResult(res *mappings.Result) Restrictions {
	var r Restrictions
	for i := range res.Resources {
		if x := &res.Resources[i]; x.Owned {
			r |= Of(x)
		}
	}
	if res.Action == mappings.Seal && r&labels == 0 {
		r |= Sealed
	}
	return r
}

// Of is what one resource says against its use. One that cannot be read says
// nothing: it is not stored either.
func Of(x *mappings.Resource) Restrictions {
	if x.Type != "Consent" && !bytes.Contains(x.Raw, []byte(`"security"`)) && !bytes.Contains(x.Raw, []byte(`"entered-in-error"`)) {
		return 0
	}
	doc, err := resource.Parse(x.Raw)
	if err != nil {
		return 0
	}
	var r Restrictions
	for c := range doc.Root().Get("meta").All("security") {
		for _, k := range codings {
			if c.Get("code").Is(k.code) && c.Get("system").Is(k.system) {
				r |= k.is
			}
		}
	}
	status := doc.Root().Get("status")
	switch {
	case status.Is("entered-in-error"):
		r |= Void
	case x.Type != "Consent":
		return r
	}
	switch {
	case status.Is("proposed"), status.Is("draft"):
		r |= Proposed
	case !status.Is("active"):
		r |= Ended | Proposed // what ended is not active either
	}
	return r
}

// Told is what is kept of a shared resource that was taken: what it says against
// its use, and whether it is a Patient without a birth date.
func Told(x *mappings.Resource) Restrictions {
	r := Of(x)
	if x.Type == "Patient" && !dated(x) {
		r |= Undated
	}
	return r
}

func dated(x *mappings.Resource) bool { return bytes.Contains(x.Raw, []byte(`"birthDate":`)) }

// voidable are the types with a status that can say entered-in-error.
var voidable = []string{"Communication", "Consent", "DocumentReference", "Encounter", "EpisodeOfCare", "Observation", "Procedure", "RiskAssessment", "ServiceRequest"}

// Impose adds restrictions to a result's resources: labels to its own and to the
// Patient, the status that a void or ended record has to its own. It computes
// the digests of what it changes anew.
func Impose(res *mappings.Result, r Restrictions) error {
	if r == 0 {
		return nil
	}
	for i := range res.Resources {
		x := &res.Resources[i]
		if !x.Owned && x.Type != "Patient" {
			continue
		}
		raw, err := Restrict(x.Type, x.Raw, r)
		if err != nil {
			return fmt.Errorf("restricting a %s: %w", x.Type, err)
		}
		if bytes.Equal(raw, x.Raw) {
			continue
		}
		sum := sha256.Sum256(raw)
		x.Raw, x.Digest = raw, hex.EncodeToString(sum[:])
	}
	return nil
}

// Restrict adds restrictions to one resource. A Provenance gets labels only.
func Restrict(typ string, raw []byte, r Restrictions) ([]byte, error) {
	doc, err := resource.Parse(raw)
	if err != nil {
		return nil, err
	}
	e := doc.Edit()
	addLabels(doc, e, r)
	status := doc.Root().Get("status")
	want := ""
	switch {
	case !status.Exists() || status.Is("entered-in-error"):
	case r&Void != 0 && slices.Contains(voidable, typ):
		want = "entered-in-error"
	case typ != "Consent" || !status.Is("active") && !status.Is("proposed"):
	case r&Ended != 0:
		want = "inactive"
	case r&Proposed != 0:
		want = "proposed"
	}
	if want != "" {
		e.Replace(status, resource.Quote(want))
	}
	return e.Bytes(), nil
}

// addLabels adds the security labels that are missing. The confidentiality is
// one code: a stricter one takes the place of a lesser.
func addLabels(doc *resource.Resource, e *resource.Editor, r Restrictions) {
	if r&labels == 0 {
		return
	}
	var out [][]byte
	var have Restrictions
	for c := range doc.Root().Get("meta").All("security") {
		is := Restrictions(0)
		for _, k := range codings {
			if c.Get("code").Is(k.code) && c.Get("system").Is(k.system) {
				is = k.is
			}
		}
		if have |= is; c.Get("system").Is(confidentiality) && (is|r)&(Sealed|Restricted) != 0 && is != Sealed {
			continue // put in again below
		}
		out = append(out, c.Raw())
	}
	if r&labels&^have == 0 {
		return
	}
	all := have | r
	if all&Sealed != 0 {
		all &^= Restricted
	}
	for _, k := range codings {
		if all&k.is != 0 && (have&k.is == 0 || k.is == Restricted) {
			out = append(out, []byte(`{"system":"`+k.system+`","code":"`+k.code+`"}`))
		}
	}
	security := append(append([]byte{'['}, bytes.Join(out, []byte{','})...), ']')
	if meta := doc.Root().Get("meta"); meta.Exists() {
		e.Set(meta, "security", security)
	} else {
		e.Set(doc.Root(), "meta", append(append([]byte(`{"security":`), security...), '}'))
	}
}
