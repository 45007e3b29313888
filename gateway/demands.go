package gateway

import (
	"fmt"
	"strings"

	"github.com/handoff-health/handoff/gateway/rest"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A demand is what an interaction asks of the scopes of a token. One level must
// fulfil all of it by itself. The zero demand is fulfilled by nobody.
type demand struct {
	open bool // asks nothing: the interaction touches no data of anybody

	on     string           // resource type; "": the type in the address
	all    smart.Permission // letters that one level must have on it, all of them
	any    smart.Permission // letters of which one suffices
	levels []string         // levels that count; none: every one
	scope  string           // instead: the scope of an operation of its own
}

// workforce are the levels of those who act for an organisation. An app that a
// patient/ scope holds to one patient takes no part in what they settle.
var workforce = []string{smart.ContextSystem, smart.ContextUser}

// demands has a row for each interaction that needs a token: there is no other
// place where a scope opens an operation.
var demands = map[string]demand{
	rest.Read:       {all: smart.Read},
	rest.VRead:      {all: smart.Read},
	rest.SearchType: {all: smart.Search},
	rest.Create:     {all: smart.Create},
	rest.Update:     {all: smart.Update},

	// Operations. What they answer with is judged per resource by the same level.
	rest.CrisisSummary:  {on: "Patient", all: smart.Read},
	rest.BreakGlass:     {on: "Patient", all: smart.Read},
	rest.Capture:        {on: "Consent", all: smart.Create},
	rest.Revoke:         {on: "Consent", all: smart.Update},
	rest.WhatIf:         {on: "Consent", any: smart.Create | smart.Update}, // who may write one may try one
	rest.ExplainAccess:  {scope: smart.ScopeExplainAccess},
	rest.DeclareBasis:   {on: "Task", all: smart.Create, levels: workforce},
	rest.AcceptBasis:    {on: "Task", all: smart.Update, levels: workforce},
	rest.RejectBasis:    {on: "Task", all: smart.Update, levels: workforce},
	rest.WithdrawBasis:  {on: "Task", all: smart.Update, levels: workforce},
	rest.CancelTask:     {on: "Task", all: smart.Update, levels: workforce},
	rest.CompleteReview: {on: "Task", all: smart.Update, levels: workforce},

	rest.Definitions: {open: true},
	rest.Definition:  {open: true},
}

// letters are those by one of which a resource must be covered that the
// interaction writes.
func (d demand) letters() smart.Permission { return d.all | d.any }

// fulfilledBy says whether the scopes, which are of one level, do.
func (d demand) fulfilledBy(scopes smart.Scopes, typ string) bool {
	if d.all != 0 && !scopes.Allows(typ, d.all) {
		return false
	}
	for p := smart.Create; p <= smart.Search; p <<= 1 {
		if d.any&p != 0 && scopes.Allows(typ, p) {
			return true
		}
	}
	return d.any == 0 && d.all != 0
}

// example writes a scope that would do, for the text of a refusal.
func (d demand) example(level, typ string) string {
	p := d.all
	if p == 0 {
		p = d.any & -d.any
	}
	return fmt.Sprintf("%s/%s.%s", level, typ, p)
}

// isOperation says whether the interaction is a named operation.
func isOperation(interaction string) bool { return strings.HasPrefix(interaction, "$") }
