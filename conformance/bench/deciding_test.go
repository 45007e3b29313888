package main

import (
	"encoding/json"
	"fmt"
	"testing"
)

// BenchmarkWhole is what measureDeciding measures, by resource and number of
// Consents, beside the yardstick.
func BenchmarkWhole(b *testing.B) {
	for _, j := range judgedResources() {
		name := fmt.Sprintf("%s/%d", j.kind, j.consents)
		if j.shapes {
			name += "-shapes"
		}
		d, err := newJudge(j)
		if err != nil {
			b.Fatal(err)
		}
		run := func(what string, f func() error) {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("valid", func() error { json.Valid(j.raw); return nil })
		run("parse", func() error { return d.doc.Reset(j.raw) })
		run("decide", func() error { _, _, err := d.decide(); return err })
		run("whole", d.enforce)
	}
}
