//go:build unix

package replset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A member is one mongod with its folder.
type member struct {
	dir     string
	port    int
	command []string
	bridge  *bridge // nil: it is reached directly
	process *exec.Cmd
	ended   chan struct{} // closed when process has
	paused  bool
}

// newMember gives the i-th member a folder, a port and its options.
func (s *Set) newMember(i int) (*member, error) {
	m := &member{dir: filepath.Join(s.dir, strconv.Itoa(i)), port: s.config.FirstPort + i}
	if err := os.Mkdir(m.dir, 0o700); err != nil {
		return nil, err
	}
	if s.config.FirstPort == 0 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		m.port = port
	}
	if s.config.Breakable {
		var err error
		if m.bridge, err = newBridge(s, i); err != nil {
			return nil, err
		}
	}
	m.command = []string{
		s.config.Mongod, "--dbpath", m.dir, "--logpath", filepath.Join(m.dir, "log"), "--logappend", "--nounixsocket",
		"--bind_ip", "127.0.0.1", "--port", strconv.Itoa(m.port), "--wiredTigerCacheSizeGB", "0.25",
		"--setParameter", "diagnosticDataCollectionEnabled=false",
	}
	if !s.config.Standalone {
		m.command = append(m.command, "--replSet", name, "--oplogSize", "200")
	}
	if s.config.Breakable {
		m.command = append(m.command, "--setParameter", "enableTestCommands=1")
	}
	if s.secrets != nil {
		m.command = append(m.command, s.secrets.options()...)
	}
	return m, nil
}

// Ports of members: below those that systems give to outgoing connections and to
// listeners that ask for any, which would take one that is free for a moment, and above
// those of .ci/run's servers.
const (
	firstPort = 32100
	lastPort  = 32700
)

var ports struct {
	sync.Mutex
	given map[int]bool // by this process
}

// freePort gives a port that nobody listens on, each once in a process.
func freePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // no secret
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue // somebody's
		}
		ports.given[port] = true
		return port, l.Close()
	}
	return 0, errors.New("no free port was found for a member")
}

// server is where the process itself listens.
func (m *member) server() string { return fmt.Sprintf("127.0.0.1:%d", m.port) }

// address is how others reach the member.
func (m *member) address() string {
	if m.bridge != nil {
		return m.bridge.l.Addr().String()
	}
	return m.server()
}

// Restart starts a member that does not run, with what it has kept, and returns when
// it answers.
func (s *Set) Restart(ctx context.Context, i int) error {
	m := s.members[i]
	if m.process != nil {
		return fmt.Errorf("member %d runs already", i)
	}
	m.process = exec.Command(m.command[0], m.command[1:]...)
	m.process.SysProcAttr = attributes()
	if err := m.process.Start(); err != nil {
		m.process = nil
		return err
	}
	ended := make(chan struct{})
	m.ended = ended
	go func(c *exec.Cmd) {
		_ = c.Wait() // that it has ended is what counts
		close(ended)
	}(m.process)
	for {
		conn, err := net.DialTimeout("tcp", m.server(), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("member %d ended at once: %s", i, m.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("member %d does not listen: %w: %s", i, ctx.Err(), m.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords is the end of the member's log.
func (m *member) lastWords() string {
	const most = 4096
	raw, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if err != nil {
		return "it has written no log"
	}
	return string(bytes.TrimSpace(raw[max(0, len(raw)-most):]))
}

// Kill ends a member as a power cut of its process would (SIGKILL).
func (s *Set) Kill(i int) error { return s.members[i].kill() }

func (m *member) kill() error {
	if m.process == nil {
		return nil
	}
	err := m.process.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err == nil {
		<-m.ended
	}
	m.process, m.paused = nil, false
	return err
}

// Pause stops a member in the middle of whatever it does: it neither answers nor closes
// a connection, until Resume.
func (s *Set) Pause(i int) error { return s.members[i].signal(syscall.SIGSTOP, true) }

// Resume lets a member go on as if no time had passed for it.
func (s *Set) Resume(i int) error { return s.members[i].signal(syscall.SIGCONT, false) }

func (m *member) signal(s syscall.Signal, paused bool) error {
	if m.process == nil {
		return errors.New("the member does not run")
	}
	m.paused = paused
	return m.process.Process.Signal(s)
}

func (m *member) closeBridge() error {
	if m.bridge == nil {
		return nil
	}
	return m.bridge.close()
}
