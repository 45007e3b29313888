package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/adapters/ehr/hl7v2"
	"github.com/handoff-health/handoff/adapters/ehr/mllp"
)

// newMLLPCommand is for those who connect an HL7 v2 feed.
func newMLLPCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "mllp",
		Short:   "Try an HL7 v2 connection",
		Example: "  handoff mllp send --to 127.0.0.1:2575 adt.hl7",
		Args:    noSubcommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f mllpFlags
	send := &cobra.Command{
		Use:   "send --to HOST:PORT FILE…",
		Short: "Send HL7 v2 messages by MLLP",
		Long: `Send the HL7 v2 messages of files, or of standard input (-), by MLLP, in order,
over one connection, and print what was said of each as a line of JSON. A file
may hold several messages, framed or not, in a batch or not.

An acknowledgement counts for the message whose MSH-10 stands in its MSA-2. With
MSH-15 or MSH-16 in a message, what they ask for is waited for: the commit
acknowledgement (CA, CE, CR) and that of the application (AA, AE, AR). A message
of which nothing was heard is sent again, with the same bytes.

With --tls the server's certificate is checked against the authorities of this
machine, or of --tls-ca; there is no way not to check it.

Exit status: 0 all messages were taken, 3 some were refused, 1 of some nothing was
heard or a file cannot be read, 2 the command line is wrong.`,
		Example: `  handoff mllp send --to 127.0.0.1:2575 adt.hl7
  handoff mllp send --to gateway.example:2575 --tls-ca ca.pem --tls-cert epic.pem --tls-key epic.key adt/*.hl7`,
		RunE: func(cmd *cobra.Command, args []string) error { return runMLLPSend(cmd, args, &f) },
	}
	fl := send.Flags()
	fl.StringVar(&f.to, "to", "", "address of the listener, host:port")
	fl.BoolVar(&f.tls, "tls", false, "speak TLS; any other --tls flag says so too")
	fl.StringVar(&f.ca, "tls-ca", "", "file of authorities in PEM; default those of this machine")
	fl.StringVar(&f.cert, "tls-cert", "", "own certificate, in PEM")
	fl.StringVar(&f.key, "tls-key", "", "its key, in PEM")
	fl.StringVar(&f.name, "tls-name", "", "name in the server's certificate; default the host")
	fl.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long an acknowledgement is waited for")
	fl.IntVar(&f.tries, "tries", 3, "how often a message is sent at most")
	fl.StringSliceVar(&f.retryOn, "retry-on", nil, "codes after which a message is sent again: AE, CE, AR, CR")
	cmd.AddCommand(send)
	return cmd
}

type mllpFlags struct {
	to, ca, cert, key, name string
	tls                     bool
	timeout                 time.Duration
	tries                   int
	retryOn                 []string
}

// A sentLine is what is printed of one message.
type sentLine struct {
	File        string        `json:"file"`
	Message     int           `json:"message"` // in the file, from 1
	ControlID   string        `json:"controlId"`
	Mode        string        `json:"mode"` // original, enhanced
	Accepted    bool          `json:"accepted"`
	Commit      hl7v2.AckCode `json:"commit,omitempty"`
	Application hl7v2.AckCode `json:"application,omitempty"`
	Text        string        `json:"text,omitempty"`
	Errors      []string      `json:"errors,omitempty"`
	Strays      int           `json:"otherAcknowledgements,omitempty"`
	Tries       int           `json:"tries"`
	Millis      int64         `json:"ms"`
	Error       string        `json:"error,omitempty"`
}

func runMLLPSend(cmd *cobra.Command, args []string, f *mllpFlags) error {
	s, err := f.sender()
	if err != nil {
		return err
	}
	paths, err := inputs(cmd, args)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // every message has its answer by then
	out := json.NewEncoder(cmd.OutOrStdout())
	refused, unheard := 0, 0
	for _, p := range paths {
		in, closer, err := p.Open()
		if err != nil {
			return err
		}
		raw, err := io.ReadAll(in.Reader)
		if err = errors.Join(err, closer.Close()); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		messages, rest := mllp.Messages(raw)
		if len(messages) == 0 || rest {
			return fmt.Errorf("%s: there is text before the first MSH segment; nothing of this file was sent", p.Name)
		}
		for i, m := range messages {
			r := s.Send(cmd.Context(), m)
			if err := out.Encode(lineOfResult(p.Name, i+1, &r)); err != nil {
				return err
			}
			switch {
			case cmd.Context().Err() != nil:
				return errors.New("interrupted")
			case r.Err != nil:
				unheard++
			case !r.Accepted():
				refused++
			}
		}
	}
	switch {
	case unheard > 0:
		return fmt.Errorf("nothing was heard of %d messages", unheard)
	case refused > 0:
		return &exitError{code: exitRejected}
	}
	return nil
}

func lineOfResult(file string, n int, r *mllp.Result) sentLine {
	l := sentLine{File: file, Message: n, ControlID: r.ControlID, Mode: "original", Accepted: r.Accepted(), Commit: r.Commit, Application: r.Application,
		Text: r.Text, Errors: r.Errors, Strays: r.Strays, Tries: r.Tries, Millis: r.Took.Milliseconds()}
	if r.Enhanced {
		l.Mode = "enhanced"
	}
	if r.Err != nil {
		l.Error = r.Err.Error()
	}
	return l
}

// sender makes a sender of the flags.
func (f *mllpFlags) sender() (*mllp.Sender, error) {
	host, _, err := net.SplitHostPort(f.to)
	switch {
	case f.to == "":
		return nil, usageError("the flag --to HOST:PORT is missing")
	case err != nil:
		return nil, usageError("--to: %w", err)
	case (f.cert == "") != (f.key == ""):
		return nil, usageError("--tls-cert and --tls-key go together")
	case f.tries < 1 || f.timeout <= 0:
		return nil, usageError("--tries and --timeout must be more than 0")
	}
	s := &mllp.Sender{Address: f.to, Timeout: f.timeout, Tries: f.tries}
	for _, c := range f.retryOn {
		code := hl7v2.AckCode(strings.ToUpper(c))
		if !slices.Contains([]hl7v2.AckCode{hl7v2.ApplicationError, hl7v2.ApplicationReject, hl7v2.CommitError, hl7v2.CommitReject}, code) {
			return nil, usageError("--retry-on %s: the codes are AE, AR, CE, CR", c)
		}
		s.RetryOn = append(s.RetryOn, code)
	}
	if f.tls || f.ca != "" || f.cert != "" || f.name != "" {
		s.TLS, err = f.config(host)
	}
	return s, err
}

func (f *mllpFlags) config(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if f.name != "" {
		c.ServerName = f.name
	}
	if f.ca != "" {
		raw, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("--tls-ca %s: there is no certificate in PEM in it", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
