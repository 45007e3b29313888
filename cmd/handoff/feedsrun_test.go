package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/inbox"
	"github.com/handoff-health/handoff/conformance/loopback"
	"github.com/handoff-health/handoff/gateway/audit"
	"github.com/handoff-health/handoff/gateway/auth"
	"github.com/handoff-health/handoff/gateway/policy"
	"github.com/handoff-health/handoff/gateway/smart"
)

// A safeLog is a log that may be read while it is written.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

// runGateway runs a gateway over handoff.yaml in dir. stop ends it; it may be
// run again over the same store.
func runGateway(t *testing.T, dir string) (g *running, log *safeLog, stop func()) {
	t.Helper()
	c, err := loadConfig(filepath.Join(dir, "handoff.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	log = &safeLog{}
	ctx, cancel := context.WithCancel(context.Background())
	if g, err = assemble(ctx, c, slog.New(slog.NewTextHandler(log, nil))); err != nil {
		t.Fatal(err)
	}
	end := g.runFeeds(ctx)
	endMetrics, err := g.serveMetrics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		end()
		endMetrics()
		_ = g.Close()
	})
	t.Cleanup(stop)
	return g, log, stop
}

func freeAddress(t *testing.T) string {
	t.Helper()
	a, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// clinicConfig has one feed of HL7 v2 and one of CSV, with more at its end.
func clinicConfig(more string) string {
	return `server: {listen: "127.0.0.1:0"}
site: {key: 0123456789abcdef0123456789abcdef}
organizations:
  - {id: hie, name: Exchange, kind: exchange}
  - {id: clinic, name: Clinic, kind: health, networks: [hie]}
  - {id: pd, name: Police, kind: police}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, receive: {mllp: {listen: "localhost:0"}}}
  - {key: hook, kind: feed, organization: pd, adapter: rms/csv, receive: {webhook: {secret: a secret of this test alone}}}
` + more
}

func admission(n int) inbox.Arrival {
	return inbox.Arrival{Source: "mllp test", Key: fmt.Sprint("E", n), Body: fmt.Appendf(nil, "MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A28|E%d|P|2.5.1\rEVN|A28|20260301120000\rPID|1||M%d^^^MERCY^MR||SECRETSON^ANA%d||198006%02d|F\r", n, n, n, 1+n%28)}
}

func put(t *testing.T, g *running, system string, a inbox.Arrival) {
	t.Helper()
	if _, err := feedOf(t, g, system).box.Receive(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func feedOf(t *testing.T, g *running, system string) *liveFeed {
	t.Helper()
	for _, f := range g.feeds {
		if f.system.Key == system {
			return f
		}
	}
	t.Fatalf("no feed %s", system)
	return nil
}

// A ticket is a verifier that knows one token for each organisation.
type ticket struct{}

func (ticket) Verify(_ context.Context, bearer string) (*auth.Principal, error) {
	org, scope, _ := strings.Cut(bearer, ".")
	p := &auth.Principal{TokenID: "t", Client: "c", Requester: policy.Requester{Organization: "Organization/" + org}}
	if scope == "report" {
		p.Operations = []string{smart.ScopeFeedReport}
	}
	return p, nil
}

func (ticket) Request(*auth.Principal) (time.Duration, bool) { return 0, true }

type keptEvents struct {
	mu     sync.Mutex
	events []audit.Event
}

func (k *keptEvents) Record(_ context.Context, e *audit.Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, *e)
	return nil
}

func TestTheReportOfAFeedIsForWhoLooksAfterIt(t *testing.T) {
	dir := writeFiles(t, map[string]string{"handoff.yaml": clinicConfig("")})
	g, _, _ := runGateway(t, dir)
	put(t, g, "adt", admission(1))
	put(t, g, "adt", inbox.Arrival{Source: "mllp test", Key: "bad", Body: []byte("MSH|^~\\&|EPIC|MERCY|||20260301120000||ADT^A28|B1|P|2.5.1\rPID|1||||SECRETSON^EVA\r")})
	f := feedOf(t, g, "adt")
	eventually(t, "two messages are settled", func() bool { return f.box.Counts().Seq == 2 })
	trail := &keptEvents{}
	h := &feedReports{now: time.Now, config: g.config, facts: g.store, verifier: ticket{}, limits: ticket{}, trail: trail, log: slog.New(slog.DiscardHandler),
		pin: func(ctx context.Context) (context.Context, error) { return ctx, nil }}
	for _, c := range []struct {
		name, method, path, bearer string
		want                       int
	}{
		{"the custodian", "GET", "/adapters/adt/report", "clinic.report", 200},
		{"its exchange", "GET", "/adapters/adt/report", "hie.report", 200},
		{"without the scope", "GET", "/adapters/adt/report", "clinic.", 403},
		{"another organisation", "GET", "/adapters/adt/report", "pd.report", 404},
		{"an exchange without the custodian", "GET", "/adapters/hook/report", "hie.report", 404},
		{"nobody's organisation", "GET", "/adapters/adt/report", ".report", 404},
		{"no such feed", "GET", "/adapters/nothing/report", "clinic.report", 404},
		{"a path", "GET", "/adapters/x/../adt/report", "clinic.report", 404},
		{"no token", "GET", "/adapters/adt/report", "", 401},
		{"another method", "POST", "/adapters/adt/report", "clinic.report", 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "http://gw.test"+c.path, nil)
			r.URL.Path = c.path
			if c.bearer != "" {
				r.Header.Set("Authorization", "Bearer "+c.bearer)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != c.want || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("%d, want %d: %s", w.Code, c.want, body)
			}
			if strings.Contains(body, "SECRETSON") {
				t.Errorf("a name is told: %s", body)
			}
			if e := trail.events[len(trail.events)-1]; e.Status != c.want || e.Interaction != "feed-report" || e.Path != c.path {
				t.Errorf("the trail has %+v", e)
			}
			if c.want != 200 {
				if strings.Contains(body, "stored") || strings.Contains(body, "ehr/hl7v2") || c.want == 404 && body != `{"error":"not_found","error_description":"there is no such feed"}` {
					t.Errorf("something is told: %s", body)
				}
				return
			}
			var got inbox.Report
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if m := got.Messages; got.System != "adt" || m.Stored != 1 || m.Rejected != 1 || len(m.RejectedBy) != 1 {
				t.Errorf("report %s", body)
			}
		})
	}
	// The gateway's own handler has the path, and asks for a token.
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/adapters/adt/report", nil))
	if w.Code != 401 || strings.Contains(w.Body.String(), "stored") {
		t.Errorf("without a token: %d %s", w.Code, w.Body)
	}
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode, err)
	}
	return string(raw)
}

