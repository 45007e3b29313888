// Package loopback finds addresses for servers that must be told theirs before they
// start, because their configuration names it. Nobody else gets such an address in
// between: its port is below those that Linux (from 32768), macOS and Windows (from
// 49152) give to outgoing connections and to listeners that ask for any port, and other
// processes that ask here find its twin taken, the UDP port of the same number, which
// stays open until this process ends. Nothing is sent or read there; tests and the
// benchmarks call it.
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
	given = map[int]net.PacketConn{} // by this process
)

// Address gives "127.0.0.1:PORT" that nobody listens on, each once in a process.
func Address() (string, error) {
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		twin, err := net.ListenPacket("udp", address)
		if err != nil {
			continue // given, by this process or another
		}
		l, err := net.Listen("tcp", address)
		if err != nil { // somebody's
			_ = twin.Close()
			continue
		}
		given[port] = twin
		return address, l.Close()
	}
	return "", errors.New("loopback: no free port was found")
}
