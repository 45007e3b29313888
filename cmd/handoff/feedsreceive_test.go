package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/rms/webhook"
	"github.com/handoff-health/handoff/fhir/store"
)

const receivingConfig = `server: {listen: "%s"}
site: {key: 0123456789abcdef0123456789abcdef}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: pd, name: Police, kind: police}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, receive: {mllp: {listen: "%s"}}}
  - {key: hook, kind: feed, organization: pd, adapter: rms/csv, receive: {webhook: {secret: a secret of this test alone}}}
  - {key: drop, kind: feed, organization: pd, adapter: rms/csv, receive: {folder: {path: drop, every: 100ms}}}
`

// receivingGateway runs a gateway with one feed of each way in.
func receivingGateway(t *testing.T) (dir, http, mllp string, g *running) {
	t.Helper()
	dir = t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	http, mllp = l.Addr().String(), freeAddress(t)
	path := filepath.Join(dir, "handoff.yaml")
	writeConfig(t, path, fmt.Sprintf(receivingConfig, http, mllp))
	if err := os.Mkdir(filepath.Join(dir, "drop"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(context.Background())
	if g, err = assemble(ctx, c, log); err != nil {
		t.Fatal(err)
	}
	end := g.runFeeds(ctx)
	served := make(chan error, 1)
	go func() { served <- serveOn(ctx, l, c, g.handler, log) }()
	t.Cleanup(func() {
		stop()
		<-served
		end()
		_ = g.Close()
	})
	return dir, http, mllp, g
}

func stored(t *testing.T, g *running, typ string) int {
	t.Helper()
	page, err := g.store.Search(t.Context(), store.Plan{Type: typ, Where: store.Expr{Op: store.All}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Records)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1200 { // a minute
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("it never happened: %s", what)
}

func TestRecordsComeInByEveryWay(t *testing.T) {
	dir, address, mllp, g := receivingGateway(t)
	msg := filepath.Join(dir, "adt.hl7")
	pid := "EVN|A01|20260301120000\rPID|1||M1^^^MERCY^MR||DOE^JOHN||19800101|M\rPV1|1|E|||||||||||||||||V1^^^MERCY^VN\r"
	text := "MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A01^ADT_A01|E1|P|2.5.1|||AL|AL\r" + pid +
		"MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A01^ADT_A01|E2|P|2.5.1|||AL|ER\rEVN|A01|20260301120000\rPV1|1|E\r" +
		"MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A01^ADT_A01|E3|P|2.5.1\r" + pid
	if err := os.WriteFile(msg, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time they are duplicates, and are told the same
		var out bytes.Buffer
		root := newRootCommand()
		root.SetArgs([]string{"mllp", "send", "--to", mllp, msg})
		root.SetOut(&out)
		if code := run(t.Context(), root, &out); code != exitRejected {
			t.Fatalf("exit %d\n%s", code, out.String())
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			var l sentLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			got = append(got, fmt.Sprintf("%s %s/%s", l.ControlID, l.Commit, l.Application))
		}
		if strings.Join(got, ", ") != "E1 CA/AA, E2 CA/AR, E3 /AA" {
			t.Errorf("told %q", got)
		}
	}
	eventually(t, "a Patient by MLLP", func() bool { return stored(t, g, "Patient") == 1 })

	scheme := webhook.Scheme{Secrets: [][]byte{[]byte("a secret of this test alone")}}
	if err := scheme.Check(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{http.StatusAccepted, http.StatusOK, http.StatusUnauthorized} {
		body := []byte(`{"event_id":"evt_1"}`)
		r, err := http.NewRequest(http.MethodPost, "http://"+address+"/adapters/hook", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if i < 2 {
			scheme.Sign(r.Header, body, time.Now())
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("event, time %d: %d, want %d", i+1, resp.StatusCode, want)
		}
	}

	raw, err := os.ReadFile("../../adapters/rms/csv/testdata/good.csv")
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(dir, "drop", "export.csv.part")
	if err := os.WriteFile(part, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, strings.TrimSuffix(part, ".part")); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(dir, "drop", "archive", "export.csv.report.json")
	eventually(t, "the report of a dropped file", func() bool { _, err := os.Stat(report); return err == nil })
	eventually(t, "a Patient by the folder", func() bool { return stored(t, g, "Patient") > 1 })
}
