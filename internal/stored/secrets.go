package stored

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// keyLen is the length of a secret key, in bytes.
const keyLen = 32

// ErrNoKey means that there are secrets, and no key.
var ErrNoKey = errors.New("there is no key")

// Sealer encrypts the secrets of prompts with AES-256-GCM. A nil Sealer has no key. It is
// safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// NewSealer returns the sealer for the options SecretKey and KeyFile of a backend; nil if
// both are empty. A SecretKey that is empty and not nil is an error: a variable that is not
// set must not switch the encryption off. The errors have no name of a package.
func NewSealer(key []byte, keyFile string) (*Sealer, error) {
	switch {
	case keyFile != "" && key != nil:
		return nil, errors.New("both SecretKey and KeyFile of Options are given; give one of them")
	case keyFile != "":
		var err error
		if key, err = readKey(keyFile); err != nil {
			return nil, err
		}
	case key == nil:
		return nil, nil
	case len(key) == 0:
		return nil, fmt.Errorf("Options.SecretKey is empty; give %d random bytes, or nil to keep no secrets", keyLen)
	}
	if len(key) != keyLen {
		return nil, fmt.Errorf("the secret key has %d bytes; give %d random bytes", len(key), keyLen)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// readKey reads a key file.
func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the file with the secret key cannot be read; check Options.KeyFile: %w", err)
	}
	if len(text) == keyLen {
		return text, nil
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keyLen {
		return nil, fmt.Errorf("%s: it has neither %d bytes nor %d hexadecimal digits; make a key with: openssl rand -out FILE %d", path, keyLen, 2*keyLen, keyLen)
	}
	return key, nil
}

// Seal encrypts the secrets of a prompt, so that only this prompt can have them. It
// returns nil if there are none, and [ErrNoKey] without a key.
func (s *Sealer) Seal(promptID string, secrets map[string]string) ([]byte, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	if s == nil {
		return nil, ErrNoKey
	}
	text := packed(secrets)
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(text)+s.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return s.aead.Seal(nonce, nonce, text, []byte(promptID)), nil
}

// Open decrypts what Seal has encrypted. The error is a reason, for example "the key does not
// open them" or [ErrNoKey], for a sentence of the caller.
func (s *Sealer) Open(promptID string, sealed []byte) (map[string]string, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if s == nil {
		return nil, ErrNoKey
	}
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("they are too short")
	}
	text, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(promptID))
	if err != nil {
		return nil, errors.New("the key does not open them")
	}
	secrets := unpacked(text)
	if secrets == nil {
		return nil, errors.New("they are damaged")
	}
	return secrets, nil
}

// packed returns the names and values of secrets, each with its length before it. A secret
// may have any bytes, so JSON cannot hold it.
func packed(secrets map[string]string) (b []byte) {
	for name, value := range secrets {
		for _, s := range []string{name, value} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	return b
}

// unpacked is the reverse of packed. It returns nil if b is not what packed returns.
func unpacked(b []byte) map[string]string {
	var texts []string
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil
		}
		texts = append(texts, string(b[size:size+int(n)]))
		b = b[size+int(n):]
	}
	if len(texts)%2 != 0 {
		return nil
	}
	secrets := make(map[string]string, len(texts)/2)
	for i := 0; i < len(texts); i += 2 {
		secrets[texts[i]] = texts[i+1]
	}
	return secrets
}
