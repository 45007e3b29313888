//go:build !linux

package audit

import "os"

type dataSyncer struct{ *os.File }
