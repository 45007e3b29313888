// Package loopback finds addresses for servers that must be told theirs before they
// start, because their configuration names it. Nobody else gets such an address in
// between: its port is below those that Linux (from 32768), macOS and Windows (from
// 49152) give to outgoing connections and to listeners that ask for any port. It opens
// nothing that stays open; tests and the benchmarks call it.
package loopback

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports that are given out; .ci/run takes those of its servers above them.
const (
	firstPort = 18000
	lastPort  = 27999
)

var (
	mu    sync.Mutex
	given = map[int]bool{} // by this process
)

// Address gives "127.0.0.1:PORT" that nobody listens on, each once in a process.
func Address() (string, error) {
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if given[port] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue // somebody's
		}
		given[port] = true
		return l.Addr().String(), l.Close()
	}
	return "", errors.New("loopback: no free port was found")
}
