package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often a handshake looks whether the files have changed.
const lookEvery = 10 * time.Second

// A certificate is the server's, read again when its files change: one that is
// renewed needs no restart. While the new files cannot be read together, as in
// the midst of a renewal, the former one serves on.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]time.Time // when the files that it was read from were changed
	looked  time.Time
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	seen, err := c.changed()
	if err != nil {
		return nil, err
	}
	return c, c.read(seen)
}

// changed returns when each file was.
func (c *certificate) changed() (seen [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return seen, err
		}
		seen[i] = info.ModTime()
	}
	return seen, nil
}

func (c *certificate) read(seen [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.seen = &pair, seen
	return nil
}

// get is tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		seen, err := c.changed()
		if err == nil && seen != c.seen {
			if err = c.read(seen); err == nil {
				c.log.Info("the server's certificate was renewed")
			}
		}
		if err != nil {
			c.log.Warn("the server's certificate cannot be read again; the former one serves on", "error", err)
		}
	}
	return c.current, nil
}
