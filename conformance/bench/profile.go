package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
)

// The gateway has no profiling endpoint, and shall have none. With -profile it
// is built with one more file, which exists in this build alone.

const profilingSource = `package main

import (
	"net/http"
	_ "net/http/pprof"
	"os"
)

func init() {
	if addr := os.Getenv("HANDOFF_BENCH_PPROF"); addr != "" {
		go func() { _ = http.ListenAndServe(addr, nil) }()
	}
}
`

// profilingOverlay writes the overlay for `go build`.
func profilingOverlay(dir string) (string, error) {
	raw, err := exec.Command("go", "list", "-f", "{{.Dir}}", gatewayPackage).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", gatewayPackage, err)
	}
	source := filepath.Join(dir, "bench_pprof.go")
	if err := os.WriteFile(source, []byte(profilingSource), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(strings.TrimSpace(string(raw)), "bench_pprof.go"): source,
	}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// profileDeciding profiles deciding a Condition with many Consents, in this
// process, if profiles are wanted.
func (b *bench) profileDeciding() (err error) {
	if b.profile == "" {
		return nil
	}
	d, err := newJudge(judged{"Condition", condition("p1"), "Patient/p1", 100, false})
	if err != nil {
		return err
	}
	path := filepath.Join(b.profile, "deciding.pprof")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	timeOf(max(5*b.pace.inside, time.Second), func() { err = errors.Join(err, d.enforce()) })
	pprof.StopCPUProfile()
	b.report.Profiles = append(b.report.Profiles, path)
	return err
}

// profileClients is the load under which profiles are taken.
const profileClients = 8

// profileLoad takes a CPU profile of the gateway under one kind of load, if
// profiles are wanted.
func (b *bench) profileLoad(ctx context.Context, name string, through func(token string) asker) error {
	if b.profile == "" {
		return nil
	}
	w := b.world
	token, err := w.bearer(ctx)
	if err != nil {
		return err
	}
	rs := requestsOf(profileClients, through(token))
	const window = 6 * time.Second
	failed := make(chan error, 1)
	go func() {
		_, err := drive(ctx, []seat{{w.listen, w.gateway.pid()}}, rs, window+time.Second)
		failed <- err
	}()
	path := filepath.Join(b.profile, name+".pprof")
	if err := fetchProfile(ctx, w.pprof, int(window.Seconds()), path); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := <-failed; err != nil {
		return err
	}
	b.report.Profiles = append(b.report.Profiles, path)
	return nil
}

func fetchProfile(ctx context.Context, address string, seconds int, to string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, seconds), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the profile: %s", resp.Status)
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(to, raw, 0o644)
}
