package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/handoff-health/handoff/conformance/attack"
	"github.com/handoff-health/handoff/gateway/guard"
)

// TestGuardsAreMissed takes one guard away after the other and wants every
// attack that falls to it to succeed: what nothing misses proves nothing. With all
// guards standing the same attacks are stopped.
func TestGuardsAreMissed(outer *testing.T) {
	gateways := map[string]*attack.Target{} // by area: what an attack leaves behind stays there
	for i, n := range guard.All() {
		if testing.Short() && i%6 != 0 { // the race detector needs no more
			continue
		}
		outer.Run(string(n), func(t *testing.T) {
			families := attack.Against(n)
			if where := beyondHTTP[n]; len(families) == 0 && where != "" {
				t.Skip("no request reaches it; " + where)
			}
			if len(families) == 0 {
				t.Fatal("no attack falls to this guard")
			}
			target := gateways[n.Area()]
			if target == nil {
				target = besieged(t, outer)
				gateways[n.Area()] = target
			}
			for _, r := range attack.Run(target, families) {
				if r.Verdict != attack.Stopped {
					t.Errorf("with all guards standing, %s/%s: %s: %s", r.Area, r.Attack.Name, r.Verdict, r.Detail)
				}
			}
			guard.Disable(t, n)
			succeeded := 0
			for _, r := range attack.Run(target, families) {
				switch r.Verdict {
				case attack.Succeeded:
					succeeded++
				case attack.Stopped:
					t.Errorf("without the guard, %s/%s is still stopped: it does not fall to it, or something else stops it too", r.Area, r.Attack.Name)
				default:
					t.Errorf("without the guard, %s/%s: %s: %s", r.Area, r.Attack.Name, r.Verdict, r.Detail)
				}
			}
			if succeeded == 0 {
				t.Error("nothing misses it")
			}
		})
	}
}

// beyondHTTP are second checks behind pages and configurations that do not let the
// attack come so far, with the tests that take them away.
var beyondHTTP = map[guard.Name]string{
	guard.AuthorizeDecision: "gateway/oauth: the pages hand on no scope that was not asked for",
	guard.AuthorizePolicy:   "gateway/oauth: a registration that changes between code and token",
	guard.SignInLock:        "gateway/signin: users kept here exist in the demo alone",
	guard.SignInNext:        "gateway/signin: where a sign-in ends is written by the gateway itself",
}

// besieged starts a gateway in this process, with the attackers' county. It lasts
// until the outer test ends.
func besieged(t, outer *testing.T) *attack.Target {
	t.Helper()
	dir := outer.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	county, err := attack.NewCounty(context.Background(), dir, l.Addr().String(), func(ctx context.Context, args ...string) error {
		root := newRootCommand()
		root.SetArgs(args)
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		return root.ExecuteContext(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(county.Config)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	ahead := new(atomic.Int64)
	clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	outer.Cleanup(func() { clock = nil })
	g, err := assemble(context.Background(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serveOn(ctx, l, c, g.handler, log) }()
	outer.Cleanup(func() {
		stop()
		<-served
		_ = g.Close()
		_ = county.Close()
	})
	target, err := county.Target(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	target.Later = func(d time.Duration) { ahead.Store(int64(d)) }
	return target
}
