package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/files"
)

// Folder is a folder in which nodes save files for clients. Several nodes and programs may
// use the same folder. A Folder is safe for concurrent use.
type Folder struct {
	// Path is the path of the folder. For package comfy, it is one of the folders of its
	// options. Create makes the folder if it does not exist. An empty path is an error.
	Path string
	// Type is the name of the folder for clients: "output", "temp" or "input". Default:
	// "output".
	Type string
}

// Create saves a new file, which write fills. The name of the file is
// <prefix>_<number>_<extension>, as ComfyUI makes it: "ComfyUI_00001_.png". The number is
// above the numbers of all files with the prefix and the extension. Two calls never make the
// same file, also if they run at the same time, or in two programs.
//
// The prefix may begin with subfolders: "portraits/red". It usually comes from a client: a
// prefix that leads out of the folder, or that the system of the program does not allow in a
// file name, is an error: a control character or \ on every system; on Windows also one of
// <>:"|?*, and names of devices such as NUL. A name that begins with blake3: is an error, too:
// clients and the server of package comfy take it for a hash. ext begins with a dot, and otherwise has what a
// prefix without subfolders may have. Create takes words such as %width% as they are; [Expand]
// replaces them.
//
// Create keeps the file in memory until write returns. If write returns an error or panics,
// Create returns the error and saves nothing. Readers see complete files only. Create looks
// at the names of all files in the subfolder.
func (f Folder) Create(prefix, ext string, write func(w io.Writer) error) (saved nodebus.File, err error) {
	if f.Path == "" {
		return saved, errors.New("picture: the folder has no path; set Folder.Path")
	}
	sub, base := path.Split(prefix)
	if err := checkExt(ext); err != nil {
		return saved, err
	}
	first, err := files.Clean(path.Join(sub, name(base, 1, ext)))
	if err != nil || base == "" {
		return saved, fmt.Errorf("picture: %.100q is no prefix of a file name in the folder: %w", prefix, errors.Join(err, fs.ErrInvalid))
	}
	if files.IsHash(base) {
		return saved, fmt.Errorf("picture: the name of a file must not begin with blake3: because clients take it for a hash; the prefix is %.100q: %w", prefix, fs.ErrInvalid)
	}
	var content bytes.Buffer
	if err := nodebus.Protect(func() error { return write(&content) }); err != nil {
		return saved, err
	}
	sub = path.Dir(first)
	store := files.Folder(f.Path)
	n, err := highest(store, sub, base+"_", "_"+ext)
	for n++; err == nil; n++ {
		err = store.Write(path.Join(sub, name(base, n, ext)), bytes.NewReader(content.Bytes()), false)
		if errors.Is(err, fs.ErrExist) {
			if _, gone := store.Stat(path.Join(sub, name(base, n, ext))); gone == nil { // another call has made it meanwhile
				err = nil
				continue
			}
		}
		saved = nodebus.File{Filename: name(base, n, ext), Subfolder: strings.TrimPrefix(sub, "."), Type: f.Type}
		break
	}
	if err != nil {
		return nodebus.File{}, fmt.Errorf("picture: %w", err)
	}
	if saved.Type == "" {
		saved.Type = "output"
	}
	return saved, nil
}

func checkExt(ext string) error {
	if len(ext) < 2 || ext[0] != '.' || strings.Contains(ext, "/") {
		return fmt.Errorf(`picture: the extension %.100q is not allowed; it begins with a dot, as ".png": %w`, ext, fs.ErrInvalid)
	}
	return nil
}

// Expand replaces the words that ComfyUI replaces in the prefix of a file name: %width% and
// %height% by the size of the picture in pixels, and %year%, %month%, %day%, %hour%, %minute%
// and %second% by the parts of the time at, in the time zone of at. The year is a plain
// number, and the other parts have two digits. Words between other percent signs stay as they
// are. The result is a prefix for [Folder.Create], which checks it.
func Expand(prefix string, size image.Point, at time.Time) string {
	for _, word := range []struct {
		name   string
		digits int
		value  int
	}{
		{"%width%", 1, size.X},
		{"%height%", 1, size.Y},
		{"%year%", 1, at.Year()},
		{"%month%", 2, int(at.Month())},
		{"%day%", 2, at.Day()},
		{"%hour%", 2, at.Hour()},
		{"%minute%", 2, at.Minute()},
		{"%second%", 2, at.Second()},
	} {
		prefix = strings.ReplaceAll(prefix, word.name, fmt.Sprintf("%0*d", word.digits, word.value))
	}
	return prefix
}

// name returns the name of a file. It has at least five digits.
func name(base string, n uint64, ext string) string { return fmt.Sprintf("%s_%05d_%s", base, n, ext) }

// highest returns the highest number of the files in a subfolder, or 0.
func highest(store files.Folder, sub, before, after string) (n uint64, err error) {
	opened, err := store.Open(sub)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = opened.Close() }()
	dir, ok := opened.(fs.ReadDirFile)
	for ok && err == nil {
		var entries []fs.DirEntry
		entries, err = dir.ReadDir(1024)
		for _, e := range entries {
			n = max(n, number(e.Name(), before, after))
		}
	}
	if err == io.EOF { //nolint:errorlint // of ReadDir
		err = nil
	}
	return n, err
}

// number returns the number in the name of a file, or 0.
func number(name, before, after string) uint64 {
	digits, ok := strings.CutPrefix(name, before)
	if digits, end := strings.CutSuffix(digits, after); ok && end {
		n, err := strconv.ParseUint(digits, 10, 32)
		if err == nil {
			return n
		}
	}
	return 0
}
