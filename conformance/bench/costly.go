package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/search"
)

// costlyFor is how long one of the costliest searches is waited for.
const costlyFor = time.Minute

// costlySearches are the most that a caller may write into one search, in the ways in
// which that costs a store most: alternatives that no index gives at one go, conditions
// of which none narrows, orders that have to be computed.
func costlySearches() []struct{ what, query string } {
	param := func(name string, of int, value func(i int) string) string {
		var values []string
		for i := range of {
			values = append(values, value(i))
		}
		return name + "=" + strings.Join(values, ",")
	}
	// As many values as a query may have, in as few parameters.
	most := func(name string, value func(i int) string) string {
		var parts []string
		for k := range search.MaxInAll / search.MaxValues {
			parts = append(parts, param(name, search.MaxValues, func(i int) string { return value(k*7 + i) }))
		}
		return strings.Join(parts, "&")
	}
	day := func(i int) string { return time.Date(1940, 1, 1+37*i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly) }
	name := func(i int) string { return string([]byte{byte('a' + i/26%26), byte('a' + i%26)}) }
	var wide []string
	for k := range search.MaxParams {
		wide = append(wide, param("name", search.MaxInAll/search.MaxParams, func(i int) string { return string(byte('a' + (k+i*(1+k/26*2))%26)) }))
	}
	return []struct{ what, query string }{
		{"256 beginnings of a name", param("family", search.MaxValues, name)},
		{"1,024 beginnings of a name, of four times 256 one each", most("family", name)},
		{"256 days of birth", param("birthdate", search.MaxValues, day)},
		{"1,024 days of birth, of four times 256 one each", most("birthdate", day)},
		{"1,024 days of the last change, of four times 256 one each", most("_lastUpdated", day)},
		{"1,024 identifiers, of four times 256 one each", most("identifier", func(i int) string { return fmt.Sprintf("mrn-%08d", i) })},
		{"64 conditions that most satisfy", strings.Join(wide, "&")},
		{"half of all, sorted by four parameters", "gender=male&_sort=family,given,birthdate,address-city"},
		{"all, sorted by four parameters", "_sort=family,given,birthdate,address-city"},
	}
}

// measureCostly asks every store the costliest searches that a caller may send.
func measureCostly(ctx context.Context, b *bench) (err error) {
	m := newStoresRun(b)
	defer func() { err = errors.Join(err, m.close()) }()
	dir := filepath.Join(b.dir, "costly") // not the stores of the part of that name
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := m.open(ctx, dir); err != nil {
		return err
	}
	if err := m.fill(ctx); err != nil {
		return err
	}
	asked := costlySearches()
	for range m.pace.rounds {
		for _, q := range asked {
			for _, size := range m.pace.sizes {
				if err := m.costly(ctx, size, q.what, q.query); err != nil {
					return err
				}
			}
		}
	}
	t := b.report.section("Stores, the costliest searches that a caller may send: ms until the first page", "search", m.columns(0)...)
	for _, q := range asked {
		t.add(q.what, m.values(q.what, 1)...)
	}
	m.origin(t)
	t.note("Medians of %d rounds; “–”: not answered, which the lines on standard error explain. The stores gave the same pages.", m.pace.rounds)
	return nil
}

// costly asks the stores of one size one search and holds their pages against each
// other. One that refuses has no figure.
func (m *storesRun) costly(ctx context.Context, size int, what, query string) error {
	p, err := planOf("Patient", query)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var first []string
	for _, s := range m.peers(size) {
		ctx, cancel := context.WithTimeout(ctx, costlyFor)
		began := time.Now()
		page, err := s.db.Search(ctx, p)
		took := time.Since(began)
		cancel()
		c := timing{what, s.name, size, 1}
		m.done[c]++
		if err != nil {
			fmt.Fprintf(m.log, "bench: %s, %s, %d resources: not answered after %v: %v\n", what, s.name, size, took.Round(time.Millisecond), err)
			m.took[c] = append(m.took[c], missing)
			continue
		}
		m.took[c] = append(m.took[c], number(took.Seconds()*1000))
		ids := []string{} // of no hit too
		for _, r := range page.Records {
			ids = append(ids, r.ID)
		}
		if first == nil {
			first = ids
		}
		if !slices.Equal(first, ids) {
			return fmt.Errorf("THE STORES DIFFER on %s: %s instead of %s from %s", what, clipped(ids), clipped(first), s.name)
		}
	}
	return nil
}
