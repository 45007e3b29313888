package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// MLLP is a listener for HL7 v2.
type MLLP struct {
	Listen string `yaml:"listen"` // host:port
	// TLSCert and TLSKey are files in PEM. Without them only this machine can
	// connect, unless Plain says that the network keeps the messages secret (a
	// tunnel, a segment of its own).
	TLSCert string `yaml:"tlsCert"`
	TLSKey  string `yaml:"tlsKey"`
	Plain   bool   `yaml:"plain"`
	// ClientCA is a file of authorities in PEM: senders need a certificate of one
	// of them, for one of the Clients if there are any (common name, DNS name, URI,
	// e-mail or IP address, as it stands).
	ClientCA string   `yaml:"clientCA"`
	Clients  []string `yaml:"clients"`
	// Peers are addresses and networks that may connect; empty: all that TLS lets in.
	Peers []string `yaml:"peers"`
	// Ack says when AA is sent in the original mode: "kept" (default), when the
	// message is durable, or "processed", when it is stored: then AE and AR tell of
	// rejects, and the sender waits.
	Ack         string        `yaml:"ack"`
	MaxMessage  int           `yaml:"maxMessage"`  // bytes; default 8 MiB
	Connections int           `yaml:"connections"` // at once; default 64
	PerPeer     int           `yaml:"perPeer"`     // of one address; default 8
	Idle        time.Duration `yaml:"idle"`        // between two messages; default 30m
	Read        time.Duration `yaml:"read"`        // for one message; default 60s
	Busy        time.Duration `yaml:"busy"`        // how long a sender is held while the inbox is full; default 10s
	Processing  time.Duration `yaml:"processing"`  // how long "processed" waits; default 30s
}

func (m *MLLP) defaults() {
	set(&m.Ack, "kept")
	for _, n := range []struct {
		at   *int
		want int
	}{{&m.MaxMessage, 8 << 20}, {&m.Connections, 64}, {&m.PerPeer, 8}} {
		if *n.at == 0 {
			*n.at = n.want
		}
	}
	for _, d := range []struct {
		at   *time.Duration
		want time.Duration
	}{{&m.Idle, 30 * time.Minute}, {&m.Read, time.Minute}, {&m.Busy, 10 * time.Second}, {&m.Processing, 30 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.want
		}
	}
}

// Allowed are the peers as networks.
func (m *MLLP) Allowed() []netip.Prefix {
	out, err := parseProxies(m.Peers)
	if err != nil { // the check has refused it
		return nil
	}
	return out
}

// Authorities reads the file of the authorities of senders' certificates.
func (m *MLLP) Authorities(path string) (*x509.CertPool, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, errors.New("there is no certificate in PEM in it")
	}
	return pool, nil
}

func (k *checker) mllp(at string, s System) {
	m := s.Receive.MLLP
	host, ok := k.hostPort(at+".listen", m.Listen)
	if ok {
		k.once(at+".listen", m.Listen)
	}
	if s.Adapter != "" && !strings.Contains(s.Adapter, "hl7v2") {
		k.fault(at, "brings HL7 v2, and the adapter is "+s.Adapter)
	}
	switch {
	case (m.TLSCert == "") != (m.TLSKey == ""):
		k.fault(at, "tlsCert and tlsKey go together")
	case m.ClientCA != "" && m.TLSCert == "":
		k.fault(at+".clientCA", "needs tlsCert and tlsKey")
	case len(m.Clients) > 0 && m.ClientCA == "":
		k.fault(at+".clients", "needs clientCA: a name counts in a certificate alone")
	case ok && !isLoopback(host) && m.TLSCert == "" && !m.Plain:
		k.fault(at+".listen", "is not a loopback address and there is no TLS; set tlsCert and tlsKey, or plain: true where a tunnel or a network of its own keeps the messages secret")
	case ok && !isLoopback(host) && m.ClientCA == "" && len(m.Peers) == 0:
		k.fault(at, "does not say who may connect: set clientCA or peers; what comes in counts as this system's")
	}
	for i, text := range m.Peers {
		if _, err := parseProxies([]string{text}); err != nil {
			k.because(fmt.Sprintf("%s.peers[%d]", at, i), text, "cannot be let in", err)
		}
	}
	if m.Ack != "kept" && m.Ack != "processed" {
		k.value(at+".ack", m.Ack, "is neither kept nor processed")
	}
	k.mllpLimits(at, m)
	if k.with.Files {
		k.mllpFiles(at, m)
	}
}

func (k *checker) mllpLimits(at string, m *MLLP) {
	for name, n := range map[string]int{".maxMessage": m.MaxMessage, ".connections": m.Connections, ".perPeer": m.PerPeer} {
		if n < 1 {
			k.fault(at+name, "must be at least 1")
		}
	}
	if m.MaxMessage > 64<<20 {
		k.fault(at+".maxMessage", "must be at most 67108864: messages stand in memory")
	}
	for name, d := range map[string]time.Duration{".idle": m.Idle, ".read": m.Read, ".busy": m.Busy, ".processing": m.Processing} {
		if d < time.Second {
			k.fault(at+name, "must be at least 1s")
		}
	}
}

func (k *checker) mllpFiles(at string, m *MLLP) {
	if m.TLSCert != "" && m.TLSKey != "" {
		before := len(k.faults)
		k.readable(at+".tlsCert", m.TLSCert)
		k.readable(at+".tlsKey", m.TLSKey)
		if len(k.faults) == before {
			if _, err := tls.LoadX509KeyPair(k.Path(m.TLSCert), k.Path(m.TLSKey)); err != nil {
				k.because(at+".tlsCert", m.TLSCert, "certificate and key cannot be used", err)
			}
		}
	}
	if m.ClientCA != "" {
		if _, err := m.Authorities(k.Path(m.ClientCA)); err != nil {
			k.because(at+".clientCA", m.ClientCA, "cannot be used", err)
		}
	}
}

// once wants a place (an address, a path) for one receiver alone.
func (k *checker) once(at, place string) {
	if place == k.Server.Listen || place == k.Telemetry.Listen {
		k.value(at, place, "is where the gateway itself listens")
		return
	}
	for _, s := range k.Systems {
		if s.Receive == nil {
			continue
		}
		other := ""
		switch {
		case s.Receive.MLLP != nil:
			other = s.Receive.MLLP.Listen
		case s.Receive.Webhook != nil:
			other = s.Receive.Webhook.Path
		case s.Receive.Folder != nil:
			other = s.Receive.Folder.Path
		}
		if other != place {
			continue
		}
		if !strings.HasPrefix(at, fmt.Sprintf("$.systems[%d].", k.index(s.Key))) {
			k.value(at, place, "is the system "+s.Key+"'s already")
		}
		return
	}
}

// index is the place of the first system with a key.
func (k *checker) index(key string) int {
	for i, s := range k.Systems {
		if s.Key == key {
			return i
		}
	}
	return -1
}
