package mongo

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// memberOf is the hello of a primary, that names itself and no other.
func memberOf(set, address string) bson.D {
	return standalone(is("isWritablePrimary"), bson.E{Key: "setName", Value: set}, bson.E{Key: "hosts", Value: bson.A{address}}, bson.E{Key: "primary", Value: address}, bson.E{Key: "me", Value: address})
}

// Hosts of several deployments are refused, whichever of them answers first.
func TestHostsThatDoNotBelongTogetherAreTold(t *testing.T) {
	start := func(set string) string {
		s := &wireServer{answer: plain}
		address := s.start(t, nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hello = memberOf(set, address)
		if set == "" {
			s.hello = standalone(is("isWritablePrimary"))
		}
		return address
	}
	a, b, alone, single := start("rs0"), start("rs1"), start(""), start("")
	for hosts, says := range map[string]string{
		a + "," + b:          "hosts that do not belong together",
		b + "," + a:          "hosts that do not belong together",
		a + "," + alone:      "is of no replica set, others are of rs0",
		alone + "," + single: "it is of no replica set, so it cannot be one of several hosts",
	} {
		err := refused(t, "mongodb://u:"+secret+"@"+hosts+"/db?authMechanism=PLAIN&authSource=$external"+soon)
		t.Log(err)
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", hosts, err, says)
		}
	}
}

// One that does not answer is told, and one set that is named is not asked about.
func TestAHostThatDoesNotAnswerIsToldWhereNoSetIsNamed(t *testing.T) {
	s := &wireServer{answer: func(string, bson.D) any { return failed(4711, "Strange", "the end") }}
	address := s.start(t, nil)
	s.mu.Lock()
	s.hello = memberOf("rs0", address)
	s.mu.Unlock()
	for option, told := range map[string]bool{"": true, "&replicaSet=rs0": false} {
		var log bytes.Buffer
		_, err := Open(t.Context(), "mongodb://"+address+",127.0.0.1:1/db?connectTimeoutMS=1000"+option, Options{SweepEvery: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err == nil || !strings.Contains(err.Error(), "the end") {
			t.Fatalf("%q: %v", option, err)
		}
		if got := strings.Contains(log.String(), "add replicaSet to the URI") && strings.Contains(log.String(), "127.0.0.1:1"); got != told {
			t.Errorf("%q: told %t: %s", option, got, log.String())
		}
	}
}
