package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/handoff-health/handoff/conformance/loopback"
	"github.com/handoff-health/handoff/fhir/store"
	"github.com/handoff-health/handoff/fhir/store/backend"
	"github.com/handoff-health/handoff/gateway/auth"
)

// fleetSettings is the configuration of a gateway that may share its store.
const fleetSettings = `server: {listen: "%s", base: "http://%s/fhir"}
site: {key: %s, timeZone: America/Chicago}
issuer: {keyFile: %s}
store: {%s}
organizations:
  - {id: clinic, name: Clinic, kind: health}
  - {id: hospital, name: Hospital, kind: health}
clients:
  - {id: ward, organization: hospital, roles: [treating-clinician], purposes: [TREAT], scopes: "system/*.rs system/Consent.c", jwks: '${file:ward.jwks}', recordsConsentFor: [hospital]}
systems:
  - {key: adt, kind: feed, organization: clinic, adapter: ehr/hl7v2, recordsConsentFor: [clinic]}
telemetry: {level: warn}
limits: {requests: -1, users: -1, tokens: -1} # the bench asks as fast as it can
`

const (
	fleetClients = 8
	fleetReads   = 9 // for each write, in the mixed load
	recorded     = 1000
)

// A fleet is gateways on one store, each a process with a folder of its own, as
// behind a load balancer: they share the site's key, the issuer's and the base.
type fleet struct {
	name    string
	address string // of the store
	members []*world
}

// startFleet fills a store and starts gateways on it.
func (b *bench) startFleet(ctx context.Context, name, address string, n int) (*fleet, error) {
	f := &fleet{name: name, address: address}
	dir := filepath.Join(b.dir, "fleet-"+name)
	setting := fmt.Sprintf("mongo: {uri: %q}", address)
	if !backend.IsMongo(address) {
		setting = fmt.Sprintf("sqlite: {path: %q}", address)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, err
	}
	if err := fillFleet(ctx, address, b.short); err != nil {
		return f, err
	}
	key, err := auth.GenerateKey(auth.ES384)
	if err != nil {
		return f, err
	}
	jwks, err := auth.PublicKeys(key)
	if err != nil {
		return f, err
	}
	signer, err := auth.NewSigner("ward", key, 0, nil)
	if err != nil {
		return f, err
	}
	for i := range n {
		w := &world{dir: filepath.Join(dir, fmt.Sprint(i)), binary: filepath.Join(b.dir, "handoff"), signer: signer, scope: "system/Consent.c"}
		if w.listen, err = loopback.Address(); err != nil {
			return f, err
		}
		f.members = append(f.members, w)
		text := fmt.Sprintf(fleetSettings, w.listen, f.members[0].listen, benchKey, filepath.Join(dir, "issuer.jwk"), setting)
		err = errors.Join(os.Mkdir(w.dir, 0o700), os.WriteFile(filepath.Join(w.dir, "ward.jwks"), jwks, 0o600),
			os.WriteFile(filepath.Join(w.dir, "handoff.yaml"), []byte(text), 0o600))
		if err == nil {
			_, err = w.startGateway(ctx)
		}
		if err != nil {
			return f, fmt.Errorf("%s, gateway %d: %w", name, i, err)
		}
	}
	return f, nil
}

func (f *fleet) close() error {
	var errs []error
	for _, w := range f.members {
		errs = append(errs, w.gateway.stop())
	}
	if backend.IsMongo(f.address) {
		errs = append(errs, removeDatabase(f.address))
	}
	return errors.Join(errs...)
}

// seats are the first n gateways.
func (f *fleet) seats(n int) []seat {
	var out []seat
	for _, w := range f.members[:n] {
		out = append(out, seat{w.listen, w.gateway.pid()})
	}
	return out
}

// ownOf is a person about whom Consents are recorded: of so many that none has many.
func ownOf(n int) string { return fmt.Sprintf("own-r%04d", n) }

