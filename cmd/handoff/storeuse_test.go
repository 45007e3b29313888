package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/presence"
	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/peers"
)

// eachCommand calls do for every command that does something.
func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	if !cmd.HasSubCommands() {
		do(cmd)
	}
	for _, c := range cmd.Commands() {
		eachCommand(c, do)
	}
}

func TestEveryCommandHasADecisionOnItsStore(t *testing.T) {
	adr, err := os.ReadFile("../../docs/adr/0034-several-gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	left := maps.Clone(storeUses)
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		name := commandName(cmd)
		u, decided := storeUses[name]
		if !decided {
			t.Errorf("storeUses does not say what 'handoff %s' does with a store", name)
		}
		delete(left, name)
		for _, flag := range []string{u.with, u.without} {
			if flag != "" && cmd.Flags().Lookup(flag) == nil {
				t.Errorf("'handoff %s' has no flag --%s", name, flag)
			}
		}
		if u.opens && !strings.Contains(string(adr), "`"+name+"`") {
			t.Errorf("ADR 0034 does not tell of '%s'", name)
		}
	})
	for name := range left {
		t.Errorf("storeUses tells of '%s', which is no command", name)
	}
	if _, err := openStore(t.Context(), nil, useNamed("new command"), nil); err == nil || !strings.Contains(err.Error(), "no decision") {
		t.Errorf("a command without a decision opens a store: %v", err)
	}
}

// lines are arguments with which each command comes as far as its store. files is
// where files may be.
func lines(t *testing.T, files string) map[string][]string {
	csv, roster := feedFile(t, "good.csv"), filepath.Join(files, "roster.csv")
	return map[string][]string{
		"audit disclosures":     {"--patient", "Patient/p"},
		"audit replay":          {},
		"audit report":          {filepath.Join(files, "audit")},
		"audit verify":          {},
		"clients disable":       {"--by", "ann", "c"},
		"clients enable":        {"--by", "ann", "c"},
		"clients lint":          {},
		"clients list":          {},
		"clients rotate-secret": {"--by", "ann", "c"},
		"clients show":          {"c"},
		"clients unlock":        {"--by", "ann", "c"},
		"feeds list":            {},
		"feeds messages":        {},
		"feeds pause":           {},
		"feeds report":          {},
		"feeds resume":          {},
		"gateways accept-keys":  {},
		"gateways accept-store": {"--by", "ann", "--reason", "restored"},
		"gateways forget":       {"x"},
		"gateways list":         {},
		"ingest":                {"--adapter", "rms/csv", csv},
		"labels sweep":          {},
		"link confirm":          {"--reviewer", "ann", "Patient/p", "-", "q"},
		"link history":          {"Patient/p", "-", "q"},
		"link import":           {roster},
		"link list":             {},
		"link undo":             {"--reviewer", "ann", "Patient/p", "-", "q"},
		"rejects edit":          {"1", "--from", csv},
		"rejects list":          {},
		"rejects replay":        {"--all"},
		"rejects show":          {"1"},
		"store check":           {},
		"users list":            {},
		"users sign-out":        {"--by", "ann", "p", "u"},
		"users signed-in":       {},
		"users unlock":          {"--by", "ann", "p", "u"},
	}
}

// An openedStore is what a command has done when its store was open.
type openedStore struct {
	use     storeUse
	present []presence.Holder
	refuses bool // to be written to
}

// openedBy runs a command line and tells of the stores that it has opened.
func openedBy(t *testing.T, args ...string) (opened []openedStore, text string, code int) {
	t.Helper()
	storeOpened = func(db backend.Backend, u storeUse) {
		hs, err := presence.Present(t.Context(), db)
		if err != nil {
			t.Error(err)
		}
		opened = append(opened, openedStore{u, hs, errors.Is(db.Delete(context.Background(), "nothing"), errReads)})
	}
	defer func() { storeOpened = nil }()
	out, errs, code := runLine("", args...)
	return opened, out + errs, code
}

const storeUseConfig = `server: {listen: "127.0.0.1:0"}
site: {key: %s}
organizations: [{id: pd, name: Police, kind: police}]
systems: [{key: stops, kind: feed, organization: pd, adapter: rms/csv}]
store: %s
`