func TestMetricsCountAndTellNothingOfRecords(t *testing.T) {
	address := freeAddress(t)
	dir := writeFiles(t, map[string]string{"handoff.yaml": clinicConfig("telemetry: {listen: \"" + address + "\"}\n")})
	g, _, stop := runGateway(t, dir)
	eventually(t, "the gateway processes the feed and tells of it", func() bool {
		return strings.Contains(scrape(t, address), `handoff_feed_messages_total{state="stored",system="adt"} 0`)
	})
	put(t, g, "adt", admission(1))
	put(t, g, "adt", admission(1))
	odd := admission(2)
	odd.Body = bytes.Replace(odd.Body, []byte("|F\r"), []byte("|QUEER^VALUE\r"), 1)
	put(t, g, "adt", odd)
	put(t, g, "adt", inbox.Arrival{Source: "mllp test", Key: "SECRETSON", Body: []byte("SECRETSON\r")})
	f := feedOf(t, g, "adt")
	eventually(t, "three messages are settled", func() bool { return f.box.Counts().Seq == 3 })
	text := scrape(t, address)
	for _, want := range []string{`handoff_feed_messages_total{state="stored",system="adt"} 2`, `handoff_feed_messages_total{state="rejected",system="adt"} 1`,
		`handoff_feed_rejected_messages_total{code="no-header",system="adt"} 1`, `handoff_feed_repeated_messages_total{kind="duplicate",system="adt"} 1`,
		`handoff_feed_records_total{outcome="created",system="adt"} 2`, `handoff_feed_waiting_messages{system="adt"} 0`, `handoff_feed_mapping_failed{system="adt"} 0`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("it lacks %s", want)
		}
	}
	for _, hidden := range []string{"SECRETSON", "QUEER", "VALUE", "M1"} {
		if strings.Contains(text, hidden) {
			t.Errorf("a value is told: %s", hidden)
		}
	}
	known := map[string]bool{"system": true, "state": true, "code": true, "kind": true, "outcome": true, "event": true}
	for _, m := range regexp.MustCompile(`(?m)^handoff_\w+\{(.*)\}`).FindAllStringSubmatch(text, -1) {
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[1], -1) {
			if !known[l[1]] {
				t.Errorf("a label %s: %s", l[1], m[0])
			}
		}
	}
	if strings.Contains(scrapePath(t, address, "/"), "handoff_") {
		t.Error("the listener answers at other paths too")
	}
	stop()
	if _, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		t.Error("the listener is still there")
	}
}

