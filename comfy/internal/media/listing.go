package media

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/web"
)

// Listing answers GET /internal/files/{folder} with the names of the files in
// the folder, the newest first. It leaves out hidden files, subfolders and links.
func (m *Media) Listing(w http.ResponseWriter, r *http.Request) {
	from, ok := m.folder(r.PathValue("folder"))
	if !ok {
		web.Fail(w, http.StatusBadRequest, "the folder must be output, input or temp")
		return
	}
	entries, err := fs.ReadDir(from, ".")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.sender.Error(w, err)
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
	web.Answer(w, http.StatusOK, names)
}
