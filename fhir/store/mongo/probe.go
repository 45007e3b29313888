package mongo

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

const (
	probeTimeout = 2 * time.Second
	probed       = 8 // members at most
)

// probe asks each address by itself, without a user, why it cannot serve: the driver
// only knows that none does.
func (db *DB) probe(ctx context.Context, none topology.ServerSelectionError) []string {
	addresses := db.dial.Hosts
	if len(addresses) > probed {
		addresses = addresses[:probed]
	}
	known := map[string]error{}
	for _, s := range none.Desc.Servers {
		known[s.Addr.String()] = s.LastError
	}
	out := make([]string, len(addresses))
	var wg sync.WaitGroup
	for i, a := range addresses {
		a = withPort(a)
		wg.Go(func() { out[i] = a + ": " + db.probeOne(ctx, a, known[a]) })
	}
	wg.Wait()
	return out
}

// networkOf is how an address is dialled: one that ends so is of a socket in the file
// system, for the driver too.
func networkOf(address string) string {
	if strings.HasSuffix(address, "sock") {
		return "unix"
	}
	return "tcp"
}

// withPort gives an address its port, where the URI leaves it out.
func withPort(address string) string {
	if networkOf(address) == "unix" {
		return address
	}
	if i := strings.LastIndexByte(address, ':'); i > strings.LastIndexByte(address, ']') {
		return address
	}
	return address + ":27017"
}

// probeOne says what is wrong with the member at an address. last is what the driver
// met there last.
func (db *DB) probeOne(ctx context.Context, address string, last error) string {
	ctx, cancel := context.WithTimeout(ctx, 2*probeTimeout)
	defer cancel()
	d := net.Dialer{Timeout: probeTimeout}
	conn, err := d.DialContext(ctx, networkOf(address), address)
	if err != nil {
		return db.whyNot(ctx, address, err)
	}
	_ = conn.Close() // only whether it can be made
	h, err := db.helloOf(ctx, address, db.dial.TLSConfig)
	set := ""
	if db.dial.ReplicaSet != nil {
		set = *db.dial.ReplicaSet
	}
	switch {
	case err != nil:
		return db.whyNot(ctx, address, cmp.Or(lastMet(err), last, err))
	case h.MaxWire < leastWire:
		return h.fit().Error()
	case set != "" && h.SetName == "":
		return fmt.Sprintf("it belongs to no replica set, the URI asks for replicaSet=%s", set)
	case set != "" && h.SetName != set:
		return fmt.Sprintf("it belongs to the replica set %s, the URI asks for replicaSet=%s", h.SetName, set)
	}
	if len(db.dial.Hosts) > 1 && h.SetName == "" && !h.replicated() {
		return notAlone
	}
	if err := h.fit(); err != nil {
		return err.Error()
	}
	return "it answers now"
}

// lastMet gives what the driver met at the only member that it looked at.
func lastMet(err error) error {
	var none topology.ServerSelectionError
	if errors.As(err, &none) {
		for _, s := range none.Desc.Servers {
			return s.LastError
		}
	}
	return nil
}

// helloOf asks one member, over a connection of its own and without a user.
func (db *DB) helloOf(ctx context.Context, address string, config *tls.Config) (h hello, err error) {
	opts := options.Client().SetHosts([]string{address}).SetDirect(true).SetAppName(appName).
		SetConnectTimeout(probeTimeout).SetServerSelectionTimeout(probeTimeout).SetTimeout(probeTimeout)
	if config != nil {
		opts.SetTLSConfig(config)
	}
	client, err := driver.Connect(opts)
	if err != nil {
		return h, err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }() // only asked
	err = client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	return h, err
}

// whyNot puts a failure to connect into words.
func (db *DB) whyNot(ctx context.Context, address string, err error) string {
	var (
		record  tls.RecordHeaderError
		untrust *tls.CertificateVerificationError
		dns     *net.DNSError
	)
	secure := db.dial.TLSConfig != nil
	switch {
	case errors.As(err, &untrust):
		return "its certificate is not trusted: " + certificateFault(untrust.Err)
	case errors.As(err, &dns):
		return "its name is not known: " + dns.Err
	case isRefused(err):
		return "connection refused"
	case secure && isAlert(err):
		return "it refuses the TLS connection: " + alertOf(err)
	case secure && (errors.As(err, &record) || isEOF(err) && db.speaksPlainly(ctx, address)):
		return "it does not speak TLS, which the URI asks for"
	case isGarbled(err), !secure && speaksHTTP(ctx, address):
		return "it does not speak MongoDB's protocol: it is a server of another kind"
	case isNetworkTimeout(err):
		return "no answer"
	case !secure && speaksTLS(ctx, address):
		return "it speaks TLS, which the URI does not ask for (tls=true)"
	case isEOF(err):
		return "it closes the connection, as a server of another kind does"
	}
	return reasonOf(err)
}

// isGarbled says that what came back cannot be a message of the protocol. The driver
// has no type for it.
func isGarbled(err error) bool {
	return strings.Contains(err.Error(), "length of read message too large") || strings.Contains(err.Error(), "malformed message length")
}

// speaksHTTP asks for a page: a web server waits for more of what it takes for the
// beginning of a request. MongoDB itself says in a page that it is none.
func speaksHTTP(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: probeTimeout}
	ctx = context.WithoutCancel(ctx)
	conn, err := d.DialContext(ctx, networkOf(address), address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // only asked
	if conn.SetDeadline(time.Now().Add(probeTimeout/2)) != nil {
		return false
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return false
	}
	page, _ := io.ReadAll(io.LimitReader(conn, 1024)) // as much as there is
	return bytes.HasPrefix(page, []byte("HTTP/")) && !bytes.Contains(page, []byte("MongoDB"))
}

func (db *DB) speaksPlainly(ctx context.Context, address string) bool {
	_, err := db.helloOf(ctx, address, nil)
	return err == nil
}

func certificateFault(err error) string {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return "it is signed by an authority that is not known here (tlsCAFile)"
	}
	return err.Error()
}

// speaksTLS tries a TLS handshake. Whether the certificate is one to trust does not
// matter: nothing is sent.
func speaksTLS(ctx context.Context, address string) bool {
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	conn, err := d.DialContext(ctx, networkOf(address), address)
	if err == nil {
		_ = conn.Close()
		return true
	}
	var untrust *tls.CertificateVerificationError
	return errors.As(err, &untrust) || isAlert(err)
}
