//go:build unix && !linux

package replset

import (
	"os"
	"syscall"
)

// attributes has a mongod run without rights where this process is root.
func attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return a
}
