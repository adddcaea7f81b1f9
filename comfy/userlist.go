package comfy

import (
	"cmp"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

// userEntry is a file or folder of a user.
type userEntry struct {
	path string // from where the listing begins
	info fs.FileInfo
}

// userEntries are the files in a folder, if deep those in its folders too, and
// then the folders themselves as well. A symbolic link is what it leads to, if
// that is a file.
func (s *Server) userEntries(dir string, deep bool) (all []userEntry, err error) {
	err = fs.WalkDir(s.users.store, dir, func(name string, d fs.DirEntry, err error) error {
		if name == dir {
			return err
		}
		if err != nil || files.Staged(name) {
			return nil // gone meanwhile
		}
		info, err := fs.Stat(s.users.store, name)
		if err != nil || info.IsDir() && !d.IsDir() {
			return nil // a link that leads nowhere, or to a folder
		}
		all = append(all, userEntry{strings.TrimPrefix(name, dir+"/"), info})
		if d.IsDir() && !deep {
			return fs.SkipDir
		}
		return nil
	})
	return all, err
}

// isFolder returns an error unless there is a folder of that name.
func (s *Server) isFolder(name string) error {
	info, err := fs.Stat(s.users.store, name)
	if err == nil && !info.IsDir() {
		return fs.ErrNotExist
	}
	return err
}

// userdataList answers GET /userdata: the files in the folder dir, if recurse
// those in its folders too. Hidden ones are not listed. By default as names;
// with split as names and their parts; with full_info as objects.
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

// userFolder is the folder of the user that the query names. If there can be
// none it has answered.
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

// userdataTree answers GET /v2/userdata: all that is in the folder path, and in
// its folders, the folders first.
func (s *Server) userdataTree(w http.ResponseWriter, r *http.Request) {
	dir, ok := s.userFolder(w, r, "path", http.StatusForbidden)
	if !ok {
		return
	}
	user, within, _ := strings.Cut(dir, "/")
	if err := s.isFolder(dir); err != nil {
		if dir == user { // it has stored nothing yet
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

// fullInfo is what there is to know of a file. When it was created is not known
// everywhere: its content was when it was last modified.
func fullInfo(name string, info fs.FileInfo) object {
	at := seconds(info)
	return object{{"path", name}, {"size", info.Size()}, {"modified", at}, {"created", at}}
}

// seconds is when a file was modified, in Unix seconds.
func seconds(info fs.FileInfo) float64 { return float64(info.ModTime().UnixMicro()) / 1e6 }
