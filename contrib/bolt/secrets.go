package bolt

import (
	"errors"
	"fmt"

	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/stored"
)

// seal encrypts the secrets of a prompt. It returns nil if there are none.
func (d *DB) seal(promptID string, secrets map[string]string) ([]byte, error) {
	sealed, err := d.sealer.Seal(promptID, secrets)
	if errors.Is(err, stored.ErrNoKey) {
		err = fmt.Errorf("%w: give bolt.Options.SecretKey or KeyFile to keep them in the file", flow.ErrSecrets)
	}
	return sealed, err
}

// unseal decrypts what seal has encrypted.
func (d *DB) unseal(promptID string, sealed []byte) (map[string]string, error) {
	secrets, err := d.sealer.Open(promptID, sealed)
	if err != nil {
		return nil, &FileError{Path: d.path, Reason: ErrKey, Detail: fmt.Sprintf(
			"prompt %q waits with secrets, and %v; give the key with which they were written as Options.SecretKey or KeyFile; if the key is lost, Options.DropSecrets removes them", promptID, err)}
	}
	return secrets, nil
}
