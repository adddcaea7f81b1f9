package files

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"unicode/utf8"
)

var (
	// ErrOutside means that a name points outside its folder.
	ErrOutside = errors.New("the name points outside its folder")
	// ErrName means that a name is not valid for a file on this system.
	ErrName = errors.New("invalid file name")
)

// nameMax limits one part of a name, pathMax the whole name, both in bytes.
const (
	nameMax = 255
	pathMax = 1024
)

// IsHash reports whether clients take the name of a file for the hash of its content. No route
// finds a file by such a name, so no file gets one. A folder may have such a name.
func IsHash(name string) bool {
	return strings.HasPrefix(name, "blake3:") && !strings.Contains(name, "/")
}

// Clean converts a file name from a client to a name for a Store: a relative path
// with slashes that means one file inside the Store. It refuses what the system of the
// program refuses, and on Windows also what Windows would take for another file. Its
// error is ErrOutside or ErrName, and its text is for the client.
func Clean(name string) (string, error) { return CleanOn(runtime.GOOS, name) }

// CleanDir is like Clean, for the name of a folder. The empty name means ".".
func CleanDir(name string) (string, error) { return cleanDir(runtime.GOOS, name) }

// CleanOn is Clean for the system goos, which has a name as in runtime.GOOS.
func CleanOn(goos, name string) (string, error) {
	p, err := cleanDir(goos, name)
	if err == nil && p == "." {
		return "", fmt.Errorf("%w: it is empty", ErrName)
	}
	return p, err
}

func cleanDir(goos, name string) (string, error) {
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
		err := checkPart(part)
		if err == nil && goos == "windows" {
			err = checkWindows(part)
		}
		if err != nil {
			return "", err
		}
	}
	return path.Clean(name), nil
}

// checkPart checks one part of a path, between two slashes, by the rules of all systems. A
// backslash is a letter on Linux, but a client that sends it means a folder. A part of dots
// and spaces alone is the folder above on some network drives.
func checkPart(part string) error {
	switch part {
	case "", ".":
		return nil
	case "..":
		return ErrOutside
	}
	switch i := strings.IndexFunc(part, isForbidden); {
	case i >= 0 && part[i] == '\\':
		return fmt.Errorf(`%w: it contains a \; divide folders with /`, ErrName)
	case i >= 0:
		return fmt.Errorf("%w: it contains %q", ErrName, part[i])
	case strings.Trim(part, ". ") == "":
		return fmt.Errorf("%w: it has only dots and spaces in a part between slashes", ErrName)
	case len(part) > nameMax:
		return fmt.Errorf("%w: a part between slashes is longer than %d bytes", ErrName, nameMax)
	}
	return nil
}

func isForbidden(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }

// checkWindows checks what only Windows refuses or treats specially: a colon begins the name
// of a drive or of a second stream of a file, dots and spaces at the end do not count, and
// some names are devices in every folder.
func checkWindows(part string) error {
	switch i := strings.IndexAny(part, `<>:"|?*`); {
	case part == ".":
		return nil
	case i >= 0:
		return fmt.Errorf("%w: the server runs on Windows, which does not allow %q in a name", ErrName, part[i])
	case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
		return fmt.Errorf("%w: the server runs on Windows, which does not allow %q at the end of a name", ErrName, part[len(part)-1])
	case isDevice(part):
		return fmt.Errorf("%w: the server runs on Windows, where %q is a device", ErrName, part)
	}
	return nil
}

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
