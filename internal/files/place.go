package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// placeMax limits how many names Place tries.
const placeMax = 1000

// Place writes a file like Write, but may choose another name. If replace is true,
// it uses name and replaces an existing file. If replace is false and there is a
// file with other content, it tries "name (1).ext", "name (2).ext" and so on, up to
// 1000 names. A file with the same content is kept and used. Place returns the name
// of the file. Its error is fs.ErrExist if all names are taken.
func (f Folder) Place(name string, content io.Reader, replace bool) (string, error) {
	err := f.in(func(root *os.Root) error {
		return staged(root, content, func(temp string) (err error) {
			name, err = place(root, temp, name, replace)
			return err
		})
	})
	return name, err
}

func place(root *os.Root, temp, name string, replace bool) (string, error) {
	if replace {
		return name, move(root, temp, name, true)
	}
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	candidate := name
	for i := 1; i <= placeMax; i++ {
		err := move(root, temp, candidate, false)
		if !errors.Is(err, fs.ErrExist) {
			return candidate, err
		}
		if same(root, temp, candidate) {
			return candidate, root.Remove(temp)
		}
		candidate = fmt.Sprintf("%s (%d)%s", stem, i, ext)
	}
	return "", fmt.Errorf("%d files with this name and a number exist already; choose another name: %w", placeMax, fs.ErrExist)
}

// same reports whether two files can be read and have the same content.
func same(root *os.Root, a, b string) bool {
	one, err := root.Stat(a)
	if err != nil {
		return false
	}
	two, err := root.Stat(b)
	if err != nil || !two.Mode().IsRegular() || one.Size() != two.Size() {
		return false
	}
	x, err := root.Open(a)
	if err != nil {
		return false
	}
	defer func() { _ = x.Close() }()
	y, err := root.Open(b)
	if err != nil {
		return false
	}
	defer func() { _ = y.Close() }()
	return sameContent(x, y)
}

func sameContent(a, b io.Reader) bool {
	bufA, bufB := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return isEnd(errA) && isEnd(errB)
		}
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
