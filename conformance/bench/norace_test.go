//go:build !race

package main

// underRace says whether the race detector runs; allocations count only without.
const underRace = false
