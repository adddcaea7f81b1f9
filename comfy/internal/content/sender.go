package content

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"

	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// Sender sends files. It is safe for concurrent use.
type Sender struct {
	Logger *slog.Logger // receives the errors that no client learns about
}

// Send answers with a file. It supports range requests and conditional
// requests.
func (s Sender) Send(w http.ResponseWriter, r *http.Request, from fs.FS, name, typ string) {
	f, err := from.Open(name)
	if err != nil {
		s.Error(w, err)
		return
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		s.Error(w, err)
		return
	}
	content, ok := f.(io.ReadSeeker)
	if !ok { // files of some file systems cannot seek, for example files in archives
		all, err := io.ReadAll(f)
		if err != nil {
			s.Error(w, err)
			return
		}
		content = bytes.NewReader(all)
	}
	h := w.Header()
	h.Set("Content-Type", typ)
	h.Set("X-Content-Type-Options", "nosniff")
	if at := info.ModTime(); !at.IsZero() { // the date has only seconds; two versions may differ by less
		h.Set("ETag", fmt.Sprintf(`"%x-%x"`, at.UnixNano(), info.Size()))
	}
	http.ServeContent(w, r, "", info.ModTime(), content)
}

// Error answers a request whose file could not be read or written. It logs the
// errors that it does not expect.
func (s Sender) Error(w http.ResponseWriter, err error) {
	for _, name := range []string{"Content-Disposition", "Content-Security-Policy"} { // of the file
		w.Header().Del(name)
	}
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		web.Unread(w, err)
	case errors.Is(err, files.ErrName):
		web.Fail(w, http.StatusBadRequest, nameProblem(err))
	case errors.Is(err, files.ErrOutside):
		web.Fail(w, http.StatusForbidden, files.ErrOutside.Error())
	case errors.Is(err, fs.ErrPermission):
		web.Fail(w, http.StatusForbidden, "access to this file is not allowed")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		web.Fail(w, http.StatusNotFound, "there is no such file")
	case errors.Is(err, fs.ErrExist):
		web.Fail(w, http.StatusConflict, "a file or folder with this name already exists")
	case errors.Is(err, files.ErrFull):
		web.Fail(w, http.StatusInsufficientStorage, files.ErrFull.Error())
	default:
		s.Failed(w, err)
	}
}

// Failed answers a request that has failed for a reason that the client cannot mend, and
// must not know. It logs the error.
func (s Sender) Failed(w http.ResponseWriter, err error) {
	s.Logger.Error("file not read or written", "error", err)
	web.Fail(w, http.StatusServiceUnavailable, "the file cannot be read or written now")
}

// nameProblem returns the text for a client whose name for a file is refused: by this program,
// or by the file system, whose error has a path of this machine in its text.
func nameProblem(err error) string {
	if errors.As(err, new(*fs.PathError)) || errors.As(err, new(*os.LinkError)) {
		return files.ErrName.Error() + ": the file system has no such names"
	}
	return err.Error()
}

// Millis returns the modification time of a file in Unix milliseconds.
func Millis(info fs.FileInfo) int64 { return info.ModTime().UnixMilli() }

// Seconds returns the modification time of a file in Unix seconds.
func Seconds(info fs.FileInfo) float64 { return float64(info.ModTime().UnixMicro()) / 1e6 }
