//go:build unix

// Package replset starts mongod processes on this machine, as one replica set or each
// for itself, and breaks what tests want to see broken: it kills, stops and wakes
// members, has them step down or up, holds their replication back, and cuts the
// connections between members while clients still reach all of them. It is for the tests of
// package mongo, and for whoever wants a replica set to try things on (serve). No gateway
// uses it.
//
// It brings no mongod; .ci/mongo/mongod.sh gets one. The processes listen on 127.0.0.1
// alone, keep all they have in one folder that is removed, and where this process is
// root they run as a user without rights.
//
// Commands and failpoints: https://www.mongodb.com/docs/manual/reference/command/nav-replication/
package replset
