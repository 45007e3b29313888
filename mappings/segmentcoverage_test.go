package mappings

import (
	"testing"
	"testing/fstest"
)

func TestCoverageBySegment(t *testing.T) {
	m, err := Load(fstest.MapFS{"m.yaml": {Data: []byte("mapping: a/b\nversion: 1.0.0\nkinds: [ADT_A01]\nsegments: {PID: 8, MSH: 3, ZPV: 2}\nignore: {MSH: read by the decoder, PID-1: set id}\nkey: text(\"PID-3.1\")\nrecord-version: '\"\"'\n" +
		"resources:\n  - {id: p, type: Patient, system: '\"s\"', key: text(\"PID-3.1\"), rows: [{to: name, from: PID-5, use: xpn}]}\ndatatypes: [d.yaml]\n")},
		"d.yaml": {Data: []byte("datatypes: {xpn: {type: HumanName, rows: [{to: family, from: .1}]}}\n")}}, "m.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"MSH: 0 of 3 fields read, 3 left out on purpose",
		"PID: 2 of 8 fields read, 1 left out on purpose, unread 2, 4, 6-8",
		"ZPV: 0 of 2 fields read, 0 left out on purpose, unread 1-2",
	}
	c := m.Coverage()
	for i, s := range c.Segments {
		if i >= len(want) || s.String() != want[i] {
			t.Errorf("got %s", s)
		}
	}
	if len(c.Segments) != len(want) || len(c.Unread) != 7 || c.Unread[0] != "PID-2" {
		t.Errorf("%+v", c)
	}
}
