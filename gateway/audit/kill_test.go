package audit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const childDir = "HANDOFF_AUDIT_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, "child:", recordForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func childOptions(dir string) (Options, error) {
	key, err := LoadOrCreateKey(filepath.Join(dir, "key"))
	return Options{
		Dir: filepath.Join(dir, "trail"), Anchor: &FileAnchor{Path: filepath.Join(dir, "anchor")}, Key: key,
		MaxSegment: 30000, CheckpointRecords: 50,
	}, err
}

// recordForever prints the id of each acknowledged event.
func recordForever(dir string) error {
	o, err := childOptions(dir)
	if err != nil {
		return err
	}
	trail, err := Open(o)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	errs := make(chan error)
	for w := range 8 {
		go func() {
			for n := 0; ; n++ {
				e := sample(n)
				e.ID = fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n)
				if err := trail.Record(context.Background(), e); err != nil {
					errs <- err
					return
				}
				mu.Lock()
				fmt.Println(e.ID)
				mu.Unlock()
			}
		}()
	}
	return <-errs
}

func TestAfterKillEveryAcknowledgedEventIsThere(t *testing.T) {
	if testing.Short() {
		t.Skip("kill -9 is not tried in short mode")
	}
	dir := t.TempDir()
	o, err := childOptions(dir)
	if err != nil {
		t.Fatal(err)
	}
	var acked []string
	for range 4 {
		acked = append(acked, killOne(t, dir)...)
	}
	trail, err := Open(o) // recovers from the last kill
	if err != nil {
		t.Fatal(err)
	}
	shut(t, trail)
	if _, err := Verify(o.Dir, o.Anchor, o.Key.Public()); err != nil {
		t.Error(err)
	}
	kept := map[string]bool{}
	err = Follow(context.Background(), o.Dir, 1, 0, func(r Record) error { kept[r.Event.ID] = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range acked {
		if !kept[id] {
			t.Errorf("acknowledged, but lost: %s", id)
		}
	}
	t.Logf("%d acknowledgements over 4 kills", len(acked))
	if len(acked) < 1000 {
		t.Error("too few to say anything")
	}
}

func killOne(t *testing.T, dir string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec // this test
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer deadline.Stop()
	var acked []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acked = append(acked, lines.Text())
		if len(acked) == 400 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	if len(acked) < 400 {
		t.Fatalf("the child acknowledged %d events in a minute", len(acked))
	}
	return acked
}
