package soak

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/handoff-health/handoff/conformance/loopback"
	"github.com/handoff-health/handoff/mappings"
)

const webhookSecret = "soak-0123456789abcdef0123456789ab"

// settings is a site with four feeds.
const settings = `server: {listen: "%s"}
site: {key: soak-0123456789abcdef0123456789abcdef, timeZone: America/Chicago}
organizations:
  - {id: pd, name: Riverton PD, kind: police}
  - {id: clinic, name: Clinic, kind: health}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, receive: {mllp: {listen: "%s", connections: 64, perPeer: 64}}}
  - {key: events, kind: feed, organization: pd, adapter: rms/jsonl, profile: onscene.profile.yaml, receive: {webhook: {secret: %s, eventId: [consent_id]}}}
  - {key: drop, kind: feed, organization: pd, adapter: rms/csv, receive: {folder: {path: drop, complete: rename, every: 1s}}}
  - {key: batch, kind: feed, organization: pd, adapter: rms/csv}
telemetry: {level: warn}
limits: {requests: -1, users: -1, tokens: -1}
`

// A gateway is the built binary with a folder of its own.
type gateway struct {
	dir, binary  string
	listen, mllp string
	mu           sync.Mutex
	cmd          *exec.Cmd
	log          bytes.Buffer
	kills        int
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{dir: t.TempDir()}
	g.binary = filepath.Join(g.dir, "handoff")
	if out, err := exec.Command("go", "build", "-o", g.binary, "../../cmd/handoff").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	g.listen, g.mllp = freeAddress(t), freeAddress(t)
	if err := os.Mkdir(filepath.Join(g.dir, "drop"), 0o700); err != nil {
		t.Fatal(err)
	}
	profile, err := fs.ReadFile(mappings.Files(), "rms/onscene/onscene.profile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "onscene.profile.yaml"), profile, 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(settings, g.listen, g.mllp, webhookSecret)
	if err := os.WriteFile(g.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) config() string { return filepath.Join(g.dir, "handoff.yaml") }

func freeAddress(t *testing.T) string {
	t.Helper()
	a, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// start starts the gateway and waits until it is ready.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	g.log.Reset()
	g.cmd = exec.CommandContext(t.Context(), g.binary, "serve", "--config", g.config()) // it ends with the test
	g.cmd.Stderr = &g.log
	err := g.cmd.Start()
	g.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if r, err := http.Get("http://" + g.listen + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			g.stop(syscall.SIGKILL)
			t.Fatalf("the gateway is not ready:\n%s", g.log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop ends the gateway by a signal and waits for its end.
func (g *gateway) stop(sig syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd == nil {
		return
	}
	_ = g.cmd.Process.Signal(sig)
	_ = g.cmd.Wait()
	g.cmd = nil
	if sig == syscall.SIGKILL {
		g.kills++
	}
}
