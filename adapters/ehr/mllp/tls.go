package mllp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// RequireClients makes a server's TLS ask for a certificate that one of the
// authorities issued, and, if names are given, for one of these as its subject's
// common name or as a DNS name, URI, e-mail or IP address beside it. Names are
// compared as they stand: no wildcards.
func RequireClients(c *tls.Config, authorities *x509.CertPool, names []string) {
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.ClientCAs = authorities
	if len(names) == 0 {
		return
	}
	c.VerifyConnection = func(s tls.ConnectionState) error { // on resumption too
		if len(s.PeerCertificates) == 0 {
			return errors.New("no client certificate")
		}
		has := subjects(s.PeerCertificates[0])
		if slices.ContainsFunc(has, func(n string) bool { return slices.Contains(names, n) }) {
			return nil
		}
		return fmt.Errorf("the client certificate is for %.200q, which may not connect", has)
	}
}

// subjects are the names in a certificate.
func subjects(c *x509.Certificate) []string {
	var out []string
	if c.Subject.CommonName != "" {
		out = append(out, c.Subject.CommonName)
	}
	out = append(out, c.DNSNames...)
	out = append(out, c.EmailAddresses...)
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}
