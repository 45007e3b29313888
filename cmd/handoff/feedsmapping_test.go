package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
)

// brokenFeeds is a gateway of five feeds, of which four have files that cannot be used:
// a mapping (by webhook, by MLLP, by folder) and a profile (by MLLP); a sixth has no
// receiver. %s are two addresses for MLLP and one for metrics.
const brokenFeeds = `server: {listen: "127.0.0.1:0"}
site: {key: 0123456789abcdef0123456789abcdef}
organizations: [{id: pd, name: Police, kind: police}, {id: clinic, name: Clinic, kind: health}]
systems:
  - {key: well, kind: feed, organization: pd, adapter: rms/csv, profile: well.profile.yaml, receive: {webhook: {secret: a secret of this test alone}}}
  - {key: hook, kind: feed, organization: pd, adapter: rms/csv, profile: our.profile.yaml, receive: {reload: 1s, webhook: {secret: a secret of this test alone}}}
  - {key: drop, kind: feed, organization: pd, adapter: rms/csv, profile: our.profile.yaml, receive: {reload: 1s, folder: {path: drop, every: 100ms}}}
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, profile: adt.profile.yaml, receive: {reload: 1s, mllp: {listen: "%s"}}}
  - {key: deaf, kind: feed, organization: clinic, adapter: ehr/hl7v2, profile: site.key, receive: {reload: 1s, mllp: {listen: "%s"}}}
  - {key: files, kind: feed, organization: pd, adapter: rms/csv, profile: our.profile.yaml}
telemetry: {listen: "%s"}
`

const (
	ourProfile = "profile: ours\nmapping: stops.map.yaml\nadapter: rms/csv\ntimezone: UTC\ndates: day-first\n"
	stopRow    = "ORI,Number,Given,Family,Born,Changed\nZZ0010900,%d,Ana,Muñoz,07/03/1979,2026-01-02T03:04:05Z\n"
	keyText    = "ba036cd6f1c24e5b9a7d00112233445566778899aabbccddeeff001122334455"
)

