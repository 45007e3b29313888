package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/handoff-health/handoff/conformance/attack"
	"github.com/handoff-health/handoff/gateway/guard"
)

// TestGuardsAreMissed takes one guard away after the other and wants every
// attack that falls to it to succeed: what nothing misses proves nothing. With all
// guards standing the same attacks are stopped.
func TestGuardsAreMissed(outer *testing.T) {
	gateways := map[string]*attack.Target{} // by area: what an attack leaves behind stays there
	for _, n := range guard.All() {
		outer.Run(string(n), func(t *testing.T) {
			families := attack.Against(n)
			if len(families) == 0 {
				t.Skip("no attack falls to this guard yet")
			}
			target := gateways[n.Area()]
			if target == nil {
				target = besieged(t, outer)
				gateways[n.Area()] = target
			}
			tried := 0
			for _, r := range attack.Run(target, families) {
				switch r.Verdict {
				case attack.Stopped:
					tried++
				case attack.Skipped:
					t.Logf("%s/%s: %s", r.Area, r.Attack.Name, r.Detail)
				default:
					t.Errorf("with all guards standing, %s/%s: %s: %s", r.Area, r.Attack.Name, r.Verdict, r.Detail)
				}
			}
			if tried == 0 && !t.Failed() {
				t.Skip("what its attacks need is not there yet")
			}
			guard.Disable(t, n)
			succeeded := 0
			for _, r := range attack.Run(target, families) {
				switch r.Verdict {
				case attack.Succeeded:
					succeeded++
				case attack.Stopped:
					t.Errorf("without the guard, %s/%s is still stopped: it does not fall to it, or something else stops it too", r.Area, r.Attack.Name)
				case attack.Skipped: // as before
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

// besieged starts a gateway in this process, with the attackers' county. It lasts
// until the outer test ends.
func besieged(t, outer *testing.T) *attack.Target {
	t.Helper()
	dir, err := os.MkdirTemp("", "handoff-attack-")
	if err != nil {
		t.Fatal(err)
	}
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
		_ = os.RemoveAll(dir)
	})
	target, err := county.Target(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return target
}
