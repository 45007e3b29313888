package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/ingest"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/config"
)

// maxEdit bounds an edited copy, in bytes.
const maxEdit = 64 << 20

func newRejectsEdit(f *feedFlags) *cobra.Command {
	var out, from string
	cmd := &cobra.Command{
		Use:   "edit SEQ --out FILE | --from FILE",
		Short: "Write a copy of a rejected record, or take the edited copy back",
		Long: `--out writes a copy of the text with its values to a new file that only its owner
may read, or to standard output (-); that is noted as a reveal. --from takes an
edited copy from a file or from standard input (-). A replay reads the copy from
then on; the original stays as it was. Delete the file afterwards.`,
		Example: `  handoff rejects edit --config handoff.yaml --system clinic-adt 17 --out 17.hl7
  handoff rejects edit --config handoff.yaml --system clinic-adt 17 --from 17.hl7`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (out == "") == (from == "") {
				return usageError("edit needs one of --out and --from")
			}
			return f.withReject(cmd, args[0], func(q *ingest.Queue, k ingest.Queued) error {
				if from != "" {
					return takeEdit(cmd, q, &k, from, f.who())
				}
				return writeCopy(cmd, q, &k, out, f.who())
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the copy here (- for standard output)")
	cmd.Flags().StringVar(&from, "from", "", "read the edited copy from here (- for standard input)")
	return cmd
}

func writeCopy(cmd *cobra.Command, q *ingest.Queue, k *ingest.Queued, out, by string) (err error) {
	_, raw, err := q.Text(cmd.Context(), k)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return fmt.Errorf("reject %d of %s: %w", k.Seq, q.System, ingest.ErrNoText)
	}
	if err := q.Audit(cmd.Context(), k.Event("reveal", by)); err != nil {
		return err
	}
	if out == "-" {
		_, err := cmd.OutOrStdout().Write(raw)
		return err
	}
	file, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = file.Write(raw)
	return err
}

func takeEdit(cmd *cobra.Command, q *ingest.Queue, k *ingest.Queued, from, by string) error {
	in := cmd.InOrStdin()
	if from != "-" {
		file, err := os.Open(from)
		if err != nil {
			return err
		}
		defer file.Close() // only read
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxEdit+1))
	switch {
	case err != nil:
		return err
	case len(text) == 0:
		return usageError("the edited copy is empty")
	case len(text) > maxEdit:
		return usageError("the edited copy is longer than %d bytes", maxEdit)
	}
	if err := q.Edit(cmd.Context(), k.Seq, text, by); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "reject %d of %s: an edited copy of %d bytes is kept; replay it\n", k.Seq, q.System, len(text))
	return err
}

func newRejectsReplay(f *feedFlags) *cobra.Command {
	var filter rejectFilter
	var everything, asJSON bool
	cmd := &cobra.Command{
		Use:   "replay SEQ|FROM-TO… | --code CODE | --all",
		Short: "Read rejected records again with the mapping as it is now",
		Long: `Replay records in order of number. What is stored, or was known, leaves the
queue; what is rejected again stays in it, with the new reason.

Exit status: 0 all were taken, 3 some were rejected again.`,
		Example: `  handoff rejects replay --config handoff.yaml --system clinic-adt 17 20-30
  handoff rejects replay --config handoff.yaml --system clinic-adt --code unknown-code`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && filter.code == "" && !everything {
				return usageError("replay what? name numbers or ranges, --code CODE, or --all")
			}
			if err := filter.check(args); err != nil {
				return err
			}
			if len(args) > 0 && !cmd.Flags().Changed("state") {
				filter.state = "all" // who names a number means it
			}
			return f.with(cmd, func(c *config.Config, db backend.Backend, s config.System) error {
				return replayRejects(cmd, c, db, s, &filter, asJSON, f.who())
			})
		},
	}
	filter.flags(cmd)
	cmd.Flags().BoolVar(&everything, "all", false, "all that are open")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object for each record")
	return cmd
}

func replayRejects(cmd *cobra.Command, c *config.Config, db backend.Backend, s config.System, filter *rejectFilter, asJSON bool, by string) error {
	target, err := newIngestTarget(c, db, s)
	if err != nil {
		return err
	}
	fd, err := configuredFeed(c, s)
	if err != nil {
		return err
	}
	p := target.pipeline(fd)
	outcomes, n := map[string]int{}, 0
	enc := json.NewEncoder(cmd.OutOrStdout())
	err = filter.each(cmd.Context(), queueOf(db, s.Key), func(k ingest.Queued) error {
		n++
		line := map[string]any{"system": s.Key, "seq": k.Seq}
		r, err := p.Replay(cmd.Context(), k.Seq, by)
		switch {
		case errors.Is(err, ingest.ErrNoText):
			outcomes["without text"]++
			line["outcome"] = "without text"
		case err != nil:
			return err
		default:
			outcomes[r.Outcome()]++
			line["outcome"] = r.Outcome()
			if r.Reject != nil {
				line["code"], line["field"], line["message"] = r.Reject.Code, r.Reject.Field, r.Reject.Message
			}
		}
		if asJSON {
			return enc.Encode(line)
		}
		return nil
	})
	if err != nil {
		return interrupted(cmd.Context(), err)
	}
	if n == 0 && len(filter.spans) > 0 {
		return fmt.Errorf("%s: no reject has such a number; 'handoff rejects list' shows those that are there", s.Key)
	}
	if !asJSON {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %d replayed", s.Key, n)
		for _, o := range []string{"created", "updated", "duplicate", "superseded", "rejected", "without text", "nothing"} {
			if outcomes[o] > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), ", %d %s", outcomes[o], o)
			}
		}
		fmt.Fprintln(cmd.OutOrStdout())
	}
	if outcomes["rejected"]+outcomes["without text"] > 0 {
		return &exitError{code: exitRejected}
	}
	return nil
}
