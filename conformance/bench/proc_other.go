//go:build !linux

package main

import (
	"syscall"
	"time"
)

// Off Linux there is no /proc: CPU times and memory are left out of the table.

func processCPU(int) (time.Duration, bool) { return 0, false }

func processMemory(int) (now, peak int64, ok bool) { return 0, 0, false }

func ownCPU() (time.Duration, bool) { return 0, false }

func threadCPU() (time.Duration, bool) { return 0, false }

func dieWithParent() *syscall.SysProcAttr { return nil }