const aSiteKey, anotherSiteKey = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

// A keyedStore is a store with a trail beside it, and configurations with its key and
// with another.
type keyedStore struct{ dir, address, good, odd string }

func newKeyedStore(t *testing.T) *keyedStore {
	t.Helper()
	w := &keyedStore{dir: t.TempDir(), address: backendtest.Address(t)}
	w.good, w.odd = filepath.Join(w.dir, "good.yaml"), filepath.Join(w.dir, "odd.yaml")
	place := fmt.Sprintf("{sqlite: {path: %q}}", w.address)
	if backend.IsMongo(w.address) {
		place = fmt.Sprintf("{mongo: {uri: %q}}", w.address)
	}
	for path, text := range map[string]string{
		w.good: fmt.Sprintf(storeUseConfig, aSiteKey, place), w.odd: fmt.Sprintf(storeUseConfig, anotherSiteKey, place),
		filepath.Join(w.dir, "roster.csv"): "system,remote_id,patient\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := loadConfig(w.good)
	if err != nil {
		t.Fatal(err)
	}
	g, err := assemble(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// keys sets the store's fingerprint of a site key, "" for none, and returns what was there.
func (w *keyedStore) keys(t *testing.T, key string) (had bool) {
	t.Helper()
	withStore(t, w.address, func(db backend.Backend) {
		known, err := peers.KnownKeys(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		had = known[peers.SiteKey] != ""
		if err := peers.AcceptKeys(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if key != "" {
			if err := peers.CheckSite(t.Context(), db, []byte(key), true); err != nil {
				t.Fatal(err)
			}
		}
	})
	return had
}

// eachLine calls do for every command that opens the store of a configuration, with
// and without the flag by which it writes. serve and demo run on; copy has its own tests.
func (w *keyedStore) eachLine(t *testing.T, do func(t *testing.T, name string, writes bool, args []string)) {
	t.Helper()
	all := lines(t, w.dir)
	for _, name := range slices.Sorted(maps.Keys(storeUses)) {
		u := storeUses[name]
		if !u.opens || name == "serve" || name == "demo" || name == "store copy" {
			continue
		}
		args, known := all[name]
		if !known {
			t.Errorf("no arguments for '%s'", name)
			continue
		}
		args = append(strings.Fields(name), args...)
		t.Run(name, func(t *testing.T) { do(t, name, u.writes && u.with == "", args) })
		for flag, writes := range map[string]bool{u.with: true, u.without: false} {
			if flag != "" {
				t.Run(name+" --"+flag, func(t *testing.T) { do(t, name, writes, append(slices.Clone(args), "--"+flag)) })
			}
		}
	}
}

// With another site key than the store's no command writes, and none looks up what is
// made with the key; the message says where the key stands.
func TestCommandsRefuseAnotherSiteKey(t *testing.T) {
	w := newKeyedStore(t)
	w.eachLine(t, func(t *testing.T, name string, writes bool, args []string) {
		u := storeUses[name]
		opened, text, code := openedBy(t, append(args, "--config", w.odd)...)
		if u.anyKey || !writes && u.key == keyUnused {
			if len(opened) != 1 || strings.Contains(text, "site.key") {
				t.Errorf("exit %d, opened %d: %s", code, len(opened), text)
			}
			if name == "gateways accept-keys" {
				if w.keys(t, aSiteKey) {
					t.Error("the fingerprint is still there")
				}
			}
			return
		}
		for _, want := range []string{"site.key at " + w.odd + ":2:13", "is not the one with which this store was begun", "gateways list", backend.Name(w.address, "")} {
			if code != exitFailed || len(opened) > 0 || !strings.Contains(text, want) {
				t.Errorf("exit %d, opened %d, without %q: %s", code, len(opened), want, text)
			}
		}
		if strings.Contains(text, aSiteKey[:8]) || strings.Contains(text, anotherSiteKey[:8]) {
			t.Errorf("a key is told: %s", text)
		}
		withStore(t, w.address, func(db backend.Backend) {
			if hs, err := presence.Present(t.Context(), db); err != nil || len(hs) > 0 {
				t.Errorf("it has left a word behind: %v %v", hs, err)
			}
		})
	})
}

// A command that writes says so to whoever copies the store; one that does not is given
// a store that it cannot write to.
func TestCommandsThatWriteAnnounceThemselves(t *testing.T) {
	w := newKeyedStore(t)
	w.eachLine(t, func(t *testing.T, name string, writes bool, args []string) {
		opened, text, _ := openedBy(t, append(args, "--config", w.good)...)
		if len(opened) != 1 {
			t.Fatalf("opened %d: %s", len(opened), text)
		}
		o := opened[0]
		switch {
		case writes && (len(o.present) != 1 || o.present[0].What != name || o.refuses):
			t.Errorf("it writes and has announced %v, refuses %v", o.present, o.refuses)
		case !writes && (len(o.present) > 0 || !o.refuses && name != "store check"):
			t.Errorf("it does not write, has announced %v, and may: %v", o.present, !o.refuses)
		}
		withStore(t, w.address, func(db backend.Backend) {
			if hs, err := presence.Present(t.Context(), db); err != nil || len(hs) > 0 {
				t.Errorf("afterwards: %v %v", hs, err)
			}
		})
		if name == "gateways accept-keys" {
			w.keys(t, aSiteKey)
		}
	})
}

// While a store is copied no command begins to write to it, and who is refused leaves
// nothing behind that would spoil the copy. A copy beside gateways keeps nobody out.
func TestCommandsThatWriteWaitForACopy(t *testing.T) {
	w := newKeyedStore(t)
	withStore(t, w.address, func(db backend.Backend) {
		for _, use := range []presence.Use{{Alone: true, Reads: true}, {Reads: true}} {
			l, err := presence.AnnounceUse(t.Context(), db, db.Now, "store copy", use, func(renew func()) { renew() })
			if err != nil {
				t.Fatal(err)
			}
			w.eachLine(t, func(t *testing.T, name string, writes bool, args []string) {
				before, err := db.Epoch(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				opened, text, code := openedBy(t, append(args, "--config", w.good)...)
				if !writes || !use.Alone {
					if strings.Contains(text, "being copied") || len(opened) != 1 && name != "gateways accept-keys" {
						t.Errorf("alone %v, exit %d, opened %d: %s", use.Alone, code, len(opened), text)
					}
					return
				}
				if code != exitFailed || len(opened) > 0 || !strings.Contains(text, "the store is being copied by 'handoff store copy' on ") {
					t.Errorf("exit %d, opened %d: %s", code, len(opened), text)
				}
				if after, err := db.Epoch(t.Context()); err != nil || after != before {
					t.Errorf("it has written: epoch %d, then %d, %v", before, after, err)
				}
			})
			if err := l.End(); err != nil {
				t.Fatal(err)
			}
		}
	})
	w.keys(t, aSiteKey)
}

// A store that knows no key takes that of the first command that writes what is made
// with it.
func TestAStoreTakesTheKeyOfWhoWritesWithIt(t *testing.T) {
	w := newKeyedStore(t)
	w.eachLine(t, func(t *testing.T, name string, writes bool, args []string) {
		w.keys(t, "")
		opened, text, _ := openedBy(t, append(args, "--config", w.good)...)
		if len(opened) != 1 {
			t.Fatalf("opened %d: %s", len(opened), text)
		}
		if has, want := w.keys(t, aSiteKey), writes && storeUses[name].key == keyWritten; has != want {
			t.Errorf("has a key: %v, want %v", has, want)
		}
	})
	w.keys(t, "")
	opened, text, _ := openedBy(t, append(append([]string{"ingest"}, lines(t, w.dir)["ingest"]...), "--config", w.odd)...)
	if len(opened) != 1 {
		t.Fatalf("opened %d: %s", len(opened), text)
	}
	_, text, code := openedBy(t, "link", "undo", "--reviewer", "ann", "Patient/p", "-", "q", "--config", w.good)
	if code != exitFailed || !strings.Contains(text, "site.key at "+w.good) {
		t.Errorf("after another key was taken: exit %d: %s", code, text)
	}
}

func TestKeysAreAcceptedWhenNobodyElseUsesTheStore(t *testing.T) {
	w := newKeyedStore(t)
	withStore(t, w.address, func(db backend.Backend) {
		l, err := presence.Announce(t.Context(), db, db.Now, "serve")
		if err != nil {
			t.Fatal(err)
		}
		_, text, code := openedBy(t, "gateways", "accept-keys", "--config", w.odd)
		if code != exitFailed || !strings.Contains(text, "the store is used by 'handoff serve' on ") {
			t.Errorf("exit %d: %s", code, text)
		}
		if err := l.End(); err != nil {
			t.Fatal(err)
		}
	})
	if !w.keys(t, aSiteKey) {
		t.Error("the keys were forgotten although a gateway runs")
	}
}

// A copy with a configuration of another site key is refused before anything is copied.
func TestACopyIsForTheSameSiteKey(t *testing.T) {
	w := newKeyedStore(t)
	to := filepath.Join(w.dir, "to.yaml")
	text := fmt.Sprintf(storeUseConfig, anotherSiteKey, "{sqlite: {path: to.db}}")
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--from-config", w.good, "--to-config", to}, {"--from-config", w.odd, "--to", filepath.Join(w.dir, "b.db")}} {
		out, errs, code := runLine("", append([]string{"store", "copy"}, args...)...)
		if code != exitFailed || !strings.Contains(errs, "would let no gateway start on the copy") {
			t.Errorf("%v: exit %d: %s%s", args, code, out, errs)
		}
	}
	if out, errs, code := runLine("", "store", "copy", "--from", w.address, "--to", filepath.Join(w.dir, "c.db")); code != 0 {
		t.Errorf("addresses alone: exit %d: %s%s", code, out, errs)
	}
}

// Who waits for a deployment that is away is told so, without the password.
func TestAStoreThatIsAwayIsWaitedForInWords(t *testing.T) {
	slowOpen = 20 * time.Millisecond
	defer func() { slowOpen = 2 * time.Second }()
	c, err := config.Parse("handoff.yaml", fmt.Appendf(nil, storeUseConfig, aSiteKey, `{mongo: {uri: "mongodb://ann:s3cr3t@127.0.0.1:1/county"}}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	log := &safeLog{}
	go func() { // who waits has been told
		for ctx.Err() == nil && !log.has("still waiting for it") {
			time.Sleep(5 * time.Millisecond)
		}
		stop()
	}()
	_, err = openStore(ctx, c, useNamed("link list"), newLogger(log, "info"))
	if err == nil || !log.has("still waiting for it") || !log.has("mongodb://127.0.0.1:1/county") || log.has("s3cr3t") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("%v\n%s", err, log)
	}
}

// reading are the methods of a store that change nothing.
var reading = strings.Fields(`Read ReadVersion History Search Count Ping Close Get Scan Gather ReadFrom Position Now Epoch`)

// elsewhere are what moving, checking and sweeping need: they open stores by themselves.
var elsewhere = []reflect.Type{reflect.TypeFor[store.Transferer](), reflect.TypeFor[store.Checker](), reflect.TypeFor[store.Sweeper]()}

func TestAReadStoreCannotBeWrittenTo(t *testing.T) {
	v := reflect.ValueOf(backend.Backend(readStore{backendtest.Open(t, backend.Options{})}))
	typ, tried := reflect.TypeFor[backend.Backend](), 0
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		ofOthers := slices.ContainsFunc(elsewhere, func(t reflect.Type) bool { _, has := t.MethodByName(m.Name); return has })
		if ofOthers || slices.Contains(reading, m.Name) {
			continue
		}
		tried++
		var in []reflect.Value
		for p := range m.Type.NumIn() {
			if m.Type.IsVariadic() && p == m.Type.NumIn()-1 {
				break
			}
			in = append(in, reflect.Zero(m.Type.In(p)))
		}
		in[0] = reflect.ValueOf(t.Context())
		out := v.MethodByName(m.Name).Call(in)
		if err, _ := out[len(out)-1].Interface().(error); !errors.Is(err, errReads) {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	if tried != 8 {
		t.Errorf("%d methods were tried", tried)
	}
}
