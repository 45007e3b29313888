package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
)

// A keyUse says what of a command's work in a store is made with the site key.
type keyUse int

const (
	keyUnused  keyUse = iota // nothing
	keyRead                  // ids that it looks up
	keyWritten               // what it writes: a store without a key yet is the key's from then on
)

// A storeUse is what a command does with the store of its configuration. The zero
// value opens none.
type storeUse struct {
	command string // as people type it, after "handoff"
	opens   bool
	makes   bool   // where there is no store it makes one
	writes  bool   // it announces itself, and must hold the store's site key
	with    string // the flag without which it writes nothing
	without string // the flag with which it writes nothing
	key     keyUse
	anyKey  bool // it may hold another site key all the same
	alone   bool // nobody else may use the store meanwhile
}

// storeUses decides for each command. ADR 0034 says why. What "store copy" writes is an
// unfinished copy, which keeps others out by itself.
var storeUses = map[string]storeUse{
	"audit disclosures":     {opens: true, writes: true, key: keyRead},
	"audit replay":          {opens: true, key: keyRead},
	"audit report":          {opens: true},
	"audit tail":            {},
	"audit verify":          {opens: true},
	"clients disable":       {opens: true, writes: true},
	"clients enable":        {opens: true, writes: true},
	"clients lint":          {opens: true},
	"clients list":          {opens: true},
	"clients rotate-secret": {opens: true, writes: true},
	"clients show":          {opens: true},
	"clients unlock":        {opens: true, writes: true},
	"config check":          {},
	"config print":          {},
	"consent lint":          {},
	"convert":               {},
	"decide":                {},
	"demo":                  {opens: true, makes: true, writes: true, key: keyWritten},
	"feeds list":            {opens: true},
	"feeds messages":        {opens: true},
	"feeds pause":           {opens: true, writes: true},
	"feeds report":          {opens: true},
	"feeds resume":          {opens: true, writes: true},
	"gateways accept-keys":  {opens: true, writes: true, anyKey: true, alone: true},
	"gateways accept-store": {opens: true, writes: true},
	"gateways forget":       {opens: true, writes: true},
	"gateways list":         {opens: true},
	"ingest":                {opens: true, makes: true, writes: true, key: keyWritten},
	"labels explain":        {},
	"labels list":           {},
	"labels sweep":          {opens: true, writes: true, without: "dry-run"},
	"link confirm":          {opens: true, writes: true},
	"link history":          {opens: true},
	"link import":           {opens: true, writes: true},
	"link list":             {opens: true},
	"link undo":             {opens: true, writes: true},
	"map check":             {},
	"map diff":              {},
	"map explain":           {},
	"map functions":         {},
	"map test":              {},
	"mllp send":             {},
	"packs check":           {},
	"packs list":            {},
	"packs schema":          {},
	"packs show":            {},
	"rejects edit":          {opens: true, writes: true},
	"rejects list":          {opens: true},
	"rejects replay":        {opens: true, writes: true, key: keyWritten},
	"rejects show":          {opens: true, writes: true, with: "reveal"},
	"serve":                 {opens: true, makes: true, writes: true, key: keyWritten},
	"store check":           {opens: true, writes: true, with: "repair", anyKey: true},
	"store copy":            {opens: true, writes: true, anyKey: true},
	"token assertion":       {},
	"token get":             {},
	"token keygen":          {},
	"token secret":          {},
	"users list":            {opens: true},
	"users sign-out":        {opens: true, writes: true},
	"users signed-in":       {opens: true},
	"users unlock":          {opens: true, writes: true},
}

// useNamed is what a command does that is given by its name.
func useNamed(name string) storeUse {
	u := storeUses[name]
	u.command = name
	return u
}

// useOf is what a command does, by its flags as they were given.
func useOf(cmd *cobra.Command) storeUse {
	u := useNamed(commandName(cmd))
	given := func(flag string) bool {
		f := cmd.Flags().Lookup(flag)
		return f != nil && f.Value.String() == "true"
	}
	if u.with != "" && !given(u.with) || u.without != "" && given(u.without) {
		u.writes = false
	}
	return u
}

// commandName is a command as people type it, after "handoff".
func commandName(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	return name
}

// A readStore is a store for a command that has not announced to write: whoever copies
// the store meanwhile relies on that.
type readStore struct{ backend.Backend }

var errReads = errors.New("this command was not to write to the store; this is a fault of handoff")

// Write implements store.Store.
func (readStore) Write(context.Context, store.Write) (*store.Record, error) { return nil, errReads }

// Apply implements store.Store.
func (readStore) Apply(context.Context, []store.Write) ([]*store.Record, error) {
	return nil, errReads
}

// Expunge implements store.Store.
func (readStore) Expunge(context.Context, store.Key) error { return errReads }

// PutIfAbsent implements store.Facts.
func (readStore) PutIfAbsent(context.Context, string, []byte, time.Time) (store.Fact, error) {
	return store.Fact{}, errReads
}

// CompareAndSet implements store.Facts.
func (readStore) CompareAndSet(context.Context, string, int64, []byte, time.Time) (store.Fact, error) {
	return store.Fact{}, errReads
}

// Delete implements store.Facts.
func (readStore) Delete(context.Context, string) error { return errReads }

// Append implements store.Log.
func (readStore) Append(context.Context, string, ...[]byte) (uint64, error) { return 0, errReads }

// Checkpoint implements store.Log.
func (readStore) Checkpoint(context.Context, string, string, uint64) error { return errReads }
