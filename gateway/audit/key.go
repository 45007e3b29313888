package audit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// checkKey admits Ed25519 and ECDSA on P-256 (FIPS 186-5).
func checkKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return nil
		}
	case *ecdsa.PublicKey:
		if k != nil && k.Curve == elliptic.P256() {
			return nil
		}
	}
	return fmt.Errorf("a key of type %T cannot sign checkpoints; use Ed25519 or ECDSA P-256", pub)
}

// KeyID names a public key: the SHA-256 of its PKIX form, in hex.
func KeyID(pub crypto.PublicKey) (string, error) {
	if err := checkKey(pub); err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("encode the public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

func sign(key crypto.Signer, message []byte) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	return key.Sign(rand.Reader, digest[:], crypto.SHA256)
}

func verifySignature(pub crypto.PublicKey, message, sig []byte) bool {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, sig)
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(message)
		return ecdsa.VerifyASN1(k, digest[:], sig)
	}
	return false
}

// LoadKey reads a signing key: PEM, PKCS #8 or SEC 1.
func LoadKey(path string) (crypto.Signer, error) {
	der, kind, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	var key any
	switch kind {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(der)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(der)
	default:
		return nil, fmt.Errorf("%s holds a %s, not a private key", path, kind)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key in %s: %w", path, err)
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a %T cannot sign", path, key)
	}
	if err := checkKey(s.Public()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// LoadPublicKey reads the key that checks signatures: a PEM public key, a
// certificate, or the signing key itself.
func LoadPublicKey(path string) (crypto.PublicKey, error) {
	der, kind, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	var pub crypto.PublicKey
	switch kind {
	case "PUBLIC KEY":
		pub, err = x509.ParsePKIXPublicKey(der)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(der); err == nil {
			pub = cert.PublicKey
		}
	default:
		s, err := LoadKey(path)
		if err != nil {
			return nil, err
		}
		return s.Public(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the key in %s: %w", path, err)
	}
	if err := checkKey(pub); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pub, nil
}

func readPEM(path string) (der []byte, kind string, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("read a key: %w", err)
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "EC PARAMETERS" {
			return block.Bytes, block.Type, nil
		}
	}
	return nil, "", fmt.Errorf("%s holds no key in PEM form", path)
}

// LoadOrCreateKey reads the signing key at path or makes an Ed25519 key there,
// mode 0600, with its public half beside it in path + ".pub".
func LoadOrCreateKey(path string) (crypto.Signer, error) {
	key, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if err := writePEM(path, "PRIVATE KEY", private, 0o600); err != nil {
		return nil, err
	}
	return priv, writePEM(path+".pub", "PUBLIC KEY", public, 0o644)
}

func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	if err := errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the key %s: %w", path, err)
	}
	return nil
}
