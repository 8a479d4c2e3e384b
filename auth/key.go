package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Key is a private key that signs assertions: RSA of at least 2048 bits for RS384, or EC
// on curve P-384 for ES384, the two algorithms that SMART servers support. However it is
// printed, it prints as "[key]". The zero value cannot sign.
type Key struct {
	// sign is a func because fmt cannot look into one.
	sign func(payload []byte, jku string) (string, error)
}

// Format implements [fmt.Formatter], so that no verb prints the key.
func (Key) Format(s fmt.State, _ rune) { fmt.Fprint(s, "[key]") }

// LogValue implements [slog.LogValuer].
func (Key) LogValue() slog.Value { return slog.StringValue("[key]") }

// ParseKey reads a private key: a JWK or a JWK Set (RFC 7517), or PEM (PKCS #8,
// PKCS #1 or SEC 1). id is the key id under which the server knows the key. It selects
// from a set's keys; if it is empty, there must be only one key that can sign. PEM has no
// key ids, so it requires id. Errors quote nothing of the data.
func ParseKey(data []byte, id string) (Key, error) {
	data = bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(data, []byte("{")):
		return parseJWK(data, id)
	case bytes.Contains(data, []byte("-----BEGIN ")):
		if id == "" {
			return Key{}, errors.New("a PEM file holds no key id: give it separately")
		}
		private, err := parsePEM(data)
		if err != nil {
			return Key{}, err
		}
		return newKey(private, id)
	}
	return Key{}, errors.New("not a key: want a JWK, a JWK Set or PEM")
}

// parseJWK selects the key from a JWK or JWK Set.
func parseJWK(data []byte, id string) (Key, error) {
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal(data, &set) != nil {
		return Key{}, errors.New("not a readable JWK")
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{data}
		// A single key need not have an id of its own.
		var alone struct{ Kid string }
		if json.Unmarshal(data, &alone) == nil && alone.Kid == "" && id != "" {
			k, err := readJWK(data)
			if err != nil {
				return Key{}, err
			}
			return newKey(k.Key, id)
		}
	}
	var usable []jose.JSONWebKey
	var why error
	for _, one := range set.Keys {
		k, err := readJWK(one)
		switch {
		case id != "" && k.KeyID != id:
		case err != nil:
			why = err
		default:
			usable = append(usable, k)
		}
	}
	switch {
	case len(usable) > 1:
		ids := make([]string, len(usable))
		for i, k := range usable {
			ids[i] = k.KeyID
		}
		return Key{}, fmt.Errorf("several keys can sign (%s): choose one by its key id", strings.Join(ids, ", "))
	case len(usable) == 0 && why != nil:
		return Key{}, fmt.Errorf("no key can sign: %w", why)
	case len(usable) == 0:
		return Key{}, errors.New("no key has that key id")
	case usable[0].KeyID == "":
		return Key{}, errors.New("the key has no kid: give its key id separately")
	}
	return newKey(usable[0].Key, usable[0].KeyID)
}

// readJWK reads a private key that may sign. Even with an error, the key has its kid if that
// can be read.
func readJWK(data []byte) (jose.JSONWebKey, error) {
	var k jose.JSONWebKey
	var uses struct {
		Kid string
		Ops []string `json:"key_ops"`
	}
	if json.Unmarshal(data, &uses) != nil {
		return k, errors.New("not a readable JWK")
	}
	if k.UnmarshalJSON(data) != nil {
		k.KeyID = uses.Kid
		return k, errors.New("not a readable JWK of a private RSA or EC key")
	}
	switch {
	case k.IsPublic():
		return k, errors.New("it is a public key; want the private key")
	case k.Use != "" && k.Use != "sig", uses.Ops != nil && !slices.Contains(uses.Ops, "sign"):
		return k, errors.New("its use or key_ops does not allow signing")
	}
	alg, err := algorithm(k.Key)
	if err == nil && k.Algorithm != "" && k.Algorithm != string(alg) {
		err = fmt.Errorf("its alg is not %s", alg)
	}
	return k, err
}

// parsePEM reads the first private key.
func parsePEM(data []byte) (any, error) {
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			return nil, errors.New("the PEM holds no private key")
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key is encrypted; want it unencrypted (openssl pkcs8 -in FILE removes the password)")
		default:
			continue // a certificate, or an EC key's parameters
		}
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the key is encrypted; want it unencrypted (openssl pkey -in FILE removes the password)")
		}
		if err != nil {
			return nil, errors.New("the PEM's private key is unreadable")
		}
		return key, nil
	}
}

// algorithm returns the algorithm that a key signs with.
func algorithm(key any) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return "", fmt.Errorf("an RSA key of %d bits; want at least 2048 (RFC 7518 3.3)", k.N.BitLen())
		}
		return jose.RS384, nil
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P384() {
			return "", fmt.Errorf("an EC key on %s; want P-384", k.Curve.Params().Name)
		}
		return jose.ES384, nil
	}
	return "", errors.New("neither an RSA nor an EC key")
}

func newKey(private crypto.PrivateKey, id string) (Key, error) {
	alg, err := algorithm(private)
	if err != nil {
		return Key{}, err
	}
	key := jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: private, KeyID: id}}
	sign := func(payload []byte, jku string) (string, error) {
		options := new(jose.SignerOptions).WithType("JWT")
		if jku != "" {
			options.WithHeader("jku", jku)
		}
		signer, err := jose.NewSigner(key, options)
		if err != nil {
			return "", err
		}
		signed, err := signer.Sign(payload)
		if err != nil {
			return "", err
		}
		return signed.CompactSerialize()
	}
	if _, err := sign([]byte("{}"), ""); err != nil { // fail now rather than in a nightly run
		return Key{}, errors.New("the key cannot sign")
	}
	return Key{sign: sign}, nil
}
