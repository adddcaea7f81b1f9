package nats

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nodebus/nodebus/flow"
)

// keyLen is the length of a secret key, in bytes.
const keyLen = 32

// sealer encrypts the secrets of prompts. A nil sealer has no key.
type sealer struct{ aead cipher.AEAD }

// newSealer returns the sealer of some options; nil if they have no key.
func newSealer(opts *Options) (*sealer, error) {
	key := opts.SecretKey
	switch {
	case opts.KeyFile != "" && len(key) > 0:
		return nil, errors.New("nats: Options has both SecretKey and KeyFile; give one of them")
	case opts.KeyFile != "":
		var err error
		if key, err = readKey(opts.KeyFile); err != nil {
			return nil, err
		}
	case len(key) == 0:
		return nil, nil
	}
	if len(key) != keyLen {
		return nil, fmt.Errorf("nats: the secret key has %d bytes; give %d random bytes", len(key), keyLen)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

// readKey reads a key file.
func readKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("nats: the file with the secret key cannot be read; check Options.KeyFile: %w", err)
	}
	if len(text) == keyLen {
		return text, nil
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != keyLen {
		return nil, fmt.Errorf("nats: %s: it has neither %d bytes nor %d hexadecimal digits; make a key with: openssl rand -out FILE %d", path, keyLen, 2*keyLen, keyLen)
	}
	return key, nil
}

// seal encrypts the secrets of a prompt, so that only this prompt can have them. It
// returns nil if there are none.
func (s *sealer) seal(promptID string, secrets map[string]string) ([]byte, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	if s == nil {
		return nil, fmt.Errorf("%w: give nats.Options.SecretKey or KeyFile to keep them in NATS", flow.ErrSecrets)
	}
	text, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(text)+s.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return s.aead.Seal(nonce, nonce, text, []byte(promptID)), nil
}

// open decrypts what seal has encrypted.
func (s *sealer) open(stream, promptID string, sealed []byte) (secrets map[string]string, err error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	wrong := func(what string) error {
		return &StreamError{Stream: stream, Reason: ErrKey, Detail: fmt.Sprintf(
			"prompt %q waits with secrets, and %s; give the key with which they were written as Options.SecretKey or KeyFile", promptID, what)}
	}
	if s == nil {
		return nil, wrong("there is no key")
	}
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, wrong("they are too short")
	}
	text, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(promptID))
	if err != nil {
		return nil, wrong("the key does not open them")
	}
	return secrets, json.Unmarshal(text, &secrets)
}
