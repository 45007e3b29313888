package main

import (
	"context"
	"fmt"
	"net/http"
)

// A way is one of the processes that can be asked for the same thing.
type way struct {
	name    string
	seats   []seat
	request asker
}

// rounds are what each way took, by name, one load for each round.
type rounds map[string][]*load

// compare sends the same load to each way in turn, round after round.
func (b *bench) compare(ctx context.Context, ways []way, clients int) (rounds, error) {
	out := rounds{}
	for r := range b.pace.pairs {
		for i := range ways {
			w := ways[(i+r)%len(ways)] // nobody is always first
			l, err := drive(ctx, w.seats, requestsOf(clients, w.request), b.pace.window)
			if err != nil {
				return nil, fmt.Errorf("%s, %d clients: %w", w.name, clients, err)
			}
			out[w.name] = append(out[w.name], l)
		}
	}
	return out, nil
}

// each picks one number out of every round of a way.
func (r rounds) each(name string, f func(*load) number) []number {
	var out []number
	for _, l := range r[name] {
		out = append(out, f(l))
	}
	return out
}

func p50(l *load) number  { return number(l.p50.Seconds() * 1e3) }
func p99(l *load) number  { return number(l.p99.Seconds() * 1e3) }
func cost(l *load) number { return l.perRequest() }

func (r rounds) requests(name string) (n int) {
	for _, l := range r[name] {
		n += l.n
	}
	return n
}

var loadColumns = []column{{"n", 0}, {"p50 ms", 2}, {"p99 ms", 2}, {"added p50 ms", 2}, {"added p99 ms", 2}, {"req/s", 0}, {"CPU µs/req", 0}}

const (
	direct       = "upstream directly"
	reverseProxy = "ReverseProxy"
	gateway      = "gateway"
	throughLab   = "gateway, laboratory"
	throughEHR   = "gateway, EHR"
)

func clientsOf(n int) string {
	if n == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", n)
}

// addLines puts the ways of one comparison into the table.
func addLines(t *table, r rounds, ways []way, clients int, base string) {
	for _, w := range ways {
		added50, added99 := missing, missing
		if base != "" && w.name != base {
			added50 = median(pairwise(r.each(w.name, p50), r.each(base, p50), difference))
			added99 = median(pairwise(r.each(w.name, p99), r.each(base, p99), difference))
		}
		t.add(clientsOf(clients)+": "+w.name, number(r.requests(w.name)), median(r.each(w.name, p50)), median(r.each(w.name, p99)),
			added50, added99, median(r.each(w.name, (*load).rate)), median(r.each(w.name, cost)))
	}
}

// noteRatio says what a way costs against another.
func noteRatio(t *table, r rounds, clients int, a, b string) []number {
	costs := pairwise(r.each(a, cost), r.each(b, cost), ratio)
	if !median(costs).known() {
		t.note("%s: CPU was not measured on this system.", clientsOf(clients))
		return costs
	}
	t.note("%s: CPU %s / %s = %s; req/s = %s.", clientsOf(clients), a, b, span(costs), span(pairwise(r.each(a, (*load).rate), r.each(b, (*load).rate), ratio)))
	return costs
}

var (
	observationMark = []byte(`"resourceType":"Observation"`)
	patientMark     = []byte(`"resourceType":"Patient"`)
)

// An asker makes the turn-th request of a client.
type asker func(client, turn int) request

// requestsOf is what each client sends, again and again.
func requestsOf(clients int, ask asker) [][]request {
	out := make([][]request, clients)
	for c := range out {
		for turn := range entries {
			out[c] = append(out[c], ask(c, turn))
		}
	}
	return out
}

// measureReads reads one Observation of a connected system.
func measureReads(ctx context.Context, b *bench) error {
	w, err := b.needBrokered(ctx)
	if err != nil {
		return err
	}
	t := b.report.table("Brokered read of one Observation (1.2 kB)", "clients, way", loadColumns...)
	return b.brokered(ctx, t, "read", w.directRead, w.brokeredRead)
}

// measureSearches searches all Observations of a person: 20.
func measureSearches(ctx context.Context, b *bench) error {
	w, err := b.needBrokered(ctx)
	if err != nil {
		return err
	}
	size := float64(len(laboratory.searchset("http://"+w.source, 0))) / 1e3
	t := b.report.table(fmt.Sprintf("Brokered search, %d entries (%.0f kB)", entries, size), "clients, way", loadColumns...)
	return b.brokered(ctx, t, "search", w.directSearch, w.brokeredSearch)
}

// brokered compares the ways to a connected system.
func (b *bench) brokered(ctx context.Context, t *table, name string, straight func(host string) asker, through func(g group, token string) asker) error {
	w := b.world
	for _, clients := range b.pace.clients {
		token, err := w.bearer(ctx)
		if err != nil {
			return err
		}
		ways := []way{
			{direct, []seat{{w.source, w.upstream.pid()}}, straight(w.source)},
			{reverseProxy, []seat{{w.proxied, w.proxy.pid()}}, straight(w.proxied)},
			{throughLab, []seat{{w.listen, w.gateway.pid()}}, through(laboratory, token)},
			{throughEHR, []seat{{w.listen, w.gateway.pid()}}, through(ehr, token)},
		}
		r, err := b.compare(ctx, ways, clients)
		if err != nil {
			return err
		}
		addLines(t, r, ways, clients, direct)
		noteRatio(t, r, clients, throughLab, reverseProxy)
		noteRatio(t, r, clients, throughEHR, reverseProxy)
	}
	t.note("Every client asks about persons of its own, so that no two requests share one answer. “%s”: one request to the system answers one to the gateway, the same bytes as in the two lines above it. “%s”: as a connected EHR is by default. It is asked for the person's Consents each time, and for the Encounter that the Observations refer to, since a reference goes out only if its target may. Load, upstream and proxy share the machine.", throughLab, throughEHR)
	return b.profileLoad(ctx, name, func(token string) asker { return through(laboratory, token) })
}

