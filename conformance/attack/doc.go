// Package attack is what somebody with a valid token for one thing, or with none,
// tries in order to get another: a list of attacks, each a statement with its
// reason, done over HTTP alone against a running gateway. It decides nothing
// about a gateway's insides and reads none of its files but the keys that it is
// given.
//
// An attack holds if the gateway gave nothing. Beside each family of attacks
// stands a control, the same request without the attack, which must succeed: a
// gateway that refuses everything passes nothing. What an attack needs and was
// not given makes it skipped, by name.
//
// [All] is the list, [Run] does it. The suite's own test starts a gateway with
// the county of this package, or takes the one at $HANDOFF_URL (README.md). The
// mutation test in cmd/handoff takes one guard of gateway/guard away after the
// other and wants to see an attack succeed each time.
package attack
