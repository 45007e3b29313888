package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/disclosure"
)

// usesStream is the store's log of uses that could not go into the trail.
const usesStream = "audit-uses"

// recordUse records that somebody has looked a person up. note says where, if it
// is not in the trail.
func (a *accounting) recordUse(ctx context.Context, c *config.Config, db backend.Backend, entries int) (note string, err error) {
	e := &audit.Event{
		ID: newRequestID(), At: a.now, Interaction: "disclosures", Operation: "LIST", Path: "audit/disclosures",
		Query: fmt.Sprintf("kind=%s&from=%s&to=%s&entries=%d", a.kind, stamp(a.start), a.to, entries), Client: "handoff audit", Status: 200,
	}
	if who, err := user.Current(); err == nil {
		e.User = who.Username
	}
	for _, p := range a.people {
		e.Patients = append(e.Patients, p.Reference)
	}
	err = withTrail(ctx, c, db, func(trail *audit.Trail) error { return trail.Record(ctx, e) })
	if errors.Is(err, audit.ErrInUse) {
		raw, err := jsonLine(e)
		if err != nil {
			return "", err
		}
		n, err := db.Append(ctx, usesStream, raw)
		return fmt.Sprintf("The gateway writes the trail: this use is entry %d of the store's log %q.", n, usesStream), err
	}
	return "", err
}

// A party is an organisation as a list names it.
type party struct {
	Reference string `json:"reference"`
	Name      string `json:"name,omitempty"`
	Address   string `json:"address,omitempty"`
}

func partyOf(c *config.Config, ref string) party {
	p := party{Reference: ref}
	if o := c.Organization(strings.TrimPrefix(ref, "Organization/")); o != nil {
		p.Name, p.Address = o.Name, o.Address
	}
	return p
}

func (p party) String() string {
	switch {
	case p.Name == "":
		return p.Reference
	case p.Address == "":
		return p.Name
	}
	return p.Name + ", " + p.Address
}

// An accounted is a disclosure with the names of its parties.
type accounted struct {
	disclosure.Disclosure
	From party `json:"from"`
	To   party `json:"to"`
}

func (a *accounting) print(w io.Writer, c *config.Config, list []disclosure.Disclosure) error {
	entries := make([]accounted, len(list))
	for i, d := range list {
		entries[i] = accounted{d, partyOf(c, d.Custodian), partyOf(c, d.Recipient)}
	}
	switch {
	case a.asJSON:
		end := a.end
		if end.IsZero() {
			end = a.now
		}
		return printJSON(w, struct {
			Person      []denoted   `json:"person"`
			Kind        string      `json:"kind"`
			From        time.Time   `json:"from"`
			To          time.Time   `json:"to"`
			TrailBegins time.Time   `json:"trailBegins"`
			NotRead     []unread    `json:"trailsNotRead,omitempty"`
			Disclosures []accounted `json:"disclosures"`
		}{a.people, a.kind, a.start, end, a.begins, a.missing, entries})
	case a.asCSV:
		return printAccountedCSV(w, entries)
	}
	return a.printAccounted(w, entries)
}

func printAccountedCSV(w io.Writer, entries []accounted) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"date", "times", "last", "patient", "from", "to", "address", "user", "records", "purposes", "grounds", "request", "lists", "outside", "designation", "doubt"}}
	for i := range entries {
		d := &entries[i]
		last := ""
		if !d.Last.IsZero() {
			last = stamp(d.Last)
		}
		rows = append(rows, []string{
			stamp(d.At), fmt.Sprint(d.Times), last, d.Patient, orReference(d.From), orReference(d.To), d.To.Address, d.User, d.Records,
			strings.Join(d.Purposes, " "), strings.Join(d.Grounds, "; "), strings.TrimSpace(d.Request + " " + strings.Join(d.Requests, " ")),
			strings.Join(d.Lists, "; "), strings.Join(d.Outside, "; "), d.General, d.Doubt,
		})
	}
	for _, row := range rows {
		for i := range row {
			row[i] = cell(row[i])
		}
	}
	return out.WriteAll(rows)
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func orReference(p party) string {
	if p.Name == "" {
		return p.Reference
	}
	return p.Name
}

func (a *accounting) printAccounted(w io.Writer, entries []accounted) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(tw, "  %s\t%s\n", name, value)
		}
	}
	for _, p := range a.people {
		from := "here"
		if p.System != "" {
			from = "of system " + p.System
		}
		fmt.Fprintf(tw, "%s\t%s\n", p.Reference, from)
	}
	for i := range entries {
		d := &entries[i]
		fmt.Fprintf(tw, "\n%s\t%s\n", stamp(d.At), printable(d.To.String()))
		if d.Times > 1 {
			row("times", fmt.Sprintf("%d, the last %s", d.Times, stamp(d.Last)))
		}
		row("asked by", printable(d.User))
		row("about", d.Patient)
		row("records", d.Records+" of "+printable(d.From.String()))
		row("purpose", strings.Join(d.Purposes, " "))
		row("ground", strings.Join(d.Grounds, "; "))
		row("request", printable(strings.Join(append([]string{d.Request}, d.Requests...), " ")))
		row("lists", strings.Join(d.Lists, "; "))
		row("outside", strings.Join(d.Outside, "; "))
		row("designation", d.General)
		row("doubt", d.Doubt)
	}
	fmt.Fprintf(tw, "\n%d disclosures from %s on\n", len(entries), stamp(a.start))
	if n := len(a.missing); n > 0 {
		fmt.Fprintf(tw, "NOT COMPLETE: the trails of %d gateways were not read\n", n)
	}
	return tw.Flush()
}