// directRead asks the upstream, straight or through the proxy.
func (w *world) directRead(host string) asker {
	return func(c, turn int) request {
		return get(host, fmt.Sprintf("%s/Observation/obs-%s-%02d", laboratory.path, laboratory.remote(c), turn), "",
			&answer{status: http.StatusOK, mark: observationMark, count: 1, exact: laboratory.observation(c, turn)})
	}
}

// brokeredRead asks the gateway, by the id that it gave.
func (w *world) brokeredRead(g group, token string) asker {
	return func(c, turn int) request {
		id := w.known[g.own(c)][turn]
		return get(w.listen, "/fhir/Observation/"+id, token, &answer{status: http.StatusOK, mark: observationMark, count: 1,
			needles: [][]byte{[]byte(`"id":"` + id + `"`), []byte(fmt.Sprintf(`"value":"%s-%02d"`, g.remote(c), turn)), []byte(weight(turn))}})
	}
}

// directSearch asks the upstream, straight or through the proxy.
func (w *world) directSearch(host string) asker {
	return func(c, _ int) request {
		id := laboratory.remote(c)
		return get(host, laboratory.path+"/Observation?patient="+id, "", &answer{status: http.StatusOK, mark: observationMark, count: entries, exact: laboratory.searchset("http://"+w.source, c)})
	}
}

// brokeredSearch asks the gateway. The answer has to hold each id and each value.
func (w *world) brokeredSearch(g group, token string) asker {
	return func(c, _ int) request {
		a := &answer{status: http.StatusOK, mark: observationMark, count: entries}
		for k, id := range w.known[g.own(c)] {
			a.needles = append(a.needles, []byte(`"id":"`+id+`"`), []byte(weight(k)))
		}
		return get(w.listen, "/fhir/Observation?patient=Patient/"+g.own(c), token, a)
	}
}

// measureOwn reads Patients of the gateway's own store, against ReverseProxy on
// the same bytes.
func measureOwn(ctx context.Context, b *bench) error {
	w, err := b.need(ctx)
	if err != nil {
		return err
	}
	const asItComes = "ReverseProxy as it comes"
	t := b.report.table(fmt.Sprintf("Patient read from the own store (%s bytes)", number(len(patient(stored.own(0)))).text(0)), "clients, way", loadColumns...)
	var worst number
	for _, clients := range b.pace.clients {
		token, err := w.bearer(ctx)
		if err != nil {
			return err
		}
		ways := []way{
			{direct, []seat{{w.source, w.upstream.pid()}}, w.directPatient(w.source)},
			{asItComes, []seat{{w.bareAt, w.bare.pid()}}, w.directPatient(w.bareAt)},
			{reverseProxy, []seat{{w.proxied, w.proxy.pid()}}, w.directPatient(w.proxied)},
			{gateway, []seat{{w.listen, w.gateway.pid()}}, w.ownRead(token)},
		}
		r, err := b.compare(ctx, ways, clients)
		if err != nil {
			return err
		}
		addLines(t, r, ways, clients, direct)
		worst = max(worst, median(noteRatio(t, r, clients, gateway, reverseProxy)))
		noteRatio(t, r, clients, gateway, asItComes)
	}
	t.note("The gateway verifies the token, reads Patient and Consents from its store, labels, decides, enforces, and writes the audit record to the disk before the answer leaves. “%s” is httputil.ReverseProxy with a connection pool for all clients and pooled buffers; “%s” has the default pool of two.", reverseProxy, asItComes)
	if worst.known() {
		b.report.goal("authenticated, decided, audited Patient read", "≤ 1.0 × the CPU of ReverseProxy", worst <= 1, "%.2f × at most", worst)
	}
	return b.profileLoad(ctx, "own", w.ownRead)
}

// directPatient asks for the bytes that the own store holds as well.
func (w *world) directPatient(host string) asker {
	return func(c, turn int) request {
		id := stored.own((c + turn) % people)
		return get(host, stored.path+"/Patient/"+id, "", &answer{status: http.StatusOK, mark: patientMark, count: 1, exact: patient(id)})
	}
}

// ownRead reads a Patient of the own store.
func (w *world) ownRead(token string) asker {
	return func(c, turn int) request {
		id := stored.own((c + turn) % people)
		return get(w.listen, "/fhir/Patient/"+id, token, &answer{status: http.StatusOK, mark: patientMark, count: 1,
			needles: [][]byte{[]byte(`"id":"` + id + `"`), []byte(`"value":"mrn-` + id + `"`), []byte(`"_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime"`)}})
	}
}
