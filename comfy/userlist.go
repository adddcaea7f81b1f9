package comfy

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

// userEntry is a file or folder of a user.
type userEntry struct {
	path string // relative to the listed folder
	info fs.FileInfo
}

// userEntries returns the files and folders in a folder. If deep is true, it also
// returns the content of the subfolders. For a symbolic link to a file, it returns
// the file. It leaves out other symbolic links, files that are not complete yet, and
// files that are deleted meanwhile. It logs what it may not read, and leaves it out too.
func (s *Server) userEntries(dir string, deep bool) (all []userEntry, err error) {
	err = fs.WalkDir(s.users.store, dir, func(name string, d fs.DirEntry, err error) error {
		if name == dir {
			return err
		}
		if files.Staged(name) {
			return nil
		}
		var info fs.FileInfo
		if err == nil {
			info, err = fs.Stat(s.users.store, name)
		}
		switch link := d.Type()&fs.ModeSymlink != 0; {
		case err == nil && info.IsDir() && link:
			return nil
		case err == nil:
		case link || errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, fs.ErrPermission):
			s.opts.Logger.Warn("file not listed", "error", err)
			return nil
		default:
			return err
		}
		all = append(all, userEntry{strings.TrimPrefix(name, dir+"/"), info})
		if d.IsDir() && !deep {
			return fs.SkipDir
		}
		return nil
	})
	return all, err
}

// isFolder returns nil if name is a folder in the store, and an error otherwise.
func (s *Server) isFolder(name string) error {
	info, err := fs.Stat(s.users.store, name)
	if err == nil && !info.IsDir() {
		return fs.ErrNotExist
	}
	return err
}

// userdataList answers GET /userdata with the files in the folder dir. With
// recurse, the list also has the files in subfolders. Hidden files are left out.
// By default the list has names; with split, each item is a list of the name and
// its parts; with full_info, each item is an object.
func (s *Server) userdataList(w http.ResponseWriter, r *http.Request) {
	dir, ok := s.userFolder(w, r, "dir", http.StatusUnauthorized)
	if !ok {
		return
	}
	if r.URL.Query().Get("dir") == "" {
		fail(w, http.StatusBadRequest, "Directory not provided")
		return
	}
	err := s.isFolder(dir)
	var entries []userEntry
	if err == nil {
		entries, err = s.userEntries(dir, asked(r, "recurse"))
	}
	if err != nil {
		s.fileError(w, err)
		return
	}
	list := []any{}
	for _, e := range entries {
		parts := strings.Split(e.path, "/")
		if e.info.IsDir() || slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, ".") }) {
			continue
		}
		switch {
		case asked(r, "full_info"):
			list = append(list, fullInfo(e.path, e.info))
		case asked(r, "split"):
			list = append(list, append([]string{e.path}, parts...))
		default:
			list = append(list, e.path)
		}
	}
	answer(w, http.StatusOK, list)
}

// userFolder returns the path in the store of the user's folder that the query
// names. The folder may not exist. If ok is false, userFolder has already answered;
// unknown is the status for an unknown user.
func (s *Server) userFolder(w http.ResponseWriter, r *http.Request, param string, unknown int) (stored string, ok bool) {
	user, ok := s.user(w, r, unknown)
	if !ok {
		return "", false
	}
	name, err := files.CleanDir(r.URL.Query().Get(param))
	if err != nil {
		s.fileError(w, err)
		return "", false
	}
	return path.Join(user, name), true
}

// userdataTree answers GET /v2/userdata with all files and folders below the folder
// path. The folders come first.
func (s *Server) userdataTree(w http.ResponseWriter, r *http.Request) {
	dir, ok := s.userFolder(w, r, "path", http.StatusForbidden)
	if !ok {
		return
	}
	user, within, _ := strings.Cut(dir, "/")
	if err := s.isFolder(dir); err != nil {
		if dir == user { // the user has stored nothing yet
			answer(w, http.StatusOK, []any{})
			return
		}
		s.fileError(w, err)
		return
	}
	entries, err := s.userEntries(dir, true)
	if err != nil {
		s.fileError(w, err)
		return
	}
	slices.SortStableFunc(entries, func(a, b userEntry) int {
		if a.info.IsDir() != b.info.IsDir() {
			if a.info.IsDir() {
				return -1
			}
			return 1
		}
		return cmp.Compare(strings.ToLower(a.info.Name()), strings.ToLower(b.info.Name()))
	})
	list := []object{}
	for _, e := range entries {
		item := object{{"name", path.Base(e.path)}, {"path", path.Join(within, e.path)}}
		if e.info.IsDir() {
			item.add("type", "directory")
		} else {
			item.add("type", "file")
			item.add("size", e.info.Size())
			item.add("modified", seconds(e.info))
		}
		list = append(list, item)
	}
	answer(w, http.StatusOK, list)
}

// fullInfo returns the name, size and times of a file. Not every system records
// the time of creation, so both times are the time of the last modification.
func fullInfo(name string, info fs.FileInfo) object {
	at := seconds(info)
	return object{{"path", name}, {"size", info.Size()}, {"modified", at}, {"created", at}}
}

// seconds returns the modification time of a file in Unix seconds.
func seconds(info fs.FileInfo) float64 { return float64(info.ModTime().UnixMicro()) / 1e6 }
