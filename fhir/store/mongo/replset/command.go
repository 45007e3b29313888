//go:build unix

package replset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	answerWithin = 20 * time.Second
	helloWithin  = time.Second // of a member that may be stopped
)

// Run has one member carry out a command on the database admin, as a user who may do
// anything, and gives its answer.
func (s *Set) Run(ctx context.Context, i int, command bson.D) (raw bson.Raw, err error) {
	client, err := s.client(i)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Disconnect(context.WithoutCancel(ctx))) }()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	raw, err = client.Database("admin").RunCommand(ctx, command).Raw()
	if err != nil {
		return nil, fmt.Errorf("%s at member %d: %w", command[0].Key, i, err)
	}
	return raw, nil
}

// client connects to one member past its proxy.
func (s *Set) client(i int) (*driver.Client, error) {
	o := options.Client().ApplyURI(s.uri(s.members[i].server(), "directConnection", "true"))
	if s.secrets != nil && s.secrets.made {
		o.SetAuth(options.Credential{Username: admin, Password: s.secrets.Password, AuthSource: "admin"})
	}
	return driver.Connect(o)
}

// A state is what a member takes itself for.
type state struct {
	Writable  bool `bson:"isWritablePrimary"`
	Secondary bool `bson:"secondary"`
}

// state asks a member.
func (s *Set) state(ctx context.Context, i int) (is state, err error) {
	if m := s.members[i]; m.process == nil || m.paused {
		return is, errors.New("it does not run")
	}
	ctx, cancel := context.WithTimeout(ctx, helloWithin)
	defer cancel()
	raw, err := s.Run(ctx, i, bson.D{{Key: "hello", Value: 1}})
	if err == nil {
		err = bson.Unmarshal(raw, &is)
	}
	return is, err
}

// IsPrimary says whether a member takes itself for the primary, rightly or not. One that
// does not say so at once, on a busy machine, is asked again.
func (s *Set) IsPrimary(ctx context.Context, i int) bool {
	for until := time.Now().Add(answerWithin); ; {
		is, err := s.state(ctx, i)
		if err == nil || ctx.Err() != nil || s.members[i].process == nil || time.Now().After(until) {
			return err == nil && is.Writable
		}
	}
}

// Primary waits for a member that takes writes, other than one that is left out (-1:
// none is), and gives its number.
func (s *Set) Primary(ctx context.Context, but int) (primary int, err error) {
	err = s.await(ctx, func(is []state) bool {
		primary = slices.IndexFunc(is, func(is state) bool { return is.Writable })
		return primary >= 0 && primary != but
	}, but)
	return primary, err
}

// Settle waits until one member takes writes and each other one follows it.
func (s *Set) Settle(ctx context.Context) error {
	return s.await(ctx, func(is []state) bool {
		primaries, others := 0, 0
		for _, m := range is {
			if m.Writable {
				primaries++
			} else if m.Secondary {
				others++
			}
		}
		return primaries == 1 && others == len(is)-1
	}, -1)
}

// await asks the members, but one, again and again until they are as they should be.
func (s *Set) await(ctx context.Context, right func([]state) bool, but int) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		is, met := make([]state, len(s.members)), make([]error, len(s.members))
		for i := range s.members {
			if i != but {
				is[i], met[i] = s.state(ctx, i)
			}
		}
		if right(is) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the members are %+v: %w", is, errors.Join(append(met, ctx.Err())...))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// StepDown has the primary give way, and keeps it from being elected again for a while.
func (s *Set) StepDown(ctx context.Context, i int) error {
	_, err := s.Run(ctx, i, bson.D{{Key: "replSetStepDown", Value: 10}, {Key: "secondaryCatchUpPeriodSecs", Value: 5}, {Key: "force", Value: true}})
	return err
}

// StepUp has a member stand for election now.
func (s *Set) StepUp(ctx context.Context, i int) error {
	_, err := s.Run(ctx, i, bson.D{{Key: "replSetStepUp", Value: 1}})
	return err
}

// Lag has a secondary take nothing more from the primary, or go on with it. It needs
// Breakable.
func (s *Set) Lag(ctx context.Context, i int, on bool) error {
	mode := "off"
	if on {
		mode = "alwaysOn"
	}
	_, err := s.Run(ctx, i, bson.D{{Key: "configureFailPoint", Value: "rsSyncApplyStop"}, {Key: "mode", Value: mode}})
	return err
}
