package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// machine says where a run was made, one fact a line.
func machine() []string {
	out := []string{
		fmt.Sprintf("%s, %d cores, %s/%s", cpuName(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		runtime.Version(),
		time.Now().UTC().Format("2006-01-02 15:04 UTC"),
	}
	if c := commit(); c != "" {
		out = append(out, "commit "+c)
	}
	if load := firstLine("/proc/loadavg"); load != "" {
		f := strings.Fields(load)
		out = append(out, "load average before the run: "+strings.Join(f[:min(3, len(f))], " "))
	}
	return out
}

func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "CPU unknown"
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if name, value, ok := strings.Cut(sc.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "CPU unknown"
}

// commit names the source, from the build or from git; "" if neither knows.
func commit() string {
	if bi, ok := debug.ReadBuildInfo(); ok {
		rev, dirty := "", ""
		for _, s := range bi.Settings {
			switch {
			case s.Key == "vcs.revision":
				rev = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = " with changes"
			}
		}
		if rev != "" {
			return rev + dirty
		}
	}
	raw, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	dirty := ""
	if st, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(st) > 0 {
		dirty = " with changes"
	}
	return strings.TrimSpace(string(raw)) + dirty
}

func firstLine(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	return line
}
