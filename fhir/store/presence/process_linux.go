package presence

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// identify names what gives process numbers their meaning, this start of the kernel and
// the namespace of numbers, and when a process was started, in ticks since then.
func identify(pid int) (kernel, started string) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", ""
	}
	_, started, ok := stat(pid)
	if !ok {
		return "", ""
	}
	return strings.TrimSpace(string(boot)) + " " + space, started
}

// stat reads of a process its state, a letter, and its start.
func stat(pid int) (state, started string, ok bool) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", false
	}
	// The name of the command, in brackets, may hold anything.
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	const stateAt, startedAt = 0, 19
	if len(fields) <= startedAt {
		return "", "", false
	}
	return fields[stateAt], fields[startedAt], true
}

// gone says that a process is known to have ended. Of one under another kernel nobody
// here can know.
func (h *Holder) gone() bool {
	mine, _ := identify(os.Getpid())
	if mine == "" || h.Kernel != mine || h.Started == "" || h.PID <= 0 {
		return false
	}
	// Who may not look at a process is still told whether it is there.
	if err := syscall.Kill(h.PID, 0); errors.Is(err, syscall.ESRCH) {
		return true
	}
	state, started, ok := stat(h.PID)
	return ok && (started != h.Started || state == "Z" || state == "X")
}
