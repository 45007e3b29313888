package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/adapters/all"
	"github.com/handoff-health/handoff/adapters/convert"
	"github.com/handoff-health/handoff/mappings"
)

const personsHead = "Key,Modified,MNI,Name,From,Act\n"

// persons converts rows and shows the last form of each Patient: its MNI, then
// "-" if it is not active, its uses, its links by MNI.
func persons(t *testing.T, rows string, stream, bundle bool) (shown, counts string, resources int) {
	t.Helper()
	m, err := mappings.Load(os.DirFS("../flow/testdata"), "persons.map.yaml", &mappings.Profile{TimeZone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	var out, rejects bytes.Buffer
	j := job(&out, &rejects)
	j.Mapper, j.Bundle = m, bundle
	j.Options = adapters.Options{Fields: m.Fields(), Profile: &mappings.Profile{Mapping: "x"}}
	reports, err := j.Run(context.Background(), []convert.Path{path(personsHead+rows, stream)})
	if err != nil || !reports[0].AddsUp() {
		t.Fatal(err, reports)
	}
	mni := map[string]string{}
	for i := range 20 {
		mni["Patient/"+mappings.TestIDs("Patient", "urn:test:mni", fmt.Sprint("R", i))] = fmt.Sprint("R", i)
	}
	type patient struct {
		ResourceType, ID string
		Active           *bool
		Identifier       []struct{ Use string }
		Link             []struct {
			Type  string
			Other struct{ Reference string }
		}
	}
	last := map[string]string{}
	for _, raw := range raws(t, out.Bytes(), bundle) {
		var p patient
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		resources++
		if p.ResourceType != "Patient" {
			continue
		}
		who := mni["Patient/"+p.ID]
		s := who
		if p.Active != nil && !*p.Active {
			s += "-"
		}
		for _, id := range p.Identifier {
			s += " " + id.Use
		}
		for _, l := range p.Link {
			s += " " + l.Type + " " + mni[l.Other.Reference]
		}
		last[who] = s
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(last)) {
		all = append(all, last[k])
	}
	r := reports[0]
	return strings.Join(all, "; "), fmt.Sprintf("c%d u%d d%d r%d %v", r.Created, r.Updated, r.Duplicates, r.Rejects, r.RejectedBy), resources
}

func raws(t *testing.T, out []byte, bundle bool) (all []json.RawMessage) {
	t.Helper()
	if !bundle {
		for _, l := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
			all = append(all, l)
		}
		return all
	}
	var b struct {
		Entry []struct{ Resource json.RawMessage }
	}
	if err := json.Unmarshal(out, &b); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Entry {
		all = append(all, e.Resource)
	}
	return all
}

func TestMergedPersonsComeOutLinked(t *testing.T) {
	const (
		a, b   = "1,2026-01-01,R1,ANA,,\n", "2,2026-01-01,R2,ANNA,,\n"
		merge  = "m,2026-02-01,R1,,R2,merge\n"
		undo   = "u,2026-03-01,R1,,R2,unmerge\n"
		joined = "R1 official  replaces R2; R2- old old replaced-by R1"
		two    = "R1 official ; R2 official "
	)
	for _, c := range []struct{ name, in, want, counts string }{
		{"known", a + b + merge, joined, "c3 u0 d0 r0 map[]"},
		{"unknown before", merge + a + b, joined, "c3 u0 d0 r0 map[]"},
		{"unknown at all", merge, "R1  replaces R2; R2- old replaced-by R1", "c1 u0 d0 r0 map[]"},
		{"loser unknown", a + merge, "R1 official  replaces R2; R2- old replaced-by R1", "c2 u0 d0 r0 map[]"},
		{"updated since", a + merge + b + "2,2026-02-02,R2,ANNE,,\n", joined, "c3 u1 d0 r0 map[]"},
		{"twice", a + b + merge + merge + "n,2026-02-02,R1,,R2,merge\n", joined, "c4 u0 d1 r0 map[]"},
		{"undone", a + b + merge + undo, two, "c4 u0 d0 r0 map[]"},
		{"undone before", a + undo + b + merge, two, "c4 u0 d0 r0 map[]"},
		{"undone, and the old merge again", a + b + merge + undo + "n,2026-02-01,R1,,R2,merge\n", two, "c5 u0 d0 r0 map[]"},
		{"swapped", a + b + merge + "n,2026-02-02,R2,,R1,merge\n", joined, "c3 u0 d0 r1 map[merge-cycle:1]"},
		{"chain", a + b + merge + "n,2026-02-02,R3,,R1,merge\n", "R1- old old replaced-by R3 replaces R2; R2- old old replaced-by R1; R3  replaces R1", "c4 u0 d0 r0 map[]"},
		{"an older version of the order merges others", "m,2026-05-01,R4,,R5,merge\n" + "m,2026-02-01,R1,,R2,merge\n",
			"R1  replaces R2; R2- old replaced-by R1; R4  replaces R5; R5- old replaced-by R4", "c1 u1 d0 r0 map[]"},
		{"without a time", a + b + "m,,R1,,R2,merge\nu,,R1,,R2,unmerge\nm,,R1,,R2,merge\n", two, "c4 u0 d1 r0 map[]"},
	} {
		for form, f := range map[string][2]bool{"file": {}, "stream": {true, false}, "bundle": {false, true}, "streamed bundle": {true, true}} {
			got, counts, n := persons(t, c.in, f[0], f[1])
			if got != c.want || counts != c.counts {
				t.Errorf("%s, %s: got %q (%s), want %q (%s)", c.name, form, got, counts, c.want, c.counts)
			}
			if c.name == "known" && form == "stream" && n != 6 { // two contacts, two persons, and these again
				t.Errorf("%d resources", n)
			}
		}
	}
}

func TestAnExpungedPersonIsNotTold(t *testing.T) {
	in := "1,2026-01-01,R1,ANA,,\n2,2026-01-01,R2,ANNA,,\nm,2026-02-01,R1,,R2,merge\n2,2026-03-01,R2,,,expunge\n"
	for _, bundle := range []bool{false, true} {
		if got, counts, _ := persons(t, in, false, bundle); got != "R1 official " || counts != "c3 u1 d0 r0 map[]" {
			t.Errorf("got %q, %s", got, counts)
		}
	}
}

// A file whose only record is a refused merge is judged the same both times.
func TestARefusedMergeAlone(t *testing.T) {
	f, err := all.Find("ehr/hl7v2")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mappings.Load(mappings.Files(), f.Mapping, nil)
	if err != nil {
		t.Fatal(err)
	}
	const merge = "MSH|^~\\&|A|HOSP|||20260411101500-0400||ADT^A40|1|P|2.5.1\rEVN||20260411101500-0400\rPID|1||P1^^^HOSP^MR||Example^Pat\rMRG|P1^^^HOSP^MR\r"
	var out, rejects bytes.Buffer
	j := convert.Job{Format: f, Options: adapters.Options{Profile: m.Profile(), Fields: m.Fields(), Kinds: m.Kinds()}, Mapper: m, Out: &out, Rejects: &rejects}
	reports, err := j.Run(context.Background(), []convert.Path{path(merge, false)})
	if err != nil || reports[0].Rejects != 1 || out.Len() > 0 || !reports[0].AddsUp() {
		t.Errorf("%v %+v %s %s", err, reports, out.String(), rejects.String())
	}
}