// A gateway starts without the feeds whose mapping cannot be used, says so everywhere
// that feeds are told of, loses nothing that it acknowledges, and runs them when their
// files are mended.
func TestAGatewayStartsWithoutFeedsThatCannotBeMapped(t *testing.T) {
	adt, deaf, metrics := freeAddress(t), freeAddress(t), freeAddress(t)
	dir := writeFiles(t, map[string]string{
		"own.csv": ownCodes, "sound.map.yaml": ownMapping, "well.profile.yaml": strings.Replace(ourProfile, "stops.map.yaml", "sound.map.yaml", 1),
		"stops.map.yaml": strings.Replace(ownMapping, "from: Family", "from: Familly", 1), "our.profile.yaml": ourProfile,
		"adt.profile.yaml": "profile: epic\nadapter: ehr/hl7v2\nmapping: adt.map.yaml\ntimezone: UTC\ncharset: windows-1252\n", "adt.map.yaml": "mapping: [\n",
		"site.key": keyText, "handoff.yaml": fmt.Sprintf(brokenFeeds, adt, deaf, metrics),
	})
	config := filepath.Join(dir, "handoff.yaml")
	if err := os.Mkdir(filepath.Join(dir, "drop"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := &brokenWorld{dir: dir, config: config, metrics: metrics}
	w.g, w.log, _ = runGateway(t, dir)
	w.tells(t)
	w.keeps(t, adt, deaf)
	w.runsOnceMended(t, deaf)
}

type brokenWorld struct {
	dir, config, metrics string
	g                    *running
	log                  *safeLog
}

// ready asks /readyz, again where the store does not answer in time, as balancers do.
func (w *brokenWorld) ready() string {
	for tries := 1; ; tries++ {
		rec := httptest.NewRecorder()
		w.g.handler.ServeHTTP(rec, httptest.NewRequest("GET", "http://127.0.0.1/readyz", nil))
		if rec.Code == http.StatusOK || tries == 10 {
			return fmt.Sprint(rec.Code, " ", rec.Body)
		}
	}
}

// tells looks for the broken feeds where feeds are told of.
func (w *brokenWorld) tells(t *testing.T) {
	t.Helper()
	if got := w.ready(); got != "200 ready\nfeeds that do not run: 4\n" {
		t.Errorf("/readyz: %s", got)
	}
	for _, f := range w.g.feeds {
		f.tell(t.Context())
	}
	list, errs, code := runLine("", "feeds", "list", "--config", w.config)
	report, _, _ := runLine("", "feeds", "report", "--config", w.config)
	scraped := scrape(t, w.metrics)
	for _, f := range []string{"hook", "drop", "adt", "deaf"} {
		if !w.log.has("feed="+f+" ") || !strings.Contains(list, f+" at gateway ") {
			t.Errorf("%s is not told of: exit %d %s\n%s\n%s", f, code, errs, list, w.log)
		}
		if want := `handoff_feed_mapping_missing{system="` + f + `"} 1`; !strings.Contains(scraped, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for _, c := range [][2]string{
		{list, "no mapping"}, {list, "stops.map.yaml:"}, {report, "no mapping can be used, so nothing is processed here:"},
		{scraped, `handoff_feed_mapping_missing{system="well"} 0`}, {scraped, `handoff_feed_receiver_up{system="deaf"} 0`},
		{w.log.String(), "THIS FEED DOES NOT RUN"}, {w.log.String(), "'handoff ingest' refuses"},
	} {
		if !strings.Contains(c[0], c[1]) {
			t.Errorf("%q is not in\n%s", c[1], c[0])
		}
	}
	if all := list + report + w.log.String() + scraped; strings.Contains(all, keyText[:8]) {
		t.Error("a key that was named as a profile is told")
	}
	if out, errs, code := runLine("", "config", "check", w.config); code != exitFailed || !strings.Contains(errs, "$.systems[1].profile: the feed cannot be mapped") {
		t.Errorf("config check: exit %d: %s%s", code, out, errs)
	}
	if _, errs, code := runLine("", "clients", "list", "--config", w.config); code != 0 {
		t.Errorf("clients list: exit %d: %s", code, errs)
	}
	if _, errs, code := runLine("x", "ingest", "--config", w.config, "--adapter", "rms/csv", "--system", "files", "-"); code != exitFailed || !strings.Contains(errs, "system files: the feed cannot be mapped") {
		t.Errorf("ingest: exit %d: %s", code, errs)
	}
}

// keeps sends to every feed: what is acknowledged is kept, and what cannot be kept is not
// acknowledged.
func (w *brokenWorld) keeps(t *testing.T, adt, deaf string) {
	t.Helper()
	for i, f := range []string{"well", "hook"} {
		put(t, w.g, f, inbox.Arrival{Source: "webhook", Body: fmt.Appendf(nil, stopRow, 1+i)})
	}
	if err := os.WriteFile(filepath.Join(w.dir, "drop", "a.csv"), fmt.Appendf(nil, stopRow, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	message := filepath.Join(w.dir, "a.hl7")
	if err := os.WriteFile(message, admission(1).Body, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "MLLP whose charset is known listens", func() bool {
		conn, err := net.Dial("tcp", adt)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if out, errs, code := runLine("", "mllp", "send", "--to", adt, message); code != 0 || !strings.Contains(out, `"application":"AA"`) {
		t.Errorf("a message for later: exit %d: %s%s", code, out, errs)
	}
	if conn, err := net.Dial("tcp", deaf); err == nil {
		_ = conn.Close()
		t.Error("a receiver listens that cannot know how to read")
	}
	eventually(t, "the sound feed goes on", func() bool { return feedOf(t, w.g, "well").box.Counts().Stored == 1 })
	for _, f := range []string{"hook", "adt"} {
		if c := feedOf(t, w.g, f).box.Counts(); c.Seq != 0 || feedOf(t, w.g, f).running().Waiting != 1 {
			t.Errorf("%s: %+v", f, c)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "drop", "a.csv")); err != nil {
		t.Errorf("the file did not stay: %v", err)
	}
}

// runsOnceMended mends the files.
func (w *brokenWorld) runsOnceMended(t *testing.T, deaf string) {
	t.Helper()
	for name, text := range map[string]string{"stops.map.yaml": ownMapping, "site.key": "profile: late\nadapter: ehr/hl7v2\ntimezone: UTC\n",
		"adt.profile.yaml": "profile: epic\nadapter: ehr/hl7v2\ntimezone: UTC\ncharset: windows-1252\n"} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"hook", "adt"} {
		eventually(t, f+" is processed", func() bool { return feedOf(t, w.g, f).box.Counts().Stored == 1 })
	}
	eventually(t, "the file is read", func() bool {
		_, err := os.Stat(filepath.Join(w.dir, "drop", "a.csv"))
		return err != nil
	})
	message := filepath.Join(w.dir, "b.hl7")
	if err := os.WriteFile(message, bytes.ReplaceAll(admission(2).Body, []byte("E2"), []byte("F2")), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the receiver listens", func() bool {
		out, _, code := runLine("", "mllp", "send", "--to", deaf, message)
		return code == 0 && strings.Contains(out, `"application":"AA"`)
	})
	eventually(t, "and its message is stored", func() bool { return feedOf(t, w.g, "deaf").box.Counts().Stored == 1 })
	if got := w.ready(); got != "200 ready\n" {
		t.Errorf("/readyz: %s", got)
	}
	if text := scrape(t, w.metrics); strings.Contains(text, "mapping_missing{system=\"hook\"} 1") || !strings.Contains(text, `handoff_feed_receiver_up{system="deaf"} 1`) {
		t.Error("metrics still say that feeds do not run")
	}
}

// Of two gateways one has a broken mapping: the other processes what both take.
func TestAFeedIsProcessedByTheGatewayThatCanMapIt(t *testing.T) {
	shared, address := t.TempDir(), backendtest.Address(t)
	place := fmt.Sprintf("{sqlite: {path: %q}}", address)
	if backend.IsMongo(address) {
		place = fmt.Sprintf("{mongo: {uri: %q}}", address)
	}
	gateway := func(mapping string) *running {
		dir := t.TempDir()
		for name, text := range map[string]string{"own.csv": ownCodes, "our.profile.yaml": ourProfile, "stops.map.yaml": mapping,
			"handoff.yaml": fmt.Sprintf(`server: {listen: "127.0.0.1:0"}
site: {key: 0123456789abcdef0123456789abcdef}
issuer: {keyFile: %[1]s/issuer.jwk, signingKeyFile: %[1]s/id.jwk}
organizations: [{id: pd, name: Police, kind: police}]
systems: [{key: hook, kind: feed, organization: pd, adapter: rms/csv, profile: our.profile.yaml, receive: {webhook: {secret: a secret of this test alone}}}]
store: %[2]s
`, shared, place)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g, _, _ := runGateway(t, dir)
		return g
	}
	broken := gateway("mapping: [\n")
	put(t, broken, "hook", inbox.Arrival{Source: "webhook", Body: fmt.Appendf(nil, stopRow, 1)})
	time.Sleep(300 * time.Millisecond)
	if err := feedOf(t, broken, "hook").lease.Check(); err == nil {
		t.Error("it holds the lease of a feed that it cannot process")
	}
	sound := gateway(ownMapping)
	put(t, broken, "hook", inbox.Arrival{Source: "webhook", Body: fmt.Appendf(nil, stopRow, 2)})
	eventually(t, "both messages are stored", func() bool { return feedOf(t, sound, "hook").box.Counts().Stored == 2 })
	for _, g := range []*running{broken, sound} {
		feedOf(t, g, "hook").tell(t.Context())
	}
	out, errs, code := runLine("", "feeds", "list", "--config", filepath.Join(sound.config.Path("."), "handoff.yaml"))
	if code != 0 || !strings.Contains(out, "running") || strings.Count(out, "DOES NOT RUN") != 1 {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
