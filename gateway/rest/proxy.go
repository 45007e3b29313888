package rest

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the addresses and networks of proxies whose word on where a request
// comes from is believed. The zero value believes nobody.
type Proxies []netip.Prefix

func (p Proxies) trusts(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// source is where a request comes from: the peer, or, if that is a trusted proxy,
// the rightmost hop of X-Forwarded-For that is none. What stands further left was
// written by that hop and may be anything. Forwarded, X-Real-IP and the like are
// never read: a proxy that writes one header passes the others through.
func (p Proxies) source(r *http.Request) string {
	peer, ok := address(r.RemoteAddr)
	if !ok || !p.trusts(peer) {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	last := peer
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := address(strings.TrimSpace(hops[i]))
		if !ok { // nobody knows further
			break
		}
		if last = hop; !p.trusts(hop) {
			break
		}
	}
	if last == peer {
		return ""
	}
	return last.String()
}

// address reads an address with or without port; IPv4 in IPv6 as IPv4.
func address(s string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}
