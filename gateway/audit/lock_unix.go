//go:build unix

package audit

import (
	"fmt"
	"os"
	"syscall"
)

// lock keeps a second writer out; the kernel lets go when the process ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit trail: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open the audit trail: %w (%s): %w", ErrInUse, path, err)
	}
	return f, nil
}
