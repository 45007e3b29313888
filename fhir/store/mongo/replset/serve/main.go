//go:build unix

// Command serve runs a replica set of mongod on this machine until it is interrupted,
// and prints its URI when it has a primary:
//
//	go run ./fhir/store/mongo/replset/serve -mongod "$(.ci/mongo/mongod.sh)"
//
// What is in it is gone with it. It is for trying the store by hand and for the tests
// of .ci/mongo; nothing of the gateway calls it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/handoff-health/handoff/fhir/store/mongo/replset"
)

func main() {
	var c replset.Config
	flag.StringVar(&c.Mongod, "mongod", "", "path of the binary")
	flag.IntVar(&c.Members, "members", 3, "how many")
	flag.IntVar(&c.FirstPort, "port", 0, "of the first member, each further one has the next (default: any that are free)")
	flag.BoolVar(&c.Standalone, "standalone", false, "one server that is no member of a set")
	flag.Parse()
	if c.Standalone {
		c.Members = 1
	}
	if err := serve(c); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func serve(c replset.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := replset.Start(ctx, c)
	if err != nil {
		return err
	}
	fmt.Println(s.URI())
	<-ctx.Done()
	return s.Stop()
}
