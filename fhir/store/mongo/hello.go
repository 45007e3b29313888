package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/handoff-health/handoff/fhir/store"
)

// leastWire is the oldest wire version that the store works with: MongoDB 5.0.
const leastWire = 13

// A hello is what a member says of itself.
type hello struct {
	Writable  bool      `bson:"isWritablePrimary"`
	Secondary bool      `bson:"secondary"`
	Arbiter   bool      `bson:"arbiterOnly"`
	ReadOnly  bool      `bson:"readOnly"`
	Fresh     bool      `bson:"isreplicaset"` // a member of a replica set that is not initiated
	SetName   string    `bson:"setName"`
	Msg       string    `bson:"msg"` // "isdbgrid" of a router
	Primary   string    `bson:"primary"`
	MaxWire   int32     `bson:"maxWireVersion"`
	LocalTime time.Time `bson:"localTime"`
}

// errUnfit is a member that the store cannot work with.
var errUnfit = errors.New("cannot be used")

// fit says why the store cannot work with a member.
func (h hello) fit() error {
	elsewhere := ""
	if h.Primary != "" {
		elsewhere = "; its primary is " + h.Primary
	}
	switch {
	case h.MaxWire < leastWire:
		return fmt.Errorf("%w: its wire version is %d, it is older than MongoDB 5.0 (wire version %d)", errUnfit, h.MaxWire, leastWire)
	case h.Arbiter:
		return fmt.Errorf("%w: it is an arbiter of the replica set %s, which holds no data%s", errUnfit, h.SetName, elsewhere)
	case h.Secondary:
		return fmt.Errorf("%w: it is a secondary of the replica set %s and takes no writes%s; leave directConnection out or connect to the primary", errUnfit, h.SetName, elsewhere)
	case h.Fresh:
		return fmt.Errorf("%w: it belongs to a replica set that has not been initiated (rs.initiate)", errUnfit)
	case h.ReadOnly:
		return fmt.Errorf("%w: it is read-only", errUnfit)
	case !h.Writable:
		return fmt.Errorf("%w: it takes no writes now: it starts, recovers or has no primary%s", errUnfit, elsewhere)
	}
	return nil
}

// replicated says that there are members, or shards of them: read concerns other than
// local mean something then.
func (h hello) replicated() bool { return h.SetName != "" || h.Msg == "isdbgrid" }

// sayHello asks the member that commands go to what it is.
func (db *DB) sayHello(ctx context.Context) (h hello, err error) {
	err = db.client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	return h, err
}

// checkServer finds a member that can serve, or says why there is none. It notes what
// kind of deployment that is of.
func (db *DB) checkServer(ctx context.Context) error {
	begun := time.Now()
	h, err := db.sayHello(ctx)
	if err == nil {
		if err := h.fit(); err != nil {
			return fmt.Errorf("%s: the member %w", db.where(), err)
		}
		db.replicated = h.replicated()
		return db.checkSeeds(ctx, h)
	}
	if strings.Contains(err.Error(), "reports wire version") { // an error of the driver without a type
		return &fault{text: fmt.Sprintf("%s: the member %v: it is older than MongoDB 5.0: %v", db.where(), errUnfit, err), is: errUnfit, cause: err}
	}
	var none topology.ServerSelectionError
	if ctx.Err() != nil || !errors.As(err, &none) && !isNetwork(err) {
		return db.explain(err)
	}
	after := time.Since(begun).Round(time.Millisecond)
	return &fault{
		text: fmt.Sprintf("%s: no member that can serve was found within %v: %s", db.where(), after, strings.Join(db.probe(ctx, none), "; ")),
		is:   store.ErrAway, cause: err,
	}
}
