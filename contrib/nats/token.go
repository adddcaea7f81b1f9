package nats

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"unicode/utf8"
)

// maxToken is the longest id that is written as it is in a subject.
const maxToken = 64

// token returns a subject token for an id. Ids of letters, digits, - and _ stay readable;
// the token of any other id is a hash, because a subject has no room for every text. Who
// needs the id finds it in the message.
func token(id string) string {
	plain := len(id) > 0 && len(id) <= maxToken
	for i := 0; i < len(id) && plain; i++ {
		c := id[i]
		plain = c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	if plain {
		return "i" + id
	}
	sum := sha256.Sum256([]byte(id))
	return "x" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// maxID is the size, in bytes, of the longest id of a prompt or client: it is in the header
// of messages.
const maxID = 4096

// checkID returns an error if no stream can keep an id: JSON has no bytes that are not UTF-8,
// so other processes would read another id.
func checkID(of, id string) error {
	switch {
	case len(id) > maxID:
		return fmt.Errorf("nats: the id of the %s has %d bytes, at most %d are possible; choose a shorter id", of, len(id), maxID)
	case !utf8.ValidString(id):
		return fmt.Errorf("nats: the id of the %s is not UTF-8, so no stream can keep it; choose another id: %q", of, id)
	}
	return nil
}