func scrapePath(t *testing.T, address, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	return string(raw)
}

func TestMetricsAreOffByDefault(t *testing.T) {
	dir := writeFiles(t, map[string]string{"handoff.yaml": clinicConfig("")})
	g, log, _ := runGateway(t, dir)
	if g.config.Telemetry.Listen != "" || log.has("metrics listen") {
		t.Error("metrics are on")
	}
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
	if w.Code == 200 || strings.Contains(w.Body.String(), "handoff_") {
		t.Errorf("the gateway itself answers: %d", w.Code)
	}
}

func TestAPauseHoldsOverARestart(t *testing.T) {
	dir := writeFiles(t, map[string]string{"handoff.yaml": clinicConfig("")})
	config := filepath.Join(dir, "handoff.yaml")
	g, _, stop := runGateway(t, dir)
	put(t, g, "adt", admission(1))
	eventually(t, "one is stored", func() bool { return feedOf(t, g, "adt").box.Counts().Stored == 1 })
	if out, errs, code := runLine("", "feeds", "pause", "--config", config, "--system", "adt", "--reason", "new mapping", "--by", "ann"); code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	eventually(t, "the feed is paused", func() bool { return feedOf(t, g, "adt").paused.Load() })
	time.Sleep(250 * time.Millisecond) // a source that waits for a message takes one more look
	put(t, g, "adt", admission(2))
	put(t, g, "hook", inbox.Arrival{Source: "webhook", Key: "x", Body: []byte("{}")})
	eventually(t, "another feed goes on", func() bool { return feedOf(t, g, "hook").box.Counts().Seq == 1 })
	stop()

	g, _, stop = runGateway(t, dir)
	if !feedOf(t, g, "adt").paused.Load() {
		t.Fatal("it is not paused after a restart")
	}
	put(t, g, "adt", admission(3))
	out, _, _ := runLine("", "feeds", "report", "--config", config, "--system", "adt")
	if !strings.Contains(out, "paused by ann") || !strings.Contains(out, "new mapping") {
		t.Errorf("the report does not say it:\n%s", out)
	}
	time.Sleep(300 * time.Millisecond)
	if c := feedOf(t, g, "adt").box.Counts(); c.Stored > 2 {
		t.Errorf("a paused feed has processed: %+v", c)
	}
	if _, errs, code := runLine("", "feeds", "resume", "--config", config, "--system", "adt"); code != 0 {
		t.Fatal(errs)
	}
	eventually(t, "all are stored", func() bool { return feedOf(t, g, "adt").box.Counts().Stored == 3 })
	stop()
	if out, _, _ := runLine("", "feeds", "report", "--config", config, "--system", "adt"); strings.Contains(out, "paused") {
		t.Errorf("it is still told as paused:\n%s", out)
	}
}

