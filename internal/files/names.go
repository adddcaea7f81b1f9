package files

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

var (
	// ErrOutside means that a name points outside its folder.
	ErrOutside = errors.New("the name points outside its folder")
	// ErrName means that a name is not valid for a file on every system.
	ErrName = errors.New("invalid file name")
)

// nameMax limits one part of a name, pathMax the whole name, both in bytes.
const (
	nameMax = 255
	pathMax = 1024
)

// Clean converts a file name from a client to a name for a Store: a relative path
// with slashes that means the same file on every system. Its error is ErrOutside
// or ErrName.
func Clean(name string) (string, error) {
	p, err := CleanDir(name)
	if err == nil && p == "." {
		return "", fmt.Errorf("%w: it is empty", ErrName)
	}
	return p, err
}

// CleanDir is like Clean, for the name of a folder. The empty name means ".".
func CleanDir(name string) (string, error) {
	if len(name) > pathMax {
		return "", fmt.Errorf("%w: it is longer than %d bytes", ErrName, pathMax)
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: it is not UTF-8", ErrName)
	}
	if strings.HasPrefix(name, "/") {
		return "", ErrOutside
	}
	for part := range strings.SplitSeq(name, "/") {
		if err := checkPart(part); err != nil {
			return "", err
		}
	}
	return path.Clean(name), nil
}

// checkPart checks one part of a path, between two slashes. It refuses device
// names, and dots and spaces at the end, because Windows treats them specially.
func checkPart(part string) error {
	switch part {
	case "", ".":
		return nil
	case "..":
		return ErrOutside
	}
	switch i := strings.IndexFunc(part, isForbidden); {
	case i >= 0:
		return fmt.Errorf("%w: it contains %q", ErrName, part[i])
	case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
		return fmt.Errorf("%w: it ends with %q", ErrName, part[len(part)-1])
	case len(part) > nameMax:
		return fmt.Errorf("%w: a part between slashes is longer than %d bytes", ErrName, nameMax)
	case isDevice(part):
		return fmt.Errorf("%w: %q is a device name on Windows", ErrName, part)
	}
	return nil
}

func isForbidden(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }

// isDevice reports whether Windows would open a device instead of a file. Windows
// ignores the extension.
func isDevice(part string) bool {
	stem, _, _ := strings.Cut(part, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(stem, port); ok && utf8.RuneCountInString(n) == 1 {
			return strings.ContainsAny(n, "0123456789¹²³")
		}
	}
	return false
}
