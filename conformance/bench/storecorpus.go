package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/handoff-health/handoff/fhir/resource"
	"github.com/handoff-health/handoff/fhir/search"
	"github.com/handoff-health/handoff/fhir/store"
)

// The resources that stores are filled with: of ten, five are Patients, three
// Encounters and two Consents. Each is made from its number alone, so that what a
// search must find can be told without a store.

const (
	mrnSystem  = "https://lakeside.example/mrn"
	cities     = 200
	birthYears = 80
)

var families = strings.Fields("Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson")

// A sampled person is what a Patient of the corpus says.
type sampled struct {
	id, mrn, family, given, birth, gender, city string
}

// mix spreads a number over 64 bits, the same in every run.
func mix(i int, of string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s-%d", of, i) // a hash takes everything
	return h.Sum64()
}

func pick(i int, of string, n int) int { return int(mix(i, of) % uint64(n)) }

// corpusID is the id of the i-th resource: ids do not sort as they were written.
func corpusID(i int) string { return fmt.Sprintf("%08x-%x", uint32(mix(i, "id")), i) }

// isPatient says whether the i-th resource is one; personOf gives the Patient that
// one of the others is about.
func isPatient(i int) bool { return i%10 < 5 }
func patientOf(i int) int  { return i - i%10 + pick(i, "person", 5) }

func sampledPerson(i int) sampled {
	family := families[pick(i, "family", len(families))]
	if n := pick(i, "suffix", 60); n >= 30 { // half of the names are longer ones
		family += strings.ToLower(families[n-30])
	}
	return sampled{
		id: corpusID(i), mrn: fmt.Sprintf("mrn-%08d", i), family: family, given: fmt.Sprint("Given", pick(i, "given", 900)),
		birth:  fmt.Sprintf("%d-%02d-%02d", 1940+pick(i, "year", birthYears), 1+pick(i, "month", 12), 1+pick(i, "day", 28)),
		gender: []string{"female", "male"}[pick(i, "gender", 2)], city: fmt.Sprint("City ", pick(i, "city", cities)),
	}
}

// corpusResource is the i-th resource.
func corpusResource(i int) []byte {
	switch {
	case isPatient(i):
		return sampledPatient(sampledPerson(i))
	case i%10 < 8:
		return []byte(strings.Replace(string(encounter(corpusID(patientOf(i)))), `"id":"enc-`+corpusID(patientOf(i))+`"`, `"id":"`+corpusID(i)+`"`, 1))
	default:
		person := corpusID(patientOf(i))
		return []byte(strings.Replace(string(consentFor(person, "hospital", i)), fmt.Sprintf(`"id":"consent-%s-%d"`, person, i), `"id":"`+corpusID(i)+`"`, 1))
	}
}

// sampledPatient is a Patient of about 1.2 kB.
func sampledPatient(p sampled) []byte {
	return []byte(`{"resourceType":"Patient","id":"` + p.id + `","meta":{"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},` +
		`"extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"ombCategory","valueCoding":{"system":"urn:oid:2.16.840.1.113883.6.238","code":"2106-3","display":"White"}},{"url":"text","valueString":"White"}]}],` +
		`"identifier":[{"use":"usual","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"` + mrnSystem + `","value":"` + p.mrn + `"}],` +
		`"active":true,"name":[{"use":"official","family":"` + p.family + `","given":["` + p.given + `"]}],` +
		`"telecom":[{"system":"phone","value":"555-` + p.mrn[4:] + `","use":"mobile"}],"gender":"` + p.gender + `","birthDate":"` + p.birth + `","deceasedBoolean":false,` +
		`"address":[{"use":"home","line":["100 Test Plaza"],"city":"` + p.city + `","state":"ZZ","postalCode":"00501","country":"US"}],` +
		`"maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"S","display":"Never Married"}]},` +
		`"communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"en","display":"English"}]},"preferred":true}]}`)
}

// writeOf is the write that brings a resource into a store.
func writeOf(raw []byte, expect int64) (store.Write, error) {
	r, err := resource.Parse(raw)
	if err != nil {
		return store.Write{}, err
	}
	return store.Write{Expect: expect, Record: store.Record{
		Key: store.Key{Type: r.Type(), ID: r.ID()}, Raw: raw, Index: search.Index(r),
		Origin: resource.Origin{System: "adt", Custodian: "Organization/clinic"},
	}}, nil
}

// planOf is the plan that the gateway makes of a query.
func planOf(typ, query string) (store.Plan, error) {
	params, err := search.ParseQuery(query)
	if err != nil {
		return store.Plan{}, err
	}
	q, err := search.Parse(typ, params, search.Options{})
	if err != nil {
		return store.Plan{}, err
	}
	return q.Plan(), nil
}

// An asked query is one with what it must find.
type asked struct {
	what  string // for messages
	plan  store.Plan
	hits  int    // in all
	first string // id of the first one, "" if it is not known
}

// ask makes a query of which hits are known.
func ask(typ, query string, hits int, first string) (asked, error) {
	p, err := planOf(typ, query)
	return asked{typ + "?" + query, p, hits, first}, err
}