func TestChangedMappingsAreTakenAndBrokenOnesAreTold(t *testing.T) {
	address := freeAddress(t)
	dir := writeFiles(t, map[string]string{
		"stops.map.yaml": ownMapping, "own.csv": ownCodes,
		"our.profile.yaml": "profile: ours\nmapping: stops.map.yaml\nadapter: rms/csv\ntimezone: UTC\ndates: day-first\n",
		"handoff.yaml": `server: {listen: "127.0.0.1:0"}
site: {key: 0123456789abcdef0123456789abcdef}
organizations: [{id: pd, name: Police, kind: police}]
systems:
  - {key: stops, kind: feed, organization: pd, adapter: rms/csv, profile: our.profile.yaml, receive: {reload: 1s, webhook: {secret: a secret of this test alone}}}
telemetry: {listen: "` + address + `"}
`})
	g, log, _ := runGateway(t, dir)
	f := feedOf(t, g, "stops")
	n := uint64(0)
	send := func(header string) {
		t.Helper()
		n++
		put(t, g, "stops", inbox.Arrival{Source: "webhook", Body: fmt.Appendf(nil, "%s\nZZ0010900,%d,Ana,Muñoz,07/03/1979,2026-01-02T03:04:05Z\n", header, n)})
		eventually(t, "the message is settled", func() bool { return f.box.Counts().Seq == n })
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const header = "ORI,Number,Given,Family,Born,Changed"
	version := func(want, fault string) {
		t.Helper()
		eventually(t, "mapping "+want+" "+fault, func() bool {
			m := f.running().Mapping
			return m.Version == want && (fault == "") == (m.Error == "") && strings.Contains(m.Error, fault)
		})
	}
	send(header)
	version("0.1.0", "")

	write("stops.map.yaml", strings.Replace(ownMapping, "from: Family", "from: Familly", 1))
	version("0.1.0", "stops.map.yaml:")
	eventually(t, "the log says that the mapping is broken", func() bool { return log.has("cannot be used") })
	if !strings.Contains(scrape(t, address), `handoff_feed_mapping_failed{system="stops"} 1`) {
		t.Error("metrics do not say that the mapping is broken")
	}
	f.tell(t.Context())
	if out, errs, _ := runLine("", "feeds", "report", "--config", filepath.Join(dir, "handoff.yaml"), "--system", "stops"); !strings.Contains(out, "a changed mapping is not used:") || !strings.Contains(out, "Familly") {
		t.Errorf("the report does not say it:\n%s%s", out, errs)
	}
	send(header) // by the set before
	if c := f.box.Counts(); c.Stored != 2 || c.Rejected != 0 {
		t.Fatalf("with the set before: %+v", c)
	}

	write("stops.map.yaml", strings.Replace(ownMapping, "0.1.0", "0.2.0", 1))
	version("0.2.0", "")
	if !strings.Contains(scrape(t, address), `handoff_feed_mapping_failed{system="stops"} 0`) {
		t.Error("metrics still say that the mapping is broken")
	}
	write("own.csv", "A,B\n1,2\n") // a vocabulary that is none
	version("0.2.0", "own.csv")
	write("own.csv", ownCodes)
	version("0.2.0", "")

	send("ORI,Number,Given,Surname,Born,Changed") // the profile does not know the column yet
	lacking := f.box.Counts()
	write("our.profile.yaml", "profile: ours\nmapping: stops.map.yaml\nadapter: rms/csv\ntimezone: UTC\ndates: day-first\naliases: {surname: Family}\n")
	eventually(t, "the profile is taken", func() bool { return len(f.live.Get().mapping.Profile().Aliases) == 1 })
	send("ORI,Number,Given,Surname,Born,Changed")
	if c := f.box.Counts(); c.Stored != lacking.Stored+1 {
		t.Errorf("with the alias: %+v after %+v", c, lacking)
	}
	write("our.profile.yaml", "profile: ours\ntimezone: Mars/Olympus\n")
	version("0.2.0", "our.profile.yaml:2")
}

func TestConfigCheckNamesTheLineOfWhatIsWrongWithReceive(t *testing.T) {
	text := clinicConfig("")
	for key, want := range map[string]string{
		"maxWaiting: -1":        "maxWaiting: is -1",
		"maxWaitingBytes: 1000": "maxWaitingBytes: is 1000",
		"remember: 10m":         "remember: must be at least 1h",
		"reload: 10ms":          "reload: must be at least 1s",
		"maxWait: 3":            "unknown field",
		"reload: soon":          "is not a duration",
		"maxWaiting: many":      "expected a whole number",
	} {
		dir := writeFiles(t, map[string]string{"handoff.yaml": strings.Replace(text, "receive: {mllp", "receive: {"+key+", mllp", 1)})
		out, errs, code := runLine("", "config", "check", filepath.Join(dir, "handoff.yaml"))
		if code != 1 || !strings.Contains(out+errs, "[8:") || !strings.Contains(out+errs, want) {
			t.Errorf("%s: exit %d\n%s%s", key, code, out, errs)
		}
	}
}
