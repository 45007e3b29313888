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

func somebody() net.IP {
	return net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))
}

func dialAsSomebody(ctx context.Context, network, address string) (net.Conn, error) {
	return dialAs(ctx, somebody(), network, address)
}

func dialAs(ctx context.Context, from net.IP, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err == nil && to.Addr().Is4() && to.Addr().IsLoopback() {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
		if c, err := d.DialContext(ctx, network, address); err == nil {
			return c, nil
		}
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// alone is the target as somebody sees it who always calls from one address.
func (t *Target) alone() *Target {
	there, from := *t, somebody()
	client := *t.client
	client.Transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 4, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialAs(ctx, from, network, address)
	}}
	there.client = &client
	return &there
}

// countyRate is how many token requests the county allows in a minute to a client,
// or to an address that proves none.
const countyRate = 900
