#!/usr/bin/env bash
# What CI runs on MongoDB: .ci/mongo/test.sh [suites|gateway|feeds|kill|members|set]...;
# without arguments what CI runs: suites, gateway, kill, members.
#   suites  the store's suite, cut connections, its races under the race
#           detector, the same answers as the embedded store, the attacks, the demo,
#           two gateways on one store
#   gateway the tests of what stands on the store, with their data there: consents, tokens
#           and their ends, sign-in, registrations, links
#   feeds   the same of feeds, their queues, and limits; CI has no time for them
#   kill    the server is killed in the middle of acknowledged writes
#   members replica sets of mongod that the tests make and break: the primary changes in
#           the middle of writes, members are cut off and lag; users, TLS, certificates
#   set     suites, gateway and feeds, on a replica set of three mongod that is made for it
# For the first four $HANDOFF_TEST_MONGO_URI names the deployment: each test makes databases
# handoff_test_… there and drops them. Without it start.sh makes a server, apart from
# that of `make mongo`: it is the only kind that gets killed. It is stopped in the end.
# `.ci/mongo/test.sh count` prints how many tests members are.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
export DOCDB_DIR=${DOCDB_DIR:-/tmp/handoff-mongo-test} DOCDB_PORT=${DOCDB_PORT:-27018} DOCDB_PGPORT=${DOCDB_PGPORT:-15434}
. "$here/settings.sh"
cd "$here/../.."
started=$SECONDS own= logs=
note() { printf -- '-- %s (%ds)\n' "$1" "$((SECONDS - started))"; }
[ $# -gt 0 ] || set -- suites gateway kill members
# The tests of members, by name.
members='TestThePrimaryChangesUnderWriters|TestADeposedPrimaryHidesNothing|TestMembersThatLag|TestUsersCertificatesAndRights|TestMembersOfMongodThatCannotServe'
count() { echo "$members" | tr '|' '\n' | wc -l; }
if [ "$1" = count ]; then count; exit; fi
case " $* " in
  *" suites "* | *" gateway "* | *" feeds "* | *" kill "*)
    if [ -z "${HANDOFF_TEST_MONGO_URI:-}" ]; then
      [ -n "$(front)" ] || trap '"$here/stop.sh"' EXIT
      HANDOFF_TEST_MONGO_URI=$("$here/start.sh")
      own=1
      logs=$D/log
    else
      logs=$(mktemp -d) # $D may be somebody else's
      trap 'rm -rf "$logs"' EXIT
    fi
    export HANDOFF_TEST_MONGO_URI ;;
esac

suites() {
  local race=-race
  [ "$(go env CGO_ENABLED)" = 1 ] && command -v gcc >/dev/null || { race=; echo "SKIPPED: there is no C compiler, the race detector does not run in the suites on MongoDB"; }
  # Half of the store's tests wait, for restarts and cut connections: they run in two
  # parts, and the rest goes on meanwhile. Under the race detector the whole takes three
  # times as long: there it is the tests in which several work at once, in short mode.
  local shared='^(TestSuite|TestTransfer|TestCheckFindsAndMends)$'
  note "the store: contract, races, kill -9 of writers, cut connections; its output comes last"
  go test -count=1 -timeout 25m -run "$shared" ./fhir/store/mongo >"$logs/suite.log" 2>&1 &
  local suite=$! failed=
  go test -count=1 -timeout 25m -skip "$shared" ./fhir/store/mongo >"$logs/store.log" 2>&1 &
  local store=$!
  note "the same answers as the embedded store"
  go test -count=1 -timeout 15m ./conformance/answers || failed="$failed answers"
  note "attacks, and the demo's printed lines, on a gateway that keeps its data there"
  HANDOFF_TEST_STORE=mongo go test -count=1 -timeout 15m ./conformance/attack || failed="$failed attacks"
  HANDOFF_TEST_STORE=mongo go test -count=1 -timeout 15m -run 'TestDemo' ./cmd/handoff || failed="$failed lines"
  note "two gateways as processes: one is killed and started again, attacks go to both in turn, limits"
  go test -count=1 -timeout 15m -run '^(TestTwoGatewaysOfOneStore|TestAttacksOnTwoGatewaysInTurn|TestLimitsHoldOverTwoGateways)$/^mongo' ./cmd/handoff || failed="$failed gateways"
  note "handoff demo --once --store"
  go run ./cmd/handoff demo --once --addr 127.0.0.1:0 --store "$HANDOFF_TEST_MONGO_URI" >"$logs/demo.log" 2>&1 ||
    { failed="$failed demo"; tail -n 20 "$logs/demo.log"; }
  if [ -n "$race" ]; then
    note "the store's races under the race detector"
    go test -race -short -count=1 -timeout 15m -run 'TestSuite|TestEpoch|TestJoined|TestAborted|TestCloseLeaves|TestStreamsOf|TestManyProcesses|TestUnitsIn|TestClaimsOfSeveral|TestNothingGoesBack|TestLostAnswers$|TestExpungeWhile|TestSearchesWhile|TestResolveSlowly' ./fhir/store/mongo || failed="$failed race"
  fi
  wait "$suite" || failed="$failed suite"
  wait "$store" || failed="$failed store"
  cat "$logs/suite.log" "$logs/store.log"
  [ -z "$failed" ] || fail "on MongoDB:$failed"
}

