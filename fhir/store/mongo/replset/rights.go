//go:build unix

package replset

import (
	"io/fs"
	"os"
	"path/filepath"
)

// nobody is the user and group that members run as where this process is root. It needs
// no name on the machine, and owns nothing else.
const nobody = 54322

// disown gives a folder to the user that members run as.
func disown(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, nobody, nobody)
	})
}
