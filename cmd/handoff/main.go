// Command handoff is the gateway and its tools in one binary: it serves the
// FHIR gateway, converts and ingests source records, runs decision cases,
// checks the audit trail and shows all of it in a demo. It wires stores,
// adapters and upstreams together; it decides nothing itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes: what a script may rely on.
const (
	exitFailed   = 1 // the command could not do its work
	exitUsage    = 2 // the command line is wrong
	exitRejected = 3 // done, but some records were rejected
)

// An exitError ends the process with a code. A nil err says nothing more.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError marks err as a fault of the command line.
func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Libraries that write to the default logger tell of requests in their own words,
	// with addresses and states of apps. What counts is in the audit trail.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(run(ctx, newRootCommand(), os.Stderr))
}

// run executes the command line and turns its error into an exit code.
func run(ctx context.Context, root *cobra.Command, stderr interface{ Write([]byte) (int, error) }) int {
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := exitFailed
	var ee *exitError
	if errors.As(err, &ee) {
		code = ee.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(stderr, "handoff:", text)
	}
	return code
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "handoff",
		Short:         "FHIR R4 gateway between police and mental-health systems",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q; see 'handoff --help'", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%w; see '%s --help'", err, cmd.CommandPath())
	})
	root.AddCommand(commands()...)
	return root
}
