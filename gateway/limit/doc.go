// Package limit says whether a caller may ask again: how often a client, a person
// and an address may in a minute, and whether an address has guessed too often at
// the secret of a client (CJIS AC-7).
//
//	FHIR request   -> client, person           -> wait, or go on
//	token request  -> address that proved nothing / client that proved its name
//	wrong secret   -> client and address       -> locked, a fact that every node reads
//
// A rate is a bucket that fills evenly; buckets are in the memory of one process
// and bounded. Where several gateways serve from one store, each reports what it
// admitted in chunks by compare-and-set of one fact a bucket (see pool), and wrong
// secrets are counted in facts. Whoever has proven nothing spends from the bucket of the
// address it calls from and from no client's, so that a stranger never uses up a client's
// rate, and is locked out alone with its address. An attempt is counted before anybody
// learns how it was judged: it takes from its address first and gets that back for a
// name that it proves, and the secrets of a client from one address are compared one
// after the other. It decides nothing about data.
// auth asks it where clients authenticate, the pipeline after a token was believed.
package limit