# gateway runs what stands on the store. Each test makes a database, which costs the server
# half a second: of the gateway's own it is what asks the store most, consents and their ends.
# The hostile providers of sign-in ask it nothing.
gateway() {
  local failed=
  export HANDOFF_TEST_STORE=mongo
  note "consent epoch, leases, tokens and their ends, authorization, sign-in, registrations, links"
  go test -p 2 -vet=off -count=1 -timeout 12m -skip '^(TestHostileProviders|TestHostileDiscovery)$' ./fhir/store/epoch ./fhir/store/lease \
    ./gateway/auth ./gateway/oauth ./gateway/signin ./gateway/registration ./gateway/identity || failed="$failed packages"
  note "consents, who may revoke, expunges, at the gateway"
  go test -vet=off -count=1 -timeout 10m -run 'Revo|Consent|Deny|Expunge' ./gateway || failed="$failed gateway"
  unset HANDOFF_TEST_STORE
  [ -z "$failed" ] || fail "on MongoDB:$failed"
}

# feeds runs what brings records, of ingest's own what asks the store most: restrictions,
# updates, expunges and resumed runs.
feeds() {
  local failed=
  export HANDOFF_TEST_STORE=mongo
  note "queues of feeds, limits"
  go test -p 2 -vet=off -count=1 -timeout 10m ./gateway/limit ./adapters/inbox || failed="$failed queues"
  note "feeds: restrictions in any order, updates, expunges, runs that go on"
  go test -vet=off -count=1 -timeout 10m -run '^Test(Restrictions|Updates|UpdatesOfTwo|ARunGoesOn|AnInterruptedUpdate|Expunge|EventsOfASealed)' ./adapters/ingest || failed="$failed feeds"
  unset HANDOFF_TEST_STORE
  [ -z "$failed" ] || fail "on MongoDB:$failed"
}

killing() {
  [ -n "$own" ] || { echo "SKIPPED: the deployment that HANDOFF_TEST_MONGO_URI names is not killed, 1 test was not run"; return; }
  note "the server is killed, each half of it and both"
  HANDOFF_TEST_MONGO_SCRIPTS=$here \
    go test -count=1 -timeout 15m -v -run 'TestServerKilled' ./fhir/store/mongo
}

members() {
  local mongod
  mongod=$("$here/mongod.sh") || { echo "SKIPPED: there is no mongod to be had here, $(count) tests of members that fail, lag or ask for users were not run"; return; }
  note "members of mongod: the primary changes under writers, a deposed one, members that lag; users, TLS, certificates"
  HANDOFF_TEST_MONGOD=$mongod go test -count=1 -timeout 10m -v -run "^($members)\$" ./fhir/store/mongo
}

on_set() {
  local mongod
  mongod=$("$here/mongod.sh")
  logs=$(mktemp -d)
  go build -o "$logs/serve" ./fhir/store/mongo/replset/serve
  "$logs/serve" -mongod "$mongod" >"$logs/uri" &
  serve=$!
  trap 'kill "$serve" && wait "$serve"; rm -rf "$logs"' EXIT
  for _ in $(seq 600); do [ ! -s "$logs/uri" ] || break; kill -0 "$serve" || fail "the replica set does not start"; sleep 0.1; done
  HANDOFF_TEST_MONGO_URI=$(cat "$logs/uri")
  export HANDOFF_TEST_MONGO_URI
  note "a replica set of $mongod: $HANDOFF_TEST_MONGO_URI"
  suites
  gateway
  feeds
}

for what in "$@"; do
  case $what in
    suites) suites ;;
    gateway) gateway ;;
    feeds) feeds ;;
    kill) killing ;;
    members) members ;;
    set) on_set ;;
    *) fail "what is $what? suites, gateway, feeds, kill, members or set" ;;
  esac
done
note "done"
