package stored_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/nodebus/nodebus/internal/stored"
	"github.com/stretchr/testify/require"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// secrets are secrets with any bytes.
func secrets() map[string]string { return map[string]string{"API_KEY": "s3cret\xff", "": "empty"} }

func newSealer(t testing.TB, key []byte) *stored.Sealer {
	t.Helper()
	s, err := stored.NewSealer(key, "")
	require.NoError(t, err)
	return s
}

func keyFile(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// TestSecretsOfOldVersions opens what older versions have sealed. Never change the bytes.
func TestSecretsOfOldVersions(t *testing.T) {
	sealed, err := hex.DecodeString("f72e70c28642e00262782a20f417e69b5aff9f915d97623679d9fe8cd036c0e9ded719520ff02ac2eca82bac50a94f2f28d99d")
	require.NoError(t, err)
	got, err := newSealer(t, key).Open("a", sealed)
	require.NoError(t, err)
	require.Equal(t, secrets(), got)
}

// TestSecrets checks that sealed secrets cannot be read, that every form of the same key opens
// them, and that nothing else does.
func TestSecrets(t *testing.T) {
	s := newSealer(t, key)
	sealed, err := s.Seal("a", secrets())
	require.NoError(t, err)
	require.False(t, bytes.Contains(sealed, []byte("s3cret")) || bytes.Contains(sealed, []byte("API_KEY")))
	again, err := s.Seal("a", secrets())
	require.NoError(t, err)
	require.NotEqual(t, sealed[:12], again[:12], "a nonce must not be used twice")
	for name, file := range map[string]string{
		"bytes": keyFile(t, key), "digits": keyFile(t, []byte(hex.EncodeToString(key)+"\n")),
	} {
		same, err := stored.NewSealer(nil, file)
		require.NoError(t, err, name)
		got, err := same.Open("a", sealed)
		require.NoError(t, err, name)
		require.Equal(t, secrets(), got, name)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, c := range map[string]struct {
		s      *stored.Sealer
		id     string
		sealed []byte
		want   string
	}{
		"without a key":     {nil, "a", sealed, "there is no key"},
		"another key":       {newSealer(t, bytes.Repeat([]byte{7}, 32)), "a", sealed, "the key does not open them"},
		"of another prompt": {s, "b", sealed, "the key does not open them"},
		"changed":           {s, "a", changed, "the key does not open them"},
		"cut":               {s, "a", sealed[:11], "they are too short"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.s.Open(c.id, c.sealed)
			require.EqualError(t, err, c.want)
			require.Nil(t, got)
		})
	}
}

// TestNoSecrets: a prompt without secrets needs no key.
func TestNoSecrets(t *testing.T) {
	none, err := stored.NewSealer(nil, "")
	require.NoError(t, err)
	require.Nil(t, none)
	for _, s := range []*stored.Sealer{none, newSealer(t, key)} {
		sealed, err := s.Seal("a", map[string]string{})
		require.NoError(t, err)
		require.Empty(t, sealed)
		got, err := s.Open("a", sealed)
		require.NoError(t, err)
		require.Empty(t, got)
	}
	_, err = none.Seal("a", secrets())
	require.ErrorIs(t, err, stored.ErrNoKey)
}

func TestWrongKeys(t *testing.T) {
	for name, c := range map[string]struct {
		key  []byte
		file string
		says string
	}{
		"empty":      {[]byte{}, "", "SecretKey is empty"},
		"two empty":  {[]byte{}, "key", "give one of them"},
		"short":      {make([]byte, 16), "", "has 16 bytes; give 32 random bytes"},
		"two keys":   {make([]byte, 32), "key", "give one of them"},
		"no file":    {nil, filepath.Join(t.TempDir(), "key"), "check Options.KeyFile"},
		"wrong file": {nil, keyFile(t, []byte("password")), "openssl rand"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := stored.NewSealer(c.key, c.file)
			require.ErrorContains(t, err, c.says)
			require.Nil(t, s)
		})
	}
}

// FuzzSecrets opens texts that the right key has sealed, and that Seal has not packed.
func FuzzSecrets(f *testing.F) {
	for _, text := range []string{"\x01a\x01b", "\x00\x00", "\x01a", "\x05a", "\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a"} {
		f.Add([]byte(text))
	}
	block, err := aes.NewCipher(key)
	require.NoError(f, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(f, err)
	s := newSealer(f, key)
	f.Fuzz(func(t *testing.T, text []byte) {
		nonce := make([]byte, aead.NonceSize())
		got, err := s.Open("a", aead.Seal(nonce, nonce, text, []byte("a")))
		if err != nil {
			require.EqualError(t, err, "they are damaged")
			return
		}
		sealed, err := s.Seal("a", got)
		require.NoError(t, err)
		same, err := s.Open("a", sealed)
		require.NoError(t, err)
		require.Len(t, same, len(got))
		for name, value := range got {
			require.Equal(t, value, same[name])
		}
	})
}
