package files

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

var (
	// ErrOutside is about a name that leads out of its folder.
	ErrOutside = errors.New("the name leads out of its folder")
	// ErrName is about a name that a file cannot have on every system.
	ErrName = errors.New("no file can have this name")
)

// nameMax and pathMax bound one part of a name and all of it, in bytes.
const (
	nameMax = 255
	pathMax = 1024
)

// Clean makes the name of a file out of what a client gives: relative, with
// slashes, and the same file on every system. The error is ErrOutside or
// ErrName.
func Clean(name string) (string, error) {
	p, err := CleanDir(name)
	if err == nil && p == "." {
		return "", fmt.Errorf("%w: it is empty", ErrName)
	}
	return p, err
}

// CleanDir is Clean for the name of a folder, which may be empty: that is ".".
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

// checkPart looks at what is between two slashes. Windows gives some names a
// meaning of their own, and ignores dots and spaces at the end.
func checkPart(part string) error {
	switch part {
	case "", ".":
		return nil
	case "..":
		return ErrOutside
	}
	switch i := strings.IndexFunc(part, isForbidden); {
	case i >= 0:
		return fmt.Errorf("%w: it has %q in it", ErrName, part[i])
	case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
		return fmt.Errorf("%w: it ends with %q", ErrName, part[len(part)-1])
	case len(part) > nameMax:
		return fmt.Errorf("%w: a part of it is longer than %d bytes", ErrName, nameMax)
	case isDevice(part):
		return fmt.Errorf("%w: %q is a device", ErrName, part)
	}
	return nil
}

func isForbidden(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }

// isDevice reports whether Windows would open a device, whatever the extension.
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