// fillFleet stores persons who are read and persons about whom is written.
func fillFleet(ctx context.Context, address string, short bool) (err error) {
	db, err := backend.Open(ctx, address, backend.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var ids []string
	for n := range people {
		ids = append(ids, stored.own(n))
	}
	for n := range recordedPeople(short) {
		ids = append(ids, ownOf(n))
	}
	for part := range slices.Chunk(ids, unitSize/2) {
		var unit []store.Write
		for _, id := range part {
			for _, raw := range [][]byte{patient(id), consentFor(id, "hospital", 0)} {
				w, err := writeOf(raw, store.Absent)
				if err != nil {
					return err
				}
				unit = append(unit, w)
			}
		}
		if _, err := db.Apply(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

func recordedPeople(short bool) int {
	if short {
		return people
	}
	return recorded
}

// measureGateways compares one gateway with two on the same MongoDB, and with one on
// the embedded store.
func measureGateways(ctx context.Context, b *bench) (err error) {
	uri := os.Getenv(envMongo)
	if uri == "" {
		fmt.Fprintf(b.log, "bench: %s IS NOT SET: GATEWAYS ON ONE MONGODB ARE NOT MEASURED\n", envMongo)
		return nil
	}
	if err := b.buildGateway(ctx, filepath.Join(b.dir, "handoff")); err != nil {
		return err
	}
	address, err := benchDatabase(uri)
	if err != nil {
		return err
	}
	shared, err := b.startFleet(ctx, "MongoDB", address, 2)
	defer func() { err = errors.Join(err, shared.close()) }()
	if err != nil {
		return err
	}
	single, err := b.startFleet(ctx, "SQLite", filepath.Join(b.dir, "fleet.db"), 1)
	defer func() { err = errors.Join(err, single.close()) }()
	if err != nil {
		return err
	}
	return b.compareGateways(ctx, shared, single)
}

const (
	onSQLite = "SQLite, one gateway"
	oneOf    = "MongoDB, one gateway"
	twoOf    = "MongoDB, two gateways"
)

func (b *bench) compareGateways(ctx context.Context, shared, single *fleet) error {
	kind, err := kindAt(ctx, shared.address)
	if err != nil {
		return err
	}
	t := b.report.section(fmt.Sprintf("Gateways on one store, %d clients in all", fleetClients), "load: way", column{"n", 0}, column{"p50 ms", 2}, column{"p99 ms", 2}, column{"req/s", 0}, column{"CPU µs/req", 0})
	for _, x := range []struct {
		name string
		ask  func(*fleet, string) asker
	}{
		{"reads of the same persons", (*fleet).reads},
		{fmt.Sprintf("%d reads for each write", fleetReads), func(f *fleet, token string) asker { return f.mixed(token, b.short) }},
		{"writes", func(f *fleet, token string) asker { return f.writes(token, b.short) }},
	} {
		ownToken, err := single.members[0].bearer(ctx)
		if err != nil {
			return err
		}
		token, err := shared.members[0].bearer(ctx)
		if err != nil {
			return err
		}
		ways := []way{
			{name: onSQLite, seats: single.seats(1), request: x.ask(single, ownToken)},
			{name: oneOf, seats: shared.seats(1), request: x.ask(shared, token)},
			{name: twoOf, seats: shared.seats(2), request: x.ask(shared, token)},
		}
		r, err := b.compare(ctx, ways, fleetClients)
		if err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
		for _, w := range ways {
			t.add(x.name+": "+w.name, number(r.requests(w.name)), median(r.each(w.name, p50)), median(r.each(w.name, p99)),
				median(r.each(w.name, (*load).rate)), median(r.each(w.name, cost)))
		}
		t.note("%s: req/s of two gateways / of one = %s; of one on MongoDB / on SQLite = %s.", x.name,
			span(pairwise(r.each(twoOf, (*load).rate), r.each(oneOf, (*load).rate), ratio)), span(pairwise(r.each(oneOf, (*load).rate), r.each(onSQLite, (*load).rate), ratio)))
	}
	t.note("Reads are of %d Patients with a Consent each (3,400 bytes), writes are Consents (POST, decided and audited) about %d others. Every request asks the store for its epoch; while nobody writes, the rest comes from memory. CPU is that of the gateways alone: the database, which shares the cores, comes on top. MongoDB here is %s.", people, recordedPeople(b.short), kind)
	return nil
}

// kindAt says what a deployment is.
func kindAt(ctx context.Context, address string) (kind string, err error) {
	db, err := backend.Open(ctx, address, backend.Options{SweepEvery: -1})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return serverKind(ctx, db)
}

func (f *fleet) reads(token string) asker {
	return func(c, turn int) request {
		id := stored.own((c + turn) % people)
		return get(f.members[0].listen, "/fhir/Patient/"+id, token, &answer{status: http.StatusOK, mark: patientMark, count: 1, needles: [][]byte{[]byte(`"id":"` + id + `"`)}})
	}
}

func (f *fleet) writes(token string, short bool) asker {
	return func(c, turn int) request {
		who := ownOf((c*entries + turn + int(time.Now().UnixNano()/1000)%recordedPeople(short)) % recordedPeople(short))
		raw := consentOf(who, "clinic", turn, `"securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]`)
		raw = []byte(strings.Replace(string(raw), `"organization":[{"reference":"Organization/clinic"}]`, `"organization":[{"reference":"Organization/hospital"}]`, 1))
		head := fmt.Sprintf("POST /fhir/Consent HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n", f.members[0].listen, token, len(raw))
		return request{append([]byte(head), raw...), &answer{status: http.StatusCreated, mark: []byte(`"resourceType":"Consent"`), count: 1, needles: [][]byte{[]byte("Patient/" + who)}}}
	}
}

func (f *fleet) mixed(token string, short bool) asker {
	read, write := f.reads(token), f.writes(token, short)
	return func(c, turn int) request {
		if turn%(fleetReads+1) == c%(fleetReads+1) {
			return write(c, turn)
		}
		return read(c, turn)
	}
}
