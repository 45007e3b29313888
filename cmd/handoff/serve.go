package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handoff-health/handoff/gateway/config"
	"github.com/handoff-health/handoff/gateway/rest"
)

// newServeCommand runs the gateway.
func newServeCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the gateway",
		Long: `Run the gateway that FILE describes: FHIR under the path of server.base, the
token endpoint at /oauth/token, /healthz and /readyz. It stops on an interrupt,
after the requests under way have been answered.

A feed whose mapping cannot be used does not keep it from starting: the log,
/readyz and 'handoff feeds list' say so, and the feed runs when its files are
mended. 'handoff config check' fails for such a feed.`,
		Example: "  handoff serve --config handoff.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usageError("serve needs --config FILE; see 'handoff config --help' for what is in it")
			}
			c, err := loadConfig(path)
			if err != nil {
				return err
			}
			log := newLogger(cmd.ErrOrStderr(), c.Telemetry.Level)
			g, err := assemble(cmd.Context(), c, log)
			if err != nil {
				return err
			}
			return errors.Join(g.serve(cmd.Context()), g.Close())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file")
	return cmd
}

// serve runs the whole gateway until the context ends. It does not count as one that
// has served from the store before it can listen.
func (g *running) serve(ctx context.Context) error {
	l, err := net.Listen("tcp", g.config.Server.Listen)
	if err != nil {
		return fmt.Errorf("server.listen %s: %w", g.config.Server.Listen, err)
	}
	defer func() { _ = l.Close() }() // serving closes it too
	s, err := newHTTPServer(g.config, g.whileCurrent(g.handler), g.log)
	if err != nil {
		return err
	}
	ctx, g.giveUp = context.WithCancel(ctx)
	defer g.giveUp()
	stopMetrics, err := g.serveMetrics(ctx)
	if err != nil {
		return err
	}
	defer stopMetrics()
	if err := g.peers.Stay(ctx); err != nil {
		return err
	}
	stopDelivering, stopFeeds := g.deliver(ctx), g.runFeeds(ctx)
	err = serveUntil(ctx, l, s, g.config, g.log)
	return errors.Join(g.outdatedErr(), err, atMost(stopWithin, func() {
		stopFeeds()
		stopDelivering()
	}))
}

// stopWithin is how long a gateway that stops waits for what its feeds and its background
// work have to write. With the ten seconds that requests have, it stays below the thirty
// that Kubernetes gives.
const stopWithin = 12 * time.Second

// atMost waits for stop as long as it may take. A store that is away does not give up a
// write that was begun, and several wait for each other. What was not written is as
// after a kill.
func atMost(limit time.Duration, stop func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		stop()
	}()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return fmt.Errorf("what the gateway had to write at its end was not written within %v, as if it had been killed: the store is slow or away", limit)
	}
}

// serveOn serves one listener and shuts down gently.
func serveOn(ctx context.Context, l net.Listener, c *config.Config, h http.Handler, log *slog.Logger) error {
	s, err := newHTTPServer(c, h, log)
	if err != nil {
		return err
	}
	return serveUntil(ctx, l, s, c, log)
}

func newHTTPServer(c *config.Config, h http.Handler, log *slog.Logger) (*http.Server, error) {
	s := rest.NewServer(h, log)
	if c.Server.TLSCert == "" {
		return s, nil
	}
	cert, err := newCertificate(c.Path(c.Server.TLSCert), c.Path(c.Server.TLSKey), log)
	if err != nil {
		return nil, fmt.Errorf("server.tlsCert: %w", err)
	}
	s.TLSConfig = rest.TLS()
	s.TLSConfig.GetCertificate = cert.get
	return s, nil
}

func serveUntil(ctx context.Context, l net.Listener, s *http.Server, c *config.Config, log *slog.Logger) error {
	tuneMemory()
	failed := make(chan error, 1)
	go func() {
		if c.Server.TLSCert != "" {
			failed <- s.ServeTLS(l, "", "")
			return
		}
		failed <- s.Serve(l)
	}()
	log.Info("the gateway listens", "address", l.Addr().String(), "base", c.Server.Base)
	select {
	case err := <-failed:
		return fmt.Errorf("server: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		return fmt.Errorf("server: shutdown: %w", err)
	}
	return nil
}

const (
	// gcPercent lets the heap grow to five times what is alive before it is
	// collected: what is alive is small, and collecting it for every few hundred
	// requests costs more than all decisions together.
	gcPercent = 400
	// memoryLimit is where the collector works harder, in bytes.
	memoryLimit = 128 << 20
	// convertLimit is the same for convert, which remembers each record of its
	// input by key, version and digest to give it out once: a million records
	// are 120 MiB.
	convertLimit = 200 << 20
)

// boundMemory makes the collector work harder near a limit, unless GOMEMLIMIT
// says otherwise.
func boundMemory(limit int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}

// tuneMemory sets the collector for a server, unless GOGC or GOMEMLIMIT say
// otherwise.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	boundMemory(memoryLimit)
}

// newLogger writes text for people; it never gets a body, a token or a name.
func newLogger(w interface{ Write([]byte) (int, error) }, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

func newRequestID() string { return strings.ToLower(rand.Text()) }
