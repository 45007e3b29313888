package attack_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/conformance/attack"
	"github.com/handoff-health/handoff/conformance/loopback"
)

// TestAttacks runs the suite: against the gateway at $HANDOFF_URL, or against one
// that is built and started here.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("the gateway is another process: short mode, in which the race detector runs, would see nothing of it")
	}
	report(t, attack.Run(target(t), attack.All()))
}

// report prints every attack with what came of it. Skipping is loud.
func report(t *testing.T, results []attack.Result) {
	t.Helper()
	count := map[attack.Verdict]int{}
	for _, r := range results {
		count[r.Verdict]++
		line := fmt.Sprintf("%-10s %s/%s: %s (%v)", r.Verdict, r.Area, r.Attack.Name, r.Attack.Statement, r.Took.Round(time.Millisecond))
		if r.Detail != "" {
			line += "\n           " + r.Detail
		}
		if r.Verdict == attack.Succeeded || r.Verdict == attack.Failed {
			t.Error(line)
		} else {
			t.Log(line)
		}
	}
	t.Logf("%d attacks: %d stopped, %d succeeded, %d could not be tried, %d skipped for want of what the target gives",
		len(results), count[attack.Stopped], count[attack.Succeeded], count[attack.Failed], count[attack.Skipped])
	if count[attack.Stopped] == 0 {
		t.Error("no attack was tried and stopped")
	}
}

func TestFloorsAreHeld(t *testing.T) {
	count := map[attack.Area]int{}
	names := map[string]bool{}
	for _, f := range attack.All() {
		if f.Control == nil {
			t.Errorf("%s/%s has no control", f.Area, f.Name)
		}
		for _, a := range f.Attacks {
			count[f.Area]++
			if full := string(f.Area) + "/" + a.Name; names[full] {
				t.Errorf("%s stands twice", full)
			} else {
				names[full] = true
			}
			if a.Statement == "" || a.Why == "" || a.Do == nil {
				t.Errorf("%s/%s says too little", f.Area, a.Name)
			}
			for _, n := range a.Guards {
				if n.What() == "" {
					t.Errorf("%s/%s falls to the guard %s, which there is not", f.Area, a.Name, n)
				}
			}
		}
	}
	for area, floor := range attack.Floors {
		if count[area] < floor {
			t.Errorf("%s: %d attacks, at least %d", area, count[area], floor)
		}
	}
}

// target is what is attacked.
func target(t *testing.T) *attack.Target {
	t.Helper()
	if base := os.Getenv("HANDOFF_URL"); base != "" {
		got, err := attack.ReadTarget(t.Context(), base, os.Getenv("HANDOFF_TARGET"), os.Getenv("HANDOFF_KEYS"))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	binary := filepath.Join(t.TempDir(), "handoff")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/handoff").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	c, err := attack.NewCounty(t.Context(), t.TempDir(), freeAddress(t), func(ctx context.Context, args ...string) error {
		out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	serve(t, binary, c)
	got, err := c.Target(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func freeAddress(t *testing.T) string {
	t.Helper()
	a, err := loopback.Address()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serve runs the gateway until the test ends.
func serve(t *testing.T, binary string, c *attack.County) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(binary, "serve", "--config", c.Config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if strings.Contains(log.String(), "panic") {
			t.Errorf("the gateway panicked:\n%s", log.String())
		}
	})
	address := strings.TrimSuffix(strings.TrimPrefix(c.Base, "http://"), "/fhir")
	for range 600 { // a minute
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	t.Fatalf("the gateway does not listen:\n%s", log.String())
}
