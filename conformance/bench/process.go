package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A process is a child of the bench.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser // a role ends when it is closed
	log   tailBuffer
	done  chan struct{} // closed when it has ended
	err   error         // how; valid after done
}

// start begins a child. It is stopped with its context at the latest, and by
// the kernel if the bench itself is killed.
func start(ctx context.Context, name string, env []string, binary string, args ...string) (*process, io.ReadCloser, error) {
	p := &process{name: name, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, binary, args...)
	p.cmd.Stderr = &p.log
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.WaitDelay = 5 * time.Second
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, out, nil
}

// reap waits for the child once its output was read.
func (p *process) reap() {
	p.err = p.cmd.Wait()
	close(p.done)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// endsWithin is more than a gateway promises, which on a busy machine takes longer.
const endsWithin = time.Minute

// stop ends the child: gently, then not. What it said is in the error.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
	case <-time.After(endsWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end when it was told to", p.name)
	}
	return nil
}

// fault says how the child ended, if it has.
func (p *process) fault() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %w: %s", p.name, errors.Join(p.err, io.ErrUnexpectedEOF), p.log.String())
	default:
		return nil
	}
}

// startRole starts this binary once more, as one of the roles, and returns the
// address that it prints.
func startRole(ctx context.Context, role string, args ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	p, out, err := start(ctx, role, nil, self, append([]string{role}, args...)...)
	if err != nil {
		return nil, "", err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	go p.reap()
	if err != nil {
		<-p.done
		return nil, "", fmt.Errorf("%s did not start: %s", role, p.log.String())
	}
	return p, strings.TrimSpace(address), nil
}

// A tailBuffer keeps the end of what is written.
type tailBuffer struct {
	mu  sync.Mutex
	buf []byte
}

const maxTail = 8 << 10

// Write implements io.Writer.
func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxTail; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}

// build compiles a package of the module. overlay is a file for `go build
// -overlay`, "" for none.
func build(ctx context.Context, pkg, to, overlay string) error {
	args := []string{"build", "-trimpath"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", to, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	raw, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, bytes.TrimSpace(raw))
	}
	return nil
}
