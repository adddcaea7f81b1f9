package users

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/content"
	"github.com/nodebus/nodebus/comfy/internal/web"
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
func (u *Users) userEntries(dir string, deep bool) (all []userEntry, err error) {
	err = fs.WalkDir(u.accounts.store, dir, func(name string, d fs.DirEntry, err error) error {
		if name == dir {
			return err
		}
		if files.Staged(name) {
			return nil
		}
		var info fs.FileInfo
		if err == nil {
			info, err = fs.Stat(u.accounts.store, name)
		}
		switch link := d.Type()&fs.ModeSymlink != 0; {
		case err == nil && info.IsDir() && link:
			return nil
		case err == nil:
		case link || errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, fs.ErrPermission):
			u.sender.Logger.Warn("file not listed", "error", err)
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

// mustBeFolder returns an error if name is not a folder in the store.
func (u *Users) mustBeFolder(name string) error {
	info, err := fs.Stat(u.accounts.store, name)
	if err == nil && !info.IsDir() {
		return fs.ErrNotExist
	}
	return err
}

// FileList answers GET /userdata with the files in the folder dir. With
// recurse, the list also has the files in subfolders. Hidden files are left out.
// By default the list has names; with split, each item is a list of the name and
// its parts; with full_info, each item is an object.
func (u *Users) FileList(w http.ResponseWriter, r *http.Request) {
	dir, ok := u.userFolder(w, r, "dir", http.StatusUnauthorized)
	if !ok {
		return
	}
	if r.URL.Query().Get("dir") == "" {
		web.Fail(w, http.StatusBadRequest, "Directory not provided")
		return
	}
	err := u.mustBeFolder(dir)
	var entries []userEntry
	if err == nil {
		entries, err = u.userEntries(dir, asked(r, "recurse"))
	}
	if err != nil {
		u.sender.Error(w, err)
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
	web.Answer(w, http.StatusOK, list)
}

// userFolder returns the path in the store of the user's folder that the query
// names. The folder may not exist. If ok is false, userFolder has already answered;
// unknown is the status for an unknown user.
func (u *Users) userFolder(w http.ResponseWriter, r *http.Request, param string, unknown int) (stored string, ok bool) {
	user, ok := u.user(w, r, unknown)
	if !ok {
		return "", false
	}
	name, err := files.CleanDir(r.URL.Query().Get(param))
	if err != nil {
		u.sender.Error(w, err)
		return "", false
	}
	return path.Join(user, name), true
}

// FileTree answers GET /v2/userdata with all files and folders below the folder
// path. The folders come first.
func (u *Users) FileTree(w http.ResponseWriter, r *http.Request) {
	dir, ok := u.userFolder(w, r, "path", http.StatusForbidden)
	if !ok {
		return
	}
	user, within, _ := strings.Cut(dir, "/")
	if err := u.mustBeFolder(dir); err != nil {
		if dir == user { // the user has stored nothing yet
			web.Answer(w, http.StatusOK, []any{})
			return
		}
		u.sender.Error(w, err)
		return
	}
	entries, err := u.userEntries(dir, true)
	if err != nil {
		u.sender.Error(w, err)
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
	list := []web.Object{}
	for _, e := range entries {
		item := web.Object{{"name", path.Base(e.path)}, {"path", path.Join(within, e.path)}}
		if e.info.IsDir() {
			item.Add("type", "directory")
		} else {
			item.Add("type", "file")
			item.Add("size", e.info.Size())
			item.Add("modified", content.Seconds(e.info))
		}
		list = append(list, item)
	}
	web.Answer(w, http.StatusOK, list)
}

// fullInfo returns the name, size and times of a file. The times are in milliseconds, as
// Date.now() of the front end. Not every system records the time of creation, so both times
// are the time of the last modification.
func fullInfo(name string, info fs.FileInfo) web.Object {
	at := content.Millis(info)
	return web.Object{{"path", name}, {"size", info.Size()}, {"modified", at}, {"created", at}}
}
