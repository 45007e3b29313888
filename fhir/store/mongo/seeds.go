package mongo

import (
	"context"
	"fmt"
	"sync"
)

// notAlone is what is wrong with a host of no replica set, beside others.
const notAlone = "it is of no replica set, so it cannot be one of several hosts: name it alone"

// checkSeeds refuses hosts that do not belong together, where the URI does not name
// their replica set: the driver goes with the one that answers first, and at the next
// start that may be another, with another store. One that does not answer now may be
// such a host: that is told.
func (db *DB) checkSeeds(ctx context.Context, used hello) error {
	switch {
	case len(db.dial.Hosts) < 2, db.dial.ReplicaSet != nil:
		return nil
	case !used.replicated(): // the driver leaves it as soon as it has heard of another
		return fmt.Errorf("%s: the member %w: %s", db.where(), errUnfit, notAlone)
	case used.SetName == "": // routers have no names
		return nil
	}
	said := make([]hello, len(db.dial.Hosts))
	away := make([]error, len(db.dial.Hosts))
	var asking sync.WaitGroup
	for i, host := range db.dial.Hosts {
		asking.Go(func() { said[i], away[i] = db.helloOf(ctx, host, db.dial.TLSConfig) })
	}
	asking.Wait()
	for i, host := range db.dial.Hosts {
		switch set := said[i].SetName; {
		case away[i] != nil:
			db.log.Warn("store: the URI names several hosts and no replica set, and one of them does not answer; if it belonged to another set, the store could be taken there: add replicaSet to the URI",
				"host", host, "replicaSet", used.SetName)
		case set == "":
			return fmt.Errorf("%s: the URI names hosts that do not belong together: %s is of no replica set, others are of %s; name those of one, and add replicaSet=%[3]s", db.where(), host, used.SetName)
		case set != used.SetName:
			return fmt.Errorf("%s: the URI names hosts that do not belong together: %s is of the replica set %s, others are of %s; name those of one, and add its replicaSet", db.where(), host, set, used.SetName)
		}
	}
	return nil
}
