//go:build race

package main

// underRace: the race detector empties pools at random, so allocations are not
// counted under it.
const underRace = true
