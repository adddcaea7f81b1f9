package nats

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
	case key != nil && len(key) == 0: // perhaps of a variable that is not set
		return nil, fmt.Errorf("nats: Options.SecretKey is empty; give %d random bytes, or nil for a bus without secrets", keyLen)
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
	text := packed(secrets)
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
	if secrets = unpacked(text); secrets == nil {
		return nil, wrong("they are damaged")
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
