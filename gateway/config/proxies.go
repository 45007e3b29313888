package config

import (
	"fmt"
	"net/netip"
)

// Proxies are server.trustedProxies as networks.
func (s *Server) Proxies() []netip.Prefix {
	out, err := parseProxies(s.TrustedProxies)
	if err != nil { // the check has refused it
		return nil
	}
	return out
}

// parseProxies reads addresses and networks ("10.1.2.0/24"). One that would
// believe everybody is refused.
func parseProxies(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range texts {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			addr, addrErr := netip.ParseAddr(s)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%.64q is neither an address nor a network such as 10.1.2.0/24", s)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		switch {
		case p.Bits() == 0:
			return nil, fmt.Errorf("%.64q believes everybody", s)
		case p.Masked() != p:
			return nil, fmt.Errorf("%.64q has bits beyond its length; meant is %s?", s, p.Masked())
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%.64q: write the IPv4 address itself", s)
		}
		out = append(out, p)
	}
	return out, nil
}
