package files

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a store in memory. Its files are lost when the program ends.
type Memory struct {
	maxBytes int64
	maxFiles int

	mu    sync.RWMutex
	files map[string]memFile
	bytes int64
}

var _ Store = (*Memory)(nil)

// memFile is a file. Its content never changes after the write.
type memFile struct {
	content  []byte
	modified time.Time
}

// NewMemory returns a store that keeps at most maxBytes bytes in at most maxFiles
// files.
func NewMemory(maxBytes int64, maxFiles int) *Memory {
	return &Memory{maxBytes: maxBytes, maxFiles: maxFiles, files: map[string]memFile{}}
}

// Write reads content completely before it stores the file. It returns ErrFull if
// the file would exceed a limit; the store then does not change.
func (m *Memory) Write(name string, content io.Reader, replace bool) error {
	data, err := io.ReadAll(io.LimitReader(content, m.maxBytes+1))
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.canHave(name, replace); err != nil {
		return err
	}
	old, is := m.files[name]
	size := m.bytes + int64(len(data)) - int64(len(old.content))
	if size > m.maxBytes || !is && len(m.files) >= m.maxFiles {
		return ErrFull
	}
	m.bytes = size
	m.files[name] = memFile{data, time.Now()}
	return nil
}

// canHave returns fs.ErrExist if a file with this name would conflict with another
// file or a folder. m.mu must be held.
func (m *Memory) canHave(name string, replace bool) error {
	if _, is := m.files[name]; is && !replace {
		return errInTheWay(name)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, is := m.files[dir]; is {
			return errInTheWay(dir)
		}
	}
	for other := range m.files {
		if strings.HasPrefix(other, name+"/") {
			return errInTheWay(name)
		}
	}
	return nil
}

// Rename moves a file.
func (m *Memory) Rename(from, to string, replace bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	file, is := m.files[from]
	if !is {
		return fs.ErrNotExist
	}
	if err := m.canHave(to, replace); err != nil || from == to {
		return err
	}
	m.bytes -= int64(len(m.files[to].content))
	m.files[to] = file
	delete(m.files, from)
	return nil
}

// Remove deletes a file.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	file, is := m.files[name]
	if !is {
		return fs.ErrNotExist
	}
	m.bytes -= int64(len(file.content))
	delete(m.files, name)
	return nil
}

// Open opens a file or folder for reading.
func (m *Memory) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if file, is := m.files[name]; is {
		return &memReader{*bytes.NewReader(file.content), file.info(name)}, nil
	}
	entries := m.entries(name)
	if len(entries) == 0 && name != "." {
		return nil, notExist(name)
	}
	return &memDir{info: memInfo{name: path.Base(name), dir: true}, entries: entries}, nil
}

// entries lists the content of a folder, sorted by name. m.mu must be held.
func (m *Memory) entries(dir string) (all []fs.DirEntry) {
	folders := map[string]bool{}
	for name, file := range m.files {
		if dir != "." {
			var in bool
			if name, in = strings.CutPrefix(name, dir+"/"); !in {
				continue
			}
		}
		folder, _, deeper := strings.Cut(name, "/")
		switch {
		case !deeper:
			all = append(all, fs.FileInfoToDirEntry(file.info(name)))
		case !folders[folder]:
			folders[folder] = true
			all = append(all, fs.FileInfoToDirEntry(memInfo{name: folder, dir: true}))
		}
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

func (f memFile) info(name string) memInfo {
	return memInfo{name: path.Base(name), size: int64(len(f.content)), modified: f.modified}
}
