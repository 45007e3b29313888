package house

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// .ci/changed decides whether a test server that cannot be had fails CI: in doubt
// it must.
func TestChangedInDoubtSaysYes(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	script, err := os.ReadFile(root + "/.ci/changed")
	if err != nil {
		t.Fatal(err)
	}
	bash := func(dir, command, env string) (string, error) {
		cmd := exec.Command("bash", "-euc", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HANDOFF_CI_BASE=",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org", env)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	repository := t.TempDir()
	if err := os.Mkdir(filepath.Join(repository, ".ci"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repository, ".ci/changed"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := bash(repository, "git init -qb main; git add -A; git commit -qm r; git tag root; mkdir store docs; touch store/a; git add -A; git commit -qm a; for i in $(seq 25); do echo $i >docs/d; git commit -qam $i || { git add -A; git commit -qm $i; }; done", "")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const yes, no = 0, 1
	for name, tt := range map[string]struct {
		do   string // in a repository with 25 commits on main that touch docs, the first one store
		env  string
		want int
	}{
		"nothing of late on main":          {"", "", no},
		"of late on main":                  {"touch store/x; git add -A; git commit -qm x; for i in 1 2 3; do git commit -q --allow-empty -m y; done", "", yes},
		"on a branch":                      {"git switch -qc b; touch store/x; git add -A; git commit -qm x", "", yes},
		"elsewhere on a branch":            {"git switch -qc b; touch docs/x; git add -A; git commit -qm x", "", no},
		"before the branch":                {"touch store/x; git add -A; git commit -qm x; git switch -qc b; touch docs/x; git add -A; git commit -qm x", "", no},
		"a branch, main moved on":          {"git switch -qc b; touch docs/x; git add -A; git commit -qm x; git switch -q main; touch store/x; git add -A; git commit -qm x; git switch -q b", "", no},
		"not committed":                    {"echo y >store/a", "", yes},
		"new and not added":                {"touch store/new", "", yes},
		"ignored":                          {"echo '*.log' >.gitignore; touch store/new.log", "", no},
		"a short history":                  {"git clone -q --depth 3 --branch main file://$PWD clone; cd clone", "", yes},
		"a clone without references":       {"git clone -q . clone; cd clone; git checkout -q --detach; git branch -qD main; git remote remove origin", "", no},
		"no repository":                    {"rm -rf .git", "", yes},
		"a base that is none":              {"", "HANDOFF_CI_BASE=nonsense", yes},
		"a base far back":                  {"", "HANDOFF_CI_BASE=HEAD~3", no},
		"a base before the store was made": {"", "HANDOFF_CI_BASE=root", yes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(repository)); err != nil {
				t.Fatal(err)
			}
			out, err := bash(dir, "{ :; "+tt.do+"\n} >/dev/null 2>&1; bash .ci/changed store", tt.env)
			got := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				got = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if got != tt.want || !strings.Contains(out, "changed") {
				t.Errorf("exit %d, want %d: %s", got, tt.want, out)
			}
		})
	}
}
