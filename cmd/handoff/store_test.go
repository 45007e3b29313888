package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/fhir/store/transfer"
)

// manyPatients is how many Patients stand in a store that is copied: several pieces.
const manyPatients = 3000

// sourceStore makes a store with Patients, a fact and a stream, closed.
func sourceStore(t *testing.T, patients int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.db")
	withStore(t, path, func(db backend.Backend) {
		for from := 0; from < patients; from += 500 {
			var ws []store.Write
			for i := from; i < min(from+500, patients); i++ {
				ws = append(ws, patientWrite(t, fmt.Sprintf("p%04d", i)))
			}
			if _, err := db.Apply(t.Context(), ws); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.PutIfAbsent(t.Context(), "k", []byte("v"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Append(t.Context(), "raw", []byte("one"), []byte("two")); err != nil {
			t.Fatal(err)
		}
	})
	return path
}

func patientWrite(t *testing.T, id string) store.Write {
	t.Helper()
	raw := fmt.Appendf(nil, `{"resourceType":"Patient","id":%q,"name":[{"family":"Smith","given":["Ann"]}],"birthDate":"1980-05-17"}`, id)
	r, err := resource.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: id}, Raw: raw, Index: search.Index(r)}, Expect: store.AnyVersion}
}

func withStore(t *testing.T, address string, do func(backend.Backend)) {
	t.Helper()
	db, err := backend.Open(t.Context(), address, backend.Options{SweepEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	do(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

const copyChild = "HANDOFF_STORE_COPY_CHILD"

// TestStoreCopyChild is a copy in a process of its own, for another test to kill. Behind
// each piece it says so and stands still until it is told to go on: it cannot end
// before it is killed, however busy the machine is.
func TestStoreCopyChild(t *testing.T) {
	args := os.Getenv(copyChild)
	if args == "" {
		t.Skip("started by TestStoreCopyGoesOnAfterAKill")
	}
	source, target, _ := strings.Cut(args, "\n")
	withStore(t, source, func(from backend.Backend) {
		withStore(t, target, func(to backend.Backend) {
			_, err := transfer.Run(t.Context(), transfer.Side{Store: from, Name: "source"}, transfer.Side{Store: to, Name: "target"}, transfer.Options{Progress: func(transfer.Progress) {
				fmt.Println(pieceWritten)
				if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
					os.Exit(1) // whoever waits for it is gone
				}
			}})
			t.Log("it ended:", err)
		})
	})
}

const pieceWritten = "a piece is written"

func TestStoreCopyGoesOnAfterAKill(t *testing.T) {
	t.Run("to an embedded store", func(t *testing.T) { copiesThroughKills(t, filepath.Join(t.TempDir(), "copy.db")) })
	t.Run("to MongoDB", func(t *testing.T) { copiesThroughKills(t, backendtest.MongoAddress(t)) })
}

// copiesThroughKills kills a copy each time it has come a little further, somewhere in
// the next piece.
func copiesThroughKills(t *testing.T, to string) {
	from := sourceStore(t, manyPatients)
	kills, last := 0, ""
	for ; kills < 2; kills++ {
		cmd := exec.Command(os.Args[0], "-test.run=^TestStoreCopyChild$", "-test.v") //nolint:gosec // this test
		cmd.Env = append(os.Environ(), copyChild+"="+from+"\n"+to)
		told, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		goOn, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last = further(t, to, last, told, goOn)
		time.Sleep(rand.N(5 * time.Millisecond))
		_ = cmd.Process.Kill() // SIGKILL
		_ = cmd.Wait()
		if last == "" {
			t.Fatalf("it ended before kill %d", kills+1)
		}
	}
	config := writeFiles(t, map[string]string{"handoff.yaml": rejectsConfig})
	if out, _, code := runLine("", "store", "copy", "--from", to, "--to", filepath.Join(config, "x.db")); code != exitFailed {
		t.Errorf("an unfinished copy is copied on: exit %d, %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(config, "x.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a copy that was refused leaves a store: %v", err)
	}
	out, errs, code := runLine("", "store", "copy", "--from", from, "--to", to, "--json")
	var r copyReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit %d: %v\n%s%s", code, err, out, errs)
	}
	if !r.Same || !r.Resumed || r.Copied.Resources == 0 || r.Copied.Resources > manyPatients-500 || r.Comparison.Destination["resources"].Count != manyPatients {
		t.Errorf("after %d kills, the last at %s: %s", kills, last, out)
	}
}

// further lets the copy to an address go on until it has come beyond a Patient, and once
// more; it returns which one was the last there; "" if the copy has ended first.
func further(t *testing.T, to, last string, told io.Reader, goOn io.Writer) (place string) {
	t.Helper()
	lines := bufio.NewScanner(told)
	for place == "" && lines.Scan() {
		if lines.Text() != pieceWritten {
			t.Log(lines.Text())
			continue
		}
		db, err := backend.Open(t.Context(), to, backend.Options{SweepEvery: -1, AsIs: true})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := db.Keys(t.Context(), store.Key{Type: "Patient", ID: last}, manyPatients)
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if len(keys) > 0 {
			place = keys[len(keys)-1].ID
		}
		if _, err := goOn.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	return place
}

func TestStoreCopyIsRefused(t *testing.T) {
	from := sourceStore(t, 10)
	other := sourceStore(t, 1)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("text", 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no source", []string{"--to", "x.db"}, exitUsage, "--from or --from-config is missing"},
		{"two sources", []string{"--from", from, "--from-config", "x.yaml", "--to", "x.db"}, exitUsage, "exclude each other"},
		{"no destination", []string{"--from", from}, exitUsage, "--to or --to-config is missing"},
		{"an unknown kind", []string{"--from", from, "--to", "mysql://db/x"}, exitUsage, "no kind of store"},
		{"a variable that is not set", []string{"--from", from, "--to", "mongodb://u:${env:HANDOFF_NO_SUCH}@db/x"}, exitUsage, "HANDOFF_NO_SUCH is not set"},
		{"an argument too many", []string{"--from", from, "--to", "x.db", "y.db"}, exitUsage, "takes no argument"},
		{"a source that is not there", []string{"--from", filepath.Join(dir, "none.db"), "--to", filepath.Join(dir, "x.db")}, exitFailed, "none.db"},
		{"a source that is no store", []string{"--from", filepath.Join(dir, "text.db"), "--to", filepath.Join(dir, "x.db")}, exitFailed, "not an SQLite database"},
		{"a destination of something else", []string{"--from", from, "--to", other}, exitFailed, "it holds resources"},
		{"source and destination are one", []string{"--from", from, "--to", "sqlite:" + from}, exitFailed, "are one store"},
		{"nothing to compare with", []string{"--from", from, "--to", filepath.Join(dir, "nothing.db"), "--verify-only"}, exitFailed, "nothing.db"},
		{"ahead and compared", []string{"--from", from, "--to", "x.db", "--live", "--verify-only"}, exitUsage, "exclude each other"},
		{"another comparison", []string{"--from", from, "--to", "x.db", "--verify", "half"}, exitUsage, "it may be full or ahead"},
		{"a comparison alone, ahead", []string{"--from", from, "--to", "x.db", "--verify-only", "--verify", "ahead"}, exitUsage, "exclude each other"},
		{"no configuration", []string{"--from-config", filepath.Join(dir, "none.yaml"), "--to", "x.db"}, exitFailed, "none.yaml"},
		{"a server that is not there", []string{"--from", from, "--to", "mongodb://u:secretword@127.0.0.1:1/x?serverSelectionTimeoutMS=300"}, exitFailed, "127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := runLine("", append([]string{"store", "copy"}, tt.args...)...)
			if code != tt.code || !strings.Contains(errs, tt.says) || out != "" {
				t.Errorf("exit %d, %q, %q; want %d, %q", code, out, errs, tt.code, tt.says)
			}
			if strings.Contains(errs, "secretword") {
				t.Errorf("it shows the password: %s", errs)
			}
		})
	}
	if _, err := os.Stat("x.db"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a refused command made a store")
	}
}

func TestStoreCopyToAConfiguredStore(t *testing.T) {
	from := sourceStore(t, 10)
	dir := writeFiles(t, map[string]string{"handoff.yaml": rejectsConfig})
	config := filepath.Join(dir, "handoff.yaml")
	for round, says := range []string{"copied 10 resources in 10 versions, 1 facts, 2 entries of 1 streams", "copied 0 resources"} {
		out, errs, code := runLine("", "store", "copy", "--from", from, "--to-config", config)
		if code != 0 || !strings.Contains(out, says) || !strings.Contains(out, "both hold the same") || errs != "" {
			t.Fatalf("round %d: exit %d\n%s%s", round, code, out, errs)
		}
	}
	// A gateway starts on the copy; then it is in use, and others are told so.
	_, _, stop := runGateway(t, dir)
	back := filepath.Join(dir, "back.db")
	_, errs, code := runLine("", "store", "copy", "--from", "config:"+config, "--to", back)
	if code != exitFailed || !strings.Contains(errs, "in use by 'handoff serve'") {
		t.Errorf("exit %d: %s", code, errs)
	}
	stop()
	if out, errs, code := runLine("", "store", "copy", "--from", "config:"+config, "--to", back); code != 0 {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	// The gateway has written; the first source lacks it.
	out, errs, code := runLine("", "store", "copy", "--from", from, "--to", "config:"+config, "--verify-only")
	if code != exitFailed || !strings.Contains(out, "NOT THE SAME") || !strings.Contains(out, "only in the destination") || !strings.Contains(errs, "do not hold the same") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// A store is copied ahead while a gateway serves from it, and finished when that has
// been stopped.
func TestStoreCopyAhead(t *testing.T) {
	t.Run("to an embedded store", func(t *testing.T) { copiesAhead(t, filepath.Join(t.TempDir(), "copy.db")) })
	t.Run("to MongoDB", func(t *testing.T) { copiesAhead(t, backendtest.MongoAddress(t)) })
}

func copiesAhead(t *testing.T, to string) {
	dir := writeFiles(t, map[string]string{"handoff.yaml": rejectsConfig})
	config := filepath.Join(dir, "handoff.yaml")
	c, err := loadConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := c.StoreAddress()
	write := func(n int) {
		withStore(t, address, func(db backend.Backend) {
			for i := range n {
				if _, err := db.Write(t.Context(), patientWrite(t, fmt.Sprintf("p%04d", i))); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	write(50)
	copied := func(args ...string) copyReport {
		t.Helper()
		out, errs, code := runLine("", append([]string{"store", "copy", "--from-config", config, "--to", to, "--json"}, args...)...)
		var r copyReport
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || errs != "" {
			t.Fatalf("exit %d: %v\n%s%s", code, err, out, errs)
		}
		return r
	}
	_, _, stop := runGateway(t, dir)
	if r := copied("--live", "--verify", "ahead"); r.Copied.Resources < 50 || r.Same || !r.Live || r.Comparison != nil || r.VerifiedAhead < 50 {
		t.Errorf("the first: %+v", r)
	}
	write(3)
	out, errs, code := runLine("", "store", "copy", "--from-config", config, "--to", to, "--live")
	if code != 0 || errs != "" || !strings.Contains(out, "copied 3 resources in 3 versions") || !strings.Contains(out, "NO FINISHED COPY") {
		t.Errorf("the second: exit %d\n%s%s", code, out, errs)
	}
	if _, errs, code := runLine("", "store", "check", "--store", to); code != exitFailed || !strings.Contains(errs, "copied while the source was in use") {
		t.Errorf("it can be used: exit %d: %s", code, errs)
	}
	if _, errs, code := runLine("", "store", "copy", "--from-config", config, "--to", to); code != exitFailed || !strings.Contains(errs, "in use by 'handoff serve'") {
		t.Errorf("it is finished while the source is in use: exit %d: %s", code, errs)
	}
	stop()
	write(2)
	if r := copied("--verify", "ahead"); r.Copied.Versions < 2 || r.Copied.Resources > 40 || !r.Same || r.Live || r.VerifiedAhead < 40 || r.VerifiedAhead >= r.Comparison.Source["resources"].Count {
		t.Errorf("the last: %+v", r)
	}
	if _, errs, code := runLine("", "store", "copy", "--from-config", config, "--to", to, "--live"); code != exitFailed || !strings.Contains(errs, "a finished copy already") {
		t.Errorf("a finished copy is copied to: exit %d: %s", code, errs)
	}
}

func TestNoGatewayStartsOnAnUnfinishedCopy(t *testing.T) {
	dir := writeFiles(t, map[string]string{"handoff.yaml": rejectsConfig})
	c, err := loadConfig(filepath.Join(dir, "handoff.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	address, _ := c.StoreAddress()
	withStore(t, address, func(db backend.Backend) {
		if _, err := db.PutIfAbsent(t.Context(), "store-copy", []byte(`{"source":"7","address":"old.db","step":"facts"}`), time.Time{}); err != nil {
			t.Fatal(err)
		}
	})
	for _, args := range [][]string{{"serve"}, {"ingest", "--adapter", "rms/csv", "x.csv"}, {"link", "list"}, {"store", "check"}} {
		_, errs, code := runLine("", append(args, "--config", filepath.Join(dir, "handoff.yaml"))...)
		if code != exitFailed || !strings.Contains(errs, "an unfinished copy of old.db") {
			t.Errorf("%s: exit %d: %s", args[0], code, errs)
		}
	}
}

func TestStoreCheck(t *testing.T) {
	for name, address := range map[string]func(*testing.T) string{
		"embedded": func(t *testing.T) string { return filepath.Join(t.TempDir(), "handoff.db") },
		"MongoDB":  func(t *testing.T) string { return backendtest.MongoAddress(t) },
	} {
		t.Run(name, func(t *testing.T) { checksAndMends(t, address(t)) })
	}
}

func checksAndMends(t *testing.T, address string) {
	withStore(t, address, func(db backend.Backend) {
		drifted, own := patientWrite(t, "drifted"), patientWrite(t, "own")
		drifted.Index = []string{"family|jones"}
		own.Index = append(own.Index, "gateway-case|7") // no content says it
		unreadable := store.Write{Record: store.Record{Key: store.Key{Type: "Patient", ID: "unreadable"}, Raw: []byte("{")}}
		for _, w := range []store.Write{drifted, own, unreadable, patientWrite(t, "whole")} {
			if _, err := db.Write(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
	})
	check := func(args ...string) (string, int) {
		t.Helper()
		out, errs, code := runLine("", append([]string{"store", "check", "--store", address, "--young", "0"}, args...)...)
		if errs != "" {
			t.Errorf("stderr: %s", errs)
		}
		return out, code
	}
	out, code := check()
	if code != exitFailed || !strings.Contains(out, "index-drift: Patient/drifted: ") || !strings.Contains(out, "index-drift: Patient/unreadable: its content cannot be read") ||
		!strings.Contains(out, ": 2 findings, 0 mended, 2 left\n") || strings.Contains(out, "jones") {
		t.Errorf("exit %d\n%s", code, out)
	}
	out, code = check("--repair", "--json")
	want := []string{`"what":"Patient/drifted"`, `"mended":true`, `"mended":1,"left":1`}
	for _, w := range want {
		if !strings.Contains(out, w) || code != exitFailed {
			t.Errorf("exit %d, no %s\n%s", code, w, out)
		}
	}
	withStore(t, address, func(db backend.Backend) {
		plan := store.Plan{Type: "Patient", Where: store.Expr{Op: store.Equal, Param: "family", Value: "smith"}, Limit: 10}
		if page, err := db.Search(t.Context(), plan); err != nil || len(page.Records) != 3 {
			t.Errorf("%d found, %v", len(page.Records), err)
		}
		if rec, err := db.Read(t.Context(), store.Key{Type: "Patient", ID: "own"}); err != nil || !strings.Contains(strings.Join(rec.Index, " "), "gateway-case|7") {
			t.Errorf("the gateway's own entry: %v, %v", rec, err)
		}
		if err := db.Expunge(t.Context(), store.Key{Type: "Patient", ID: "unreadable"}); err != nil {
			t.Fatal(err)
		}
	})
	if out, code = check(); code != 0 || !strings.HasSuffix(out, ": ok\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestStoreCheckIsRefused(t *testing.T) {
	for says, args := range map[string][]string{
		"--store or --config is missing": {},
		"exclude each other":             {"--store", "x.db", "--config", "x.yaml"},
		"must not be negative":           {"--store", "x.db", "--young", "-1s"},
	} {
		if _, errs, code := runLine("", append([]string{"store", "check"}, args...)...); code != exitUsage || !strings.Contains(errs, says) {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
	if _, errs, code := runLine("", "store", "check", "--store", filepath.Join(t.TempDir(), "none.db")); code != exitFailed || !strings.Contains(errs, "none.db") {
		t.Errorf("exit %d, %s", code, errs)
	}
}
