package mongo

import "context"

// Drop removes a database with all that is in it, and says nothing if there is
// none. It is for databases of tests and of the demo.
func Drop(ctx context.Context, uri string, o Options) error { return errNotYet }
