package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/handoff-health/handoff/adapters"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/gateway/identity"
)

// TestFourFeedsAtOnceOfPersonsWithOneNameAndBirthDate: every person is stored,
// none is linked by itself, and the reports say of whom there were too many.
func TestFourFeedsAtOnceOfPersonsWithOneNameAndBirthDate(t *testing.T) {
	config := "server: {listen: \"127.0.0.1:0\"}\nsite: {key: 0123456789abcdef0123456789abcdef}\norganizations:\n  - {id: clinic, name: Clinic, kind: health}\nsystems:\n"
	const feeds, each = 4, 60
	for i := range feeds {
		config += fmt.Sprintf("  - {key: adt%d, kind: feed, organization: clinic, adapter: ehr/hl7v2}\n", i)
	}
	dir := writeFiles(t, map[string]string{"handoff.yaml": config})
	c, err := loadConfig(filepath.Join(dir, "handoff.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := assemble(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	crowds := make([]int, feeds)
	var wg sync.WaitGroup
	for i, s := range c.Systems {
		wg.Go(func() {
			target, err := newIngestTarget(c, g.store, s)
			if err != nil {
				t.Error(err)
				return
			}
			fd, err := loadFeed(target.Adapter, "")
			if err != nil {
				t.Error(err)
				return
			}
			var b strings.Builder
			for n := range each {
				fmt.Fprintf(&b, "MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A28|E%d-%d|P|2.5.1\rEVN|A28|20260301120000\rPID|1||M%d^^^MERCY%d^MR||EXAMPLE^PAT||19800612|M\r", i, n, n, i)
			}
			r, err := target.pipeline(fd).Run(t.Context(), adapters.Input{Name: "in", Reader: strings.NewReader(b.String())})
			if err != nil || r.Created != each || r.Findings["link-failed"] > 0 {
				t.Errorf("%v: %+v", err, r)
				return
			}
			crowds[i] = r.Findings["link-crowd"]
		})
	}
	wg.Wait()
	if n, err := g.store.Count(t.Context(), store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Limit: 1}); err != nil || n != feeds*each {
		t.Errorf("%d Patients, %v", n, err)
	}
	all, err := g.links.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.State != identity.Candidate {
			t.Errorf("%+v", l)
		}
	}
	told := 0
	for _, n := range crowds {
		told += n
	}
	if most := feeds * each; told < most-40 || told > most {
		t.Errorf("%d were told to be of a crowd: %v", told, crowds)
	}
}

// TestPersonsAreFoundByDateNameAndIdentifier reads the way that the linker does.
func TestPersonsAreFoundByDateNameAndIdentifier(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "handoff.yaml")
	writeConfig(t, config, "server: {listen: \"127.0.0.1:0\"}\nsite: {key: 0123456789abcdef0123456789abcdef}\norganizations:\n  - {id: clinic, name: Clinic, kind: health}\nsystems:\n  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2}\n")
	var b strings.Builder
	for n := range 130 { // more than one page
		family := []string{"O'Neil", "Muñoz", "Smith-Jones"}[n%3]
		fmt.Fprintf(&b, "MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A28|E%d|P|2.5.1|||||||UNICODE UTF-8\rEVN|A28|20260301120000\rPID|1||M%d^^^MERCY^MR||%s^PAT||19800612|M\r", n, n, family)
	}
	file := filepath.Join(dir, "in.hl7")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := runLine("", "ingest", "--config", config, "--adapter", "ehr/hl7v2", file); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	c, err := loadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	g, err := assemble(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	p := storedPeople{g.store}
	count := func(records func(func(*store.Record, error) bool)) (n int) {
		var last *store.Record
		for rec, err := range records {
			if err != nil {
				t.Fatal(err)
			}
			if last != nil && rec.LastUpdated.Before(last.LastUpdated) {
				t.Fatal("not the oldest first")
			}
			last = rec
			n++
		}
		return n
	}
	if n := count(p.WithBirthDate(t.Context(), "1980-06-12")); n != 130 {
		t.Errorf("%d of the date", n)
	}
	for family, want := range map[string]int{"O'Neil": 44, "Muñoz": 43, "munoz": 43, "Smith-Jones": 43, "Nobody": 0} {
		if n := count(p.WithName(t.Context(), "1980-06-12", family)); n != want {
			t.Errorf("%d of the name %s, want %d", n, family, want)
		}
	}
	if n := count(p.WithName(t.Context(), "1980-06-13", "O'Neil")); n != 0 {
		t.Errorf("%d of another date", n)
	}
	if n := count(p.WithIdentifier(t.Context(), "https://handoff-health.github.io/fhir/sid/v2/mercy/MERCY", "M7")); n != 1 {
		t.Errorf("%d with the identifier", n)
	}
}
