package audit

import (
	"errors"
	"os"
	"syscall"
)

// A dataSyncer leaves out what a reader of the file does not need: its times.
type dataSyncer struct{ *os.File }

// Sync waits until the file's bytes and length are on the disk.
func (f dataSyncer) Sync() error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync "+f.Name(), err)
		}
	}
}
