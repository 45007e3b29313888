package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-health/handoff/fhir/store"
)

var crashTests = []test{
	{"after kill -9 every acknowledged write is there", killed},
}

const (
	childAddress = "HANDOFF_STORETEST_ADDRESS"
	childRound   = "HANDOFF_STORETEST_ROUND"
	kills        = 3
	acksPerKill  = 500
)

// Main runs a package's tests, or, in a process that the suite has started to
// kill it, writes and acknowledges without end.
func Main(m *testing.M, open Opener) {
	if address := os.Getenv(childAddress); address != "" {
		fmt.Fprintln(os.Stderr, "child:", writeForever(address, os.Getenv(childRound), open))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever prints one line an acknowledgement: what was acknowledged.
func writeForever(address, round string, open Opener) error {
	ctx := context.Background()
	b, err := open(ctx, address, time.Now)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	ack := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	errs := make(chan error)
	for w := range 8 {
		go func() {
			for n := 0; ; n++ {
				if err := crashStep(ctx, b, fmt.Sprintf("%s-%d-%d", round, w, n), n, ack); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

func crashStep(ctx context.Context, b *Backend, id string, n int, ack func(string, ...any)) error {
	switch n % 4 {
	case 0, 1:
		w := put(patient(id), store.Absent, n, "id|"+id)
		w.Claims = []string{"claim/" + id}
		if _, err := b.Store.Write(ctx, w); err != nil {
			return err
		}
		ack("resource %s", id)
	case 2:
		unit := []store.Write{put(patient(id+"-a"), store.Absent, n), put(patient(id+"-b"), store.Absent, n)}
		if _, err := b.Store.Apply(ctx, unit); err != nil {
			return err
		}
		ack("unit %s", id)
	default:
		if _, err := b.Facts.PutIfAbsent(ctx, id, []byte(id), time.Time{}); err != nil {
			return err
		}
		ack("fact %s", id)
		seq, err := b.Log.Append(ctx, "crash", []byte(id))
		if err != nil {
			return err
		}
		ack("entry %s %d", id, seq)
	}
	return nil
}

func killed(t *testing.T, e *env) {
	if testing.Short() {
		t.Skip("kill -9 is not tried in short mode")
	}
	if err := e.Store.Close(); err != nil {
		t.Fatal(err)
	}
	var acks []string
	for round := range kills {
		acks = append(acks, killOne(t, e.address, round)...)
		e.open(t)
		e.accountFor(t, acks)
	}
	e.open(t)
	t.Logf("%d acknowledgements over %d kills", len(acks), kills)
	if len(acks) < 1000 {
		t.Errorf("%d acknowledgements are too few to say anything", len(acks))
	}
}

// accountFor wants each acknowledgement there and nothing by half, and closes the store.
func (e *env) accountFor(t *testing.T, acks []string) {
	t.Helper()
	for _, a := range acks {
		e.checkAck(t, a)
	}
	e.checkNoHalf(t)
	if err := e.Store.Close(); err != nil {
		t.Fatal(err)
	}
}

// killOne starts the test binary again, kills it in the middle of its work and
// returns what it had acknowledged.
func killOne(t *testing.T, address string, round int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec // this test
	cmd.Env = append(os.Environ(), childAddress+"="+address, fmt.Sprintf("%s=%d", childRound, round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(5*time.Minute, func() { _ = cmd.Process.Kill() })
	defer deadline.Stop()
	var acks []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acks = append(acks, lines.Text())
		if len(acks) == acksPerKill {
			// SIGKILL: the process gets no chance to put anything in order.
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	if len(acks) < acksPerKill {
		t.Fatalf("the child acknowledged %d writes in five minutes", len(acks))
	}
	// The last line may be torn; its write was acknowledged to nobody.
	if fields := strings.Fields(acks[len(acks)-1]); len(fields) < 2 {
		acks = acks[:len(acks)-1]
	}
	return acks
}

func (e *env) checkAck(t *testing.T, ack string) {
	t.Helper()
	fields := strings.Fields(ack)
	id, err := fields[1], error(nil)
	switch fields[0] {
	case "resource":
		var n int
		if _, err = e.Store.Read(e.ctx, patient(id)); err == nil {
			n, err = e.Store.Count(e.ctx, store.Plan{Type: "Patient", Where: equal("id", id)})
		}
		if err == nil && n != 1 {
			err = errors.New("its entry is lost")
		}
	case "unit":
		for _, part := range []string{"-a", "-b"} {
			if err == nil {
				_, err = e.Store.Read(e.ctx, patient(id+part))
			}
		}
	case "fact":
		_, err = e.Facts.Get(e.ctx, id)
	case "entry":
		var (
			seq uint64
			es  []store.Entry
		)
		if _, err = fmt.Sscan(fields[2], &seq); err == nil {
			es, err = e.Log.ReadFrom(e.ctx, "crash", seq, 1)
		}
		if err == nil && (len(es) != 1 || es[0].Seq != seq || string(es[0].Data) != id) {
			err = fmt.Errorf("entry %d is %v", seq, es)
		}
	}
	if err != nil {
		t.Errorf("acknowledged, but lost: %s: %v", ack, err)
	}
}

// checkNoHalf looks for units of which only a part is there, and for gaps.
func (e *env) checkNoHalf(t *testing.T) {
	t.Helper()
	all := map[string]bool{}
	for _, id := range e.all(t, store.Plan{Type: "Patient", Where: store.Expr{Op: store.All}, Sort: []store.SortKey{{Param: store.ParamID}}, Limit: 500}) {
		all[id] = true
	}
	for id := range all {
		other := ""
		if part, ok := strings.CutSuffix(id, "-a"); ok {
			other = part + "-b"
		} else if part, ok := strings.CutSuffix(id, "-b"); ok {
			other = part + "-a"
		}
		if other != "" && !all[other] {
			t.Errorf("half a unit: %s without %s", id, other)
		}
	}
	es, err := e.Log.ReadFrom(e.ctx, "crash", 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range es {
		if x.Seq != uint64(i+1) {
			t.Fatalf("entry %d has the number %d", i+1, x.Seq)
		}
	}
}
