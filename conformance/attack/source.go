package attack

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
)

// A gateway locks out addresses from which too much fails, and this suite fails
// for a living. To a gateway on this machine each connection comes from a
// loopback address of its own, where the system lets one be chosen.

// everyman is a transport whose connections share no address.
func everyman() *http.Transport {
	return &http.Transport{DisableCompression: true, DisableKeepAlives: true, DialContext: dialAsSomebody}
}

func dialAsSomebody(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err == nil && to.Addr().Is4() && to.Addr().IsLoopback() {
		from := net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
		if c, err := d.DialContext(ctx, network, address); err == nil {
			return c, nil
		}
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
