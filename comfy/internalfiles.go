package comfy

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
)

// folderFiles answers GET /internal/files/{folder} with the names of the files in
// the folder, the newest first. It leaves out hidden files, subfolders and links.
func (s *Server) folderFiles(w http.ResponseWriter, r *http.Request) {
	from, ok := s.folder(r.PathValue("folder"))
	if !ok {
		fail(w, http.StatusBadRequest, "the folder must be output, input or temp")
		return
	}
	entries, err := fs.ReadDir(from, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fileError(w, err)
		return
	}
	var found []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && !strings.HasPrefix(info.Name(), ".") {
			found = append(found, info)
		}
	}
	slices.SortStableFunc(found, func(a, b fs.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	names := []string{}
	for _, info := range found {
		names = append(names, info.Name())
	}
	answer(w, http.StatusOK, names)
}
