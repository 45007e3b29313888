package mllp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-health/handoff/adapters/ehr/mllp"
)

// An authority issues certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.issue(t, "authority")
	return a
}

func (a *authority) issue(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name + ".example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		form.IsCA, form.BasicConstraintsValid, form.KeyUsage, form.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
		parent, signer = form, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	cert, key := a.issue(t, name)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func TestWhoMayConnectByTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	server := ours.pair(t, "gateway")
	open := &tls.Config{Certificates: []tls.Certificate{server}, MinVersion: tls.VersionTLS12}
	known, named := open.Clone(), open.Clone()
	mllp.RequireClients(known, ours.pool(), nil)
	mllp.RequireClients(named, ours.pool(), []string{"epic.example"})
	client := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ours.pool(), ServerName: "gateway.example", Certificates: certs}
	}
	old := client()
	old.MaxVersion = tls.VersionTLS11 //nolint:gosec // the attack
	for _, c := range []struct {
		name   string
		server *tls.Config
		client *tls.Config
		ok     bool
	}{
		{"TLS", open, client(), true},
		{"TLS 1.1", open, old, false},
		{"a certificate", known, client(ours.pair(t, "anybody")), true},
		{"no certificate", known, client(), false},
		{"another authority's", known, client(theirs.pair(t, "epic")), false},
		{"the name", named, client(ours.pair(t, "epic")), true},
		{"another name", named, client(ours.pair(t, "cerner")), false},
		{"a name that contains it", named, client(ours.pair(t, "not-epic")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &keeper{}
			r := start(t, k, func(o *mllp.Options) { o.TLS = c.server })
			conn, err := tls.Dial("tcp", r.addr, c.client)
			if err == nil {
				defer conn.Close()
				_, err = io.WriteString(conn, frame(adt("1", "", "")))
			}
			if err != nil {
				if c.ok {
					t.Fatal(err)
				}
				return
			}
			got := hear(t, conn, 1)
			if ok := slices.Equal(got, []string{"AA 1"}); ok != c.ok || len(k.kept()) > 0 != c.ok {
				t.Errorf("got %q, kept %d", got, len(k.kept()))
			}
		})
	}
	if _, err := mllp.New(mllp.Options{Inbox: &keeper{}, Outcome: (&keeper{}).outcome, TLS: &tls.Config{}}); err == nil || !strings.Contains(err.Error(), "1.2") {
		t.Errorf("a TLS without a least version: %v", err)
	}
}

// Whoever speaks no TLS gets nothing, and nothing is taken.
func TestPlainBytesAtATLSPort(t *testing.T) {
	k := &keeper{}
	r := start(t, k, func(o *mllp.Options) {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{newAuthority(t).pair(t, "gateway")}, MinVersion: tls.VersionTLS12}
	})
	c := r.dial(t)
	if _, err := io.WriteString(c, frame(adt("1", "", ""))); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(3 * time.Second))
	if b, _ := io.ReadAll(c); strings.Contains(string(b), "MSA") || len(k.kept()) > 0 {
		t.Errorf("answered %q, kept %d", b, len(k.kept()))
	}
}
