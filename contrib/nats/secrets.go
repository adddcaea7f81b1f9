package nats

import (
	"errors"
	"fmt"

	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/stored"
)

// seal encrypts the secrets of a prompt. It returns nil if there are none.
func (s *promptStream) seal(promptID string, secrets map[string]string) ([]byte, error) {
	sealed, err := s.sealer.Seal(promptID, secrets)
	if errors.Is(err, stored.ErrNoKey) {
		err = fmt.Errorf("%w: give nats.Options.SecretKey or KeyFile to keep them in NATS", flow.ErrSecrets)
	}
	return sealed, err
}

// unseal decrypts what seal has encrypted.
func (s *promptStream) unseal(promptID string, sealed []byte) (map[string]string, error) {
	secrets, err := s.sealer.Open(promptID, sealed)
	if err != nil {
		return nil, s.noSecrets(promptID, err)
	}
	return secrets, nil
}

// noSecrets returns the error for a prompt whose secrets this process cannot open.
func (s *promptStream) noSecrets(promptID string, why error) error {
	return &StreamError{Stream: s.name, Reason: ErrKey, Detail: fmt.Sprintf(
		"prompt %q waits with secrets, and %v; give the key with which they were written as Options.SecretKey or KeyFile", promptID, why)}
}
