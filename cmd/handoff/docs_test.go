package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commandInText is a command of handoff as documents write it, up to the end of its line or
// of the code that it stands in. Several may share a name: "enable|unlock".
var commandInText = regexp.MustCompile("(?:go run \\./cmd/handoff|\\bhandoff) ((?:[a-z][a-z|-]*)(?: [a-z][a-z|-]*)?)([^`\n]*)")

var flagInText = regexp.MustCompile(`(?:^|[\s\[(|])(--?[a-z][a-z0-9-]*)`)

// Every flag that the documents and the commands' own help give to a command is one that
// it has.
func TestDocumentsNameFlagsThatAreThere(t *testing.T) {
	root, seen := newRootCommand(), 0
	look := func(where, text string) {
		for _, m := range commandInText.FindAllStringSubmatch(text, -1) {
			for _, cmd := range commandsNamed(root, m[1]) {
				rest, _, _ := strings.Cut(m[2], " # ")
				rest, _, _ = strings.Cut(rest, " | ")
				rest, _, _ = strings.Cut(rest, " && ")
				for _, f := range flagInText.FindAllStringSubmatch(rest, -1) {
					seen++
					if !hasFlag(cmd, f[1]) {
						t.Errorf("%s: 'handoff %s' has no flag %s: %s", where, commandName(cmd), f[1], m[0])
					}
				}
			}
		}
	}
	for _, at := range []string{"../../README.md", "../../CONTRIBUTING.md", "../../docs"} {
		err := filepath.WalkDir(at, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".md" {
				return err
			}
			text, err := os.ReadFile(path)
			look(path, string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	eachCommand(root, func(cmd *cobra.Command) { look(cmd.CommandPath()+" --help", cmd.Long+"\n"+cmd.Example) })
	if seen < 100 {
		t.Errorf("only %d flags were found in the documents", seen)
	}
}

// commandsNamed gives the commands that a text names: all of "enable|unlock", none of what
// is no command but prose.
func commandsNamed(root *cobra.Command, text string) (out []*cobra.Command) {
	group, of, _ := strings.Cut(text, " ")
	for _, name := range strings.Split(of, "|") {
		cmd, _, err := root.Find([]string{group, name})
		if err == nil && cmd != root {
			out = append(out, cmd)
		}
	}
	return out
}

func hasFlag(cmd *cobra.Command, flag string) bool {
	cmd.InitDefaultHelpFlag()
	name, long := strings.CutPrefix(flag, "--")
	if long {
		return cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil
	}
	name = strings.TrimPrefix(name, "-")
	if len(name) != 1 {
		return true // no flag: a word with a dash
	}
	return cmd.Flags().ShorthandLookup(name) != nil || cmd.InheritedFlags().ShorthandLookup(name) != nil
}
