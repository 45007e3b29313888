//go:build unix

package replset

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// admin is the user who may do anything.
const admin = "admin"

// Secrets are what a client of a secure set needs.
type Secrets struct {
	CA       string // file: who signs the certificates of the members and of Client
	Client   string // file: certificate and key of a client
	Subject  string // of that certificate, the name of its user in the database $external
	Password string // of the user admin

	key, server string // files
	made        bool   // the user admin is there
}

// Secrets gives those of a secure set, else nil.
func (s *Set) Secrets() *Secrets { return s.secrets }

// options of a member that asks for TLS and for a user.
func (s *Secrets) options() []string {
	return []string{
		"--keyFile", s.key, "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", s.server, "--tlsCAFile", s.CA,
		"--tlsAllowConnectionsWithoutCertificates",
	}
}

func makeSecrets(dir string) (*Secrets, error) {
	at := func(name string) string { return filepath.Join(dir, name) }
	s := &Secrets{CA: at("ca.pem"), Client: at("client.pem"), Subject: "CN=handoff,O=gateways", Password: rand.Text(), key: at("key"), server: at("server.pem")}
	if err := os.WriteFile(s.key, []byte(rand.Text()+rand.Text()), 0o600); err != nil {
		return nil, err
	}
	root, err := newCertificate(pkix.Name{CommonName: "CA of a test"}, nil)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.CA, root.pem(false), 0o600); err != nil {
		return nil, err
	}
	for file, name := range map[string]pkix.Name{
		s.server: {CommonName: "member", Organization: []string{"members"}},
		s.Client: {CommonName: "handoff", Organization: []string{"gateways"}},
	} {
		c, err := newCertificate(name, root)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, c.pem(true), 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// A certificate with its key.
type certificate struct {
	of  *x509.Certificate
	key *ecdsa.PrivateKey
}

// newCertificate makes one that another has signed, or itself.
func newCertificate(name pkix.Name, by *certificate) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	of := &x509.Certificate{
		SerialNumber: serial, Subject: name,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, BasicConstraintsValid: true,
	}
	c := &certificate{key: key}
	if by == nil {
		of.IsCA, of.KeyUsage, of.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
		by = &certificate{of: of, key: key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, of, by.of, &key.PublicKey, by.key)
	if err == nil {
		c.of, err = x509.ParseCertificate(raw)
	}
	return c, err
}

func (c *certificate) pem(withKey bool) []byte {
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.of.Raw})
	if withKey {
		raw, err := x509.MarshalPKCS8PrivateKey(c.key)
		if err != nil {
			panic(err) // an ECDSA key of this package always has that form
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})...)
	}
	return out
}

// addAdmin makes the first user, which a member lets this machine do while there is
// none.
func (s *Set) addAdmin(ctx context.Context) error {
	p, err := s.Primary(ctx, -1)
	if err != nil {
		return err
	}
	_, err = s.Run(ctx, p, bson.D{{Key: "createUser", Value: admin}, {Key: "pwd", Value: s.secrets.Password}, {Key: "roles", Value: bson.A{"root"}}})
	s.secrets.made = err == nil
	return err
}

// AddUser makes a user of one right on one database. Without a password it is one of
// the database $external, who shows a certificate.
func (s *Set) AddUser(ctx context.Context, user, password, role, database string) error {
	p, err := s.Primary(ctx, -1)
	if err != nil {
		return err
	}
	client, err := s.client(p)
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }() // the answer is there
	in, command := "admin", bson.D{{Key: "createUser", Value: user}, {Key: "roles", Value: bson.A{bson.M{"role": role, "db": database}}}}
	if password == "" {
		in = "$external"
	} else {
		command = append(command, bson.E{Key: "pwd", Value: password})
	}
	return client.Database(in).RunCommand(ctx, append(command, bson.E{Key: "writeConcern", Value: bson.M{"w": "majority"}})).Err()
}