// Numbers of queries of each kind: enough that none is asked twice in a row.
const queriesOfAKind = 64

// questions are the queries about a corpus of n resources.
type questions struct {
	token, familyAndBirth, familyAndMonth, consents, newest, oldest, sorted, count []asked

	born, live int // persons born about a month that is asked for, or in a city, in the middle
}

func newQuestions(n int) (*questions, error) {
	q := &questions{}
	males, months, born, days := 0, map[string]int{}, map[string]int{}, map[string]int{}
	byCity, consents := map[string]int{}, map[string]int{}
	for i := range n {
		if !isPatient(i) {
			if i%10 >= 8 {
				consents[corpusID(patientOf(i))]++
			}
			continue
		}
		p := sampledPerson(i)
		if p.gender == "male" {
			males++
		}
		byCity[p.city]++
		days[p.birth]++
		// A prefix of three letters is what a search by it finds, too.
		months[strings.ToLower(p.family[:3])+p.birth[:7]]++
		born[strings.ToLower(p.family[:3])+p.birth]++
	}
	var failed []error
	add := func(to *[]asked, typ, query string, hits int, first string) {
		a, err := ask(typ, query, hits, first)
		*to, failed = append(*to, a), append(failed, err)
	}
	var about, live []number
	for k := range queriesOfAKind {
		i := pick(k, "query", n/10)*10 + k%5
		p := sampledPerson(i)
		add(&q.token, "Patient", "identifier="+mrnSystem+"|"+p.mrn, 1, p.id)
		add(&q.familyAndBirth, "Patient", "family="+p.family[:3]+"&birthdate="+p.birth, born[strings.ToLower(p.family[:3])+p.birth], "")
		add(&q.familyAndMonth, "Patient", "family="+p.family[:3]+"&birthdate="+p.birth[:7], months[strings.ToLower(p.family[:3])+p.birth[:7]], "")
		add(&q.consents, "Consent", "patient=Patient/"+p.id, consents[p.id], "")
		about = append(about, number(aboutMonth(days, p.birth[:7])))
		hits := 0
		for city, c := range byCity { // a string parameter finds what starts with it
			if strings.HasPrefix(city, p.city) {
				hits += c
			}
		}
		add(&q.sorted, "Patient", "address-city="+strings.ReplaceAll(p.city, " ", "%20")+"&_sort=family", hits, "")
		live = append(live, number(hits))
	}
	q.born, q.live = int(median(about)), int(median(live))
	add(&q.newest, "Patient", "", n/2, "")
	add(&q.oldest, "Patient", "_sort=_lastUpdated", n/2, "")
	add(&q.count, "Patient", "gender=male", males, "")
	return q, errors.Join(failed...)
}

// aboutMonth counts who was born in a month, or a day before or after it: a birth date
// has no zone, so that a search by entries goes that far.
func aboutMonth(days map[string]int, month string) (n int) {
	first, _ := time.Parse("2006-01", month) // made by sampledPerson
	for d := first.AddDate(0, 0, -1); !d.After(first.AddDate(0, 1, 0)); d = d.AddDate(0, 0, 1) {
		n += days[d.Format(time.DateOnly)]
	}
	return n
}

// all are all of them by kind, for a comparison of stores.
func (q *questions) all() [][]asked {
	return [][]asked{q.token, q.familyAndBirth, q.familyAndMonth, q.consents, q.sorted, q.count, q.newest, q.oldest}
}

// check asks a store for the first page and holds it against what is known.
func (a *asked) check(ctx context.Context, db store.Store) error {
	page, err := db.Search(ctx, a.plan)
	if err != nil {
		return fmt.Errorf("%s: %w", a.what, err)
	}
	if want := min(a.hits, a.plan.Limit); len(page.Records) != want || (page.Next != "") != (a.hits > a.plan.Limit) {
		return fmt.Errorf("WRONG ANSWER to %s: %d resources and next %q instead of %d of %d", a.what, len(page.Records), page.Next, want, a.hits)
	}
	for _, r := range page.Records {
		if r.Type != a.plan.Type || len(r.Raw) == 0 || r.Version < 1 {
			return fmt.Errorf("WRONG ANSWER to %s: %s version %d with %d bytes", a.what, r.Key, r.Version, len(r.Raw))
		}
	}
	if a.first != "" && page.Records[0].ID != a.first {
		return fmt.Errorf("WRONG ANSWER to %s: %s instead of %s", a.what, page.Records[0].ID, a.first)
	}
	return nil
}

// walk gives what a store finds over all pages, in order, with when it was written.
func (a *asked) walk(ctx context.Context, db store.Store, most int) ([]string, error) {
	var out []string
	for p := a.plan; ; {
		page, err := db.Search(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.what, err)
		}
		for _, r := range page.Records {
			out = append(out, r.ID+" "+r.LastUpdated.Format(time.RFC3339Nano))
		}
		if page.Next == "" || len(out) >= most {
			return out, nil
		}
		p.After = page.Next
	}
}
