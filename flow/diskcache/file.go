package diskcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A file holds the magic, the SHA-256 hash of everything after the hash, the length of the
// key in four bytes, the key, and the payload.
const (
	magic     = "nodebus result 1"
	keyStart  = len(magic) + sha256.Size + 4
	maxKeyLen = 1 << 16
)

var errDamaged = errors.New("not a complete file of this cache")

// path returns the path of the file for key. The version and the key cannot be mistaken
// for each other, because the version's length comes first.
func (c *Cache) path(key string) string {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, uint64(len(c.opts.Version)))
	_, _ = io.WriteString(h, c.opts.Version+key)
	name := hex.EncodeToString(h.Sum(nil))
	return filepath.Join(c.dir, name[:2], name)
}

func pack(key string, payload []byte) []byte {
	data := make([]byte, keyStart, keyStart+len(key)+len(payload))
	copy(data, magic)
	binary.BigEndian.PutUint32(data[keyStart-4:], uint32(len(key)))
	data = append(append(data, key...), payload...)
	sum := sha256.Sum256(data[keyStart-4:])
	copy(data[len(magic):], sum[:])
	return data
}

// unpack returns the payload of a file.
func unpack(data []byte, key string) ([]byte, error) {
	if len(data) < keyStart+len(key) || string(data[:len(magic)]) != magic {
		return nil, errDamaged
	}
	body := data[keyStart-4:]
	sum := sha256.Sum256(body)
	if !bytes.Equal(sum[:], data[len(magic):keyStart-4]) ||
		int64(binary.BigEndian.Uint32(body)) != int64(len(key)) || string(body[4:4+len(key)]) != key {
		return nil, errDamaged
	}
	return body[4+len(key):], nil
}

// read returns the payload of a file. It reads no file that is larger than the limit.
func (c *Cache) read(path, key string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > c.opts.Bytes {
		return nil, errDamaged
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, errDamaged
	}
	return unpack(data, key)
}

// readKey returns the key of a file, without a check of the rest.
func readKey(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, keyStart)
	if _, err := io.ReadFull(f, head); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint32(head[keyStart-4:])
	if string(head[:len(magic)]) != magic || n > maxKeyLen {
		return "", errDamaged
	}
	key := make([]byte, n)
	_, err = io.ReadFull(f, key)
	return string(key), err
}

// write writes a file under another name first: a reader sees all of it or nothing.
func write(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, stagedPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(f.Name(), now, now) // more exact than the time that some systems set
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
