package oauth

import "errors"

// ErrNoRequest says that no request with this id waits: it never did, was
// answered, or is too old.
var ErrNoRequest = errors.New("no such authorization request")
