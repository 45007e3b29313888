package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Checks says how to check what the file alone does not tell. What is nil is
// not checked. The functions are given rather than imported, because the
// packages that have them lie beyond this one.
type Checks struct {
	// Adapters are the names of the source formats that a feed may have.
	Adapters []string
	// KeySet says why a JSON Web Key Set cannot be used.
	KeySet func(jwks []byte) error
	// Client says what the rules for registrations find in a client.
	Client func(*Config, Client) []ClientFault
	// SharedKey names a key that two sets hold; "" if there is none.
	SharedKey func(a, b []byte) string
	// ClaimPath says why a path of claims cannot be read.
	ClaimPath func(path string) error
	// PrivateKey says why the private key in a file cannot be used.
	PrivateKey func(path string) error
	// Profile says why a feed cannot be read with its adapter and the mapping
	// profile in a file ("": the adapter's own).
	Profile func(adapter, path string) error
	// FeedsLater leaves alone whether feeds can be read and mapped: for who runs
	// without those that cannot, and finds so by itself.
	FeedsLater bool
	// StoreAddress says why the URI of a MongoDB deployment cannot be one, or why it
	// does not go with a database ("": the URI's own). It quotes nothing of the URI.
	StoreAddress func(uri, database string) error
	// Law says why the law of the configuration cannot be had: Pack is the place
	// in packs of the one that is wrong, -1 if it is none of them.
	Law func(*Config) *LawError
	// Files makes sure that the files which are named, and not made by the
	// gateway itself, can be read.
	Files bool
}

// A ClientFault is what is wrong with one setting of a client.
type ClientFault struct {
	Field  string // "redirectUris[0]"; "" for the client as a whole
	Value  string // what stands there; "" where there is nothing to show
	Reason string // reads on from the value
	Err    error  // the cause, if there is one; it may quote the value
}

// checkFiles looks at keys, certificates and profiles.
func (k *checker) checkFiles() {
	if k.Server.TLSCert != "" && k.Server.TLSKey != "" && k.with.Files {
		k.certificate()
	}
	if k.with.PrivateKey != nil {
		// The issuer's key is made if it is absent.
		if _, err := os.Stat(k.Path(k.Issuer.KeyFile)); !errors.Is(err, fs.ErrNotExist) {
			k.privateKey("$.issuer.keyFile", k.Issuer.KeyFile)
		}
	}
	for i, s := range k.Systems {
		at := fmt.Sprintf("$.systems[%d]", i)
		if s.Auth.KeyFile != "" && s.Kind == "fhir" {
			k.privateKey(at+".auth.keyFile", s.Auth.KeyFile)
		}
		if s.Kind == "feed" && !k.with.FeedsLater {
			k.profile(at, s)
		}
	}
}

func (k *checker) certificate() {
	before := len(k.faults)
	k.readable("$.server.tlsCert", k.Server.TLSCert)
	k.readable("$.server.tlsKey", k.Server.TLSKey)
	if len(k.faults) > before {
		return
	}
	if _, err := tls.LoadX509KeyPair(k.Path(k.Server.TLSCert), k.Path(k.Server.TLSKey)); err != nil {
		k.because("$.server.tlsCert", k.Server.TLSCert, "certificate and key cannot be used", err)
	}
}

func (k *checker) profile(at string, s System) {
	before := len(k.faults)
	if s.Profile != "" && k.with.Files {
		k.readable(at+".profile", s.Profile)
	}
	if k.with.Profile == nil || len(k.faults) > before || !slices.Contains(k.with.Adapters, s.Adapter) {
		return
	}
	if err := k.with.Profile(s.Adapter, k.Path(s.Profile)); err != nil {
		k.because(at+".profile", s.Profile, "the feed cannot be mapped", Unquoted(err))
	}
}

func (k *checker) privateKey(at, path string) {
	if k.with.PrivateKey == nil {
		if k.with.Files {
			k.readable(at, path)
		}
		return
	}
	if err := k.with.PrivateKey(k.Path(path)); err != nil {
		k.because(at, path, "the private key cannot be used", Unquoted(err))
	}
}

// Unquoted keeps of an error what quotes nothing of the file that was read: the
// file may be another than the one that was meant, such as a key.
func Unquoted(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe
	}
	return errors.New(quoted(err.Error()))
}

func (k *checker) readable(at, path string) {
	f, err := os.Open(k.Path(path))
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		k.because(at, path, "cannot be read", err)
	}
}
