package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/handoff-health/handoff/conformance/attack"
	"github.com/handoff-health/handoff/fhir/store/backend/backendtest"
	"github.com/handoff-health/handoff/gateway/auth"
)

// Several gateways are several processes: the test binary, started again as the
// command that its environment names.
const (
	envProcess = "HANDOFF_TEST_PROCESS" // the command line, a JSON list
	envClock   = "HANDOFF_TEST_CLOCK"   // how far the store's clock is ahead of this machine's
)

func TestMain(m *testing.M) {
	line := os.Getenv(envProcess)
	if line == "" {
		loadOrGenerateKey = loadOrCopyKey
		os.Exit(m.Run())
	}
	var args []string
	if err := json.Unmarshal([]byte(line), &args); err != nil {
		panic(err)
	}
	if text := os.Getenv(envClock); text != "" {
		by, err := time.ParseDuration(text)
		if err != nil {
			panic(err)
		}
		storeClock = func() time.Time { return time.Now().Add(by) }
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRootCommand()
	root.SetArgs(args)
	os.Exit(run(ctx, root, os.Stderr)) //nolint:gocritic // the process ends
}

// rsaKey is the key of the id tokens of all gateways in this process. Those that are
// processes of their own make theirs.
var rsaKey = sync.OnceValues(func() (*auth.PrivateKey, error) { return auth.GenerateKey(auth.RS256) })

func loadOrCopyKey(path, algorithm string) (*auth.PrivateKey, error) {
	if algorithm == auth.RS256 {
		key, err := rsaKey()
		if err == nil {
			err = key.Write(path)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return auth.LoadOrGenerateKey(path, algorithm)
}

// A gatewayProcess is one gateway of a store.
type gatewayProcess struct {
	name, config, listen string
	env                  []string
	cmd                  *exec.Cmd
	log                  *safeLog
	gone                 chan struct{} // closed when it has ended
}

func command(env []string, args ...string) *exec.Cmd {
	line, err := json.Marshal(args)
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), envProcess+"="+string(line)), env...)
	return cmd
}

// start starts it and waits until it serves.
func (g *gatewayProcess) start(t *testing.T) {
	t.Helper()
	g.log = &safeLog{}
	g.cmd = command(g.env, "serve", "--config", g.config)
	g.cmd.Stderr, g.cmd.Stdout = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) { _ = cmd.Wait(); close(gone) }(g.cmd, g.gone)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + g.listen + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if g.ended() || time.Now().After(deadline) {
			t.Fatalf("gateway %s does not serve: %v\n%s", g.name, err, g.log)
		}
	}
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// end ends it with a signal.
func (g *gatewayProcess) end(s syscall.Signal) {
	if g.cmd == nil || g.ended() {
		return
	}
	_ = g.cmd.Process.Signal(s)
	<-g.gone
}

func (g *gatewayProcess) ended() bool {
	select {
	case <-g.gone:
		return true
	default:
		return false
	}
}

// A crossroads takes connections for the public address and hands each to one of the
// gateways, from the address that it came from.
type crossroads struct {
	listener net.Listener
	to       [2]string
	place    atomic.Int32 // attack.AtA, AtB, InTurn
	turn     atomic.Int32
}

func newCrossroads(t *testing.T, to [2]string) *crossroads {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &crossroads{listener: l, to: to}
	c.place.Store(attack.InTurn)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.pass(conn)
		}
	}()
	return c
}

func (c *crossroads) send(place int) { c.place.Store(int32(place)) }

func (c *crossroads) pass(from net.Conn) {
	defer from.Close()
	place := c.place.Load()
	if place == attack.InTurn {
		place = c.turn.Add(1) % 2
	}
	source, _, _ := net.SplitHostPort(from.RemoteAddr().String())
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	to, err := d.Dial("tcp", c.to[place])
	if err != nil {
		return
	}
	defer to.Close()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(to, from); _ = to.(*net.TCPConn).CloseWrite() })
	both.Go(func() { _, _ = io.Copy(from, to); _ = from.(*net.TCPConn).CloseWrite() })
	both.Wait()
}

// A fleet is two gateways of one store behind one address, with the attackers'
// county around them.
type fleet struct {
	a, b   *gatewayProcess
	roads  *crossroads
	county *attack.County
	target *attack.Target
	dir    string
	env    []string
}

// newFleet makes two gateways and starts them. more is added to their configuration,
// clock is how far the store's clock is ahead of the machines'.
func newFleet(t *testing.T, address, more string, clock time.Duration) *fleet {
	t.Helper()
	f := &fleet{dir: t.TempDir()}
	f.a = &gatewayProcess{name: "a", listen: freeAddress(t), config: filepath.Join(f.dir, "a.yaml")}
	f.b = &gatewayProcess{name: "b", listen: freeAddress(t), config: filepath.Join(f.dir, "b.yaml")}
	if clock != 0 {
		f.env = []string{envClock + "=" + clock.String()}
		attack.Clock = func() time.Time { return time.Now().Add(clock) }
		t.Cleanup(func() { attack.Clock = time.Now })
	}
	f.roads = newCrossroads(t, [2]string{f.a.listen, f.b.listen})
	public := f.roads.listener.Addr().String()
	written := false
	var err error
	f.county, err = attack.NewCounty(t.Context(), f.dir, public, func(ctx context.Context, args ...string) error {
		if !written {
			f.configure(t, public, address, more)
			written = true
		}
		for i := range args {
			if args[i] == filepath.Join(f.dir, "handoff.yaml") {
				args[i] = f.a.config
			}
		}
		_, err := f.run(args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.county.Close() })
	for _, g := range []*gatewayProcess{f.a, f.b} {
		g.env = f.env
		t.Cleanup(func() {
			g.end(syscall.SIGTERM)
			if t.Failed() {
				t.Logf("gateway %s:\n%s", g.name, g.log)
			}
		})
		g.start(t)
	}
	if f.target, err = f.county.Target(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// again starts a gateway that was ended. A key that two issuers hold must not be
// published meanwhile.
func (f *fleet) again(t *testing.T, g *gatewayProcess) {
	t.Helper()
	f.county.Share(false)
	defer f.county.Share(true)
	g.start(t)
}

// configure writes the two configurations: one public address, one store, one set of
// keys, and a trail for each.
func (f *fleet) configure(t *testing.T, public, address, more string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.dir, "handoff.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	store := "store: {sqlite: {path: " + address + "}}\n"
	if strings.Contains(address, "://") {
		store = "store: {mongo: {uri: \"" + address + "\"}}\n"
	}
	for _, g := range [][2]*gatewayProcess{{f.a, f.b}, {f.b, f.a}} {
		me, other := g[0], g[1]
		text := strings.Replace(string(raw), `listen: "`+public+`"`, `listen: "`+me.listen+"\"\n  base: \"http://"+public+"/fhir\"", 1)
		text += store + more + fmt.Sprintf("audit: {dir: audit-%[1]s, anchor: %[1]s.anchor, keyFile: %[1]s.pem, others: [{dir: audit-%[2]s, anchor: %[2]s.anchor, key: %[2]s.pem.pub}]}\n", me.name, other.name)
		if err := os.WriteFile(me.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a command to its end; an exit status of 3 is no error here.
func (f *fleet) run(args ...string) (string, error) {
	cmd := command(f.env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitRejected {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String() + errs.String(), err
}

// stores are the addresses of stores on which two gateways are tried.
func stores(t *testing.T, try func(t *testing.T, address string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { try(t, filepath.Join(t.TempDir(), "handoff.db")) })
	t.Run("mongo", func(t *testing.T) { try(t, backendtest.MongoAddress(t)) })
}
