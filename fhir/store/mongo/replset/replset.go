//go:build unix

package replset

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// name is that of every set.
const name = "rs0"

// Config says what is started.
type Config struct {
	Mongod     string // path of the binary
	Members    int    // 3 if 0
	Standalone bool   // the members know nothing of each other
	// Fresh leaves the replica set without configuration, as rs.initiate finds it.
	Fresh bool
	// Breakable puts a proxy before each member, by which clients and the other members
	// reach it, so that Isolate can part them, and has the members take failpoints.
	Breakable bool
	// Secure has the members ask for TLS and for a user: see Secrets.
	Secure bool
	// ElectAfter is how long members wait for a primary that they do not hear; 2 s if 0.
	ElectAfter time.Duration
	// FirstPort is that of the first member, each further one has the next; any that are
	// free if 0.
	FirstPort int
}

// A Set is a running replica set. Its methods that change it are for one goroutine.
type Set struct {
	config  Config
	dir     string
	members []*member
	cut     cuts
	secrets *Secrets
}

const readyWithin = 3 * time.Minute // of a busy machine with several sets

// Start starts the members and returns when the set has a primary. What it fails with
// holds the end of the log of the member that failed.
func Start(ctx context.Context, c Config) (_ *Set, err error) {
	if c.Members == 0 {
		c.Members = 3
	}
	if c.ElectAfter == 0 {
		c.ElectAfter = 2 * time.Second
	}
	switch {
	case c.Mongod == "":
		return nil, errors.New("replset: no path of a mongod")
	case c.Secure && c.Breakable:
		return nil, errors.New("replset: the proxies of Breakable cannot read TLS, which Secure asks for")
	}
	s := &Set{config: c}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("replset: %w", err), s.Stop())
		}
	}()
	if err := s.prepare(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for i := range s.members {
		if err := s.Restart(ctx, i); err != nil {
			return nil, err
		}
	}
	if !c.Standalone && !c.Fresh {
		if err := s.initiate(ctx); err != nil {
			return nil, err
		}
	}
	if c.Secure {
		return s, s.addAdmin(ctx)
	}
	return s, nil
}

// prepare makes the folder, with what each member needs in it.
func (s *Set) prepare() (err error) {
	if s.dir, err = os.MkdirTemp("", "handoff-replset-"); err != nil {
		return err
	}
	if s.config.Secure {
		if s.secrets, err = makeSecrets(s.dir); err != nil {
			return err
		}
	}
	for i := range s.config.Members {
		m, err := s.newMember(i)
		if err != nil {
			return err
		}
		s.members = append(s.members, m)
	}
	return disown(s.dir)
}

// initiate makes the members a set and waits for its primary.
func (s *Set) initiate(ctx context.Context) error {
	var members bson.A
	for i, m := range s.members {
		members = append(members, bson.M{"_id": i, "host": m.address()})
	}
	settings := bson.M{
		"electionTimeoutMillis": s.config.ElectAfter.Milliseconds(), "heartbeatIntervalMillis": min(s.config.ElectAfter, 2*time.Second).Milliseconds() / 4,
		"chainingAllowed": false, // else a member that lags may hold up one that takes its data from it
	}
	if _, err := s.Run(ctx, 0, bson.D{{Key: "replSetInitiate", Value: bson.M{"_id": name, "members": members, "settings": settings}}}); err != nil {
		return err
	}
	// Else the first of them would wait as long as for a primary that is silent.
	for s.StepUp(ctx, 0) != nil && ctx.Err() == nil && !s.IsPrimary(ctx, 0) {
		time.Sleep(50 * time.Millisecond)
	}
	return s.Settle(ctx)
}

// Stop ends the processes at once and removes what they kept.
func (s *Set) Stop() error {
	var errs []error
	for _, m := range s.members {
		errs = append(errs, m.kill(), m.closeBridge())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// URI names all members, and no user.
func (s *Set) URI() string {
	var hosts []string
	for _, m := range s.members {
		hosts = append(hosts, m.address())
	}
	if s.config.Standalone || s.config.Fresh {
		return s.uri(hosts[0], "directConnection", "true")
	}
	return s.uri(strings.Join(hosts, ","), "replicaSet", name)
}

// Direct names one member alone, and no user.
func (s *Set) Direct(i int) string { return s.uri(s.members[i].address(), "directConnection", "true") }

func (s *Set) uri(hosts, option, value string) string {
	q := url.Values{option: {value}}
	if s.secrets != nil {
		q.Set("tls", "true")
		q.Set("tlsCAFile", s.secrets.CA)
	}
	return "mongodb://" + hosts + "/?" + q.Encode()
}

// Len is how many members there are.
func (s *Set) Len() int { return len(s.members) }
