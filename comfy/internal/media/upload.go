package media

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/internal/files"
)

// uploadMemory is the maximum size of a form in memory, in bytes. The rest of the
// form goes to a temporary file.
const uploadMemory = 1 << 20

// upload is the form of POST /upload/image and /upload/mask.
type upload struct {
	form    *multipart.Form
	file    multipart.File
	to      files.Folder
	typ     string
	dir     string // the subfolder in to
	name    string
	replace bool
}

// close closes the file and removes the temporary files of the form.
func (u *upload) close() {
	if u.file != nil {
		_ = u.file.Close()
	}
	_ = u.form.RemoveAll()
}

// value returns the first value of a field, or "".
func (u *upload) value(field string) string {
	if all := u.form.Value[field]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// readUpload reads the form. If it returns false, it has already answered;
// otherwise the caller must close the upload.
func (m *Media) readUpload(w http.ResponseWriter, r *http.Request) (*upload, bool) {
	body := &web.Source{Reader: r.Body}
	r.Body = io.NopCloser(body)
	parts, err := r.MultipartReader()
	var form *multipart.Form
	if err == nil {
		form, err = parts.ReadForm(uploadMemory)
	}
	if err != nil {
		switch {
		case errors.Is(err, multipart.ErrMessageTooLarge):
			web.Unread(w, &http.MaxBytesError{Limit: m.MaxBody})
		case body.Err != nil && !errors.Is(body.Err, io.ErrUnexpectedEOF): // that is a form without an end
			web.Unread(w, body.Err)
		default:
			m.formError(w, err)
		}
		return nil, false
	}
	u := &upload{form: form}
	if problem := u.read(m); problem != nil {
		u.close()
		switch {
		case errors.Is(problem, files.ErrOutside): // an upload has status 400 for it
			web.Fail(w, http.StatusBadRequest, files.ErrOutside.Error())
		case errors.Is(problem, errForm):
			web.Fail(w, http.StatusBadRequest, strings.TrimPrefix(problem.Error(), errForm.Error()+": "))
		default:
			m.sender.Error(w, problem)
		}
		return nil, false
	}
	if u.file, err = form.File["image"][0].Open(); err != nil {
		u.close()
		m.sender.Failed(w, err)
		return nil, false
	}
	return u, true
}

// formError answers a request whose form could not be read. The text of err is not for
// clients: it has names of Go, and if a part of the form could not be kept in a file, the path
// of the file.
func (m *Media) formError(w http.ResponseWriter, err error) {
	if errors.As(err, new(*fs.PathError)) {
		m.sender.Failed(w, err)
		return
	}
	text := "the body is not a valid multipart form"
	switch {
	case errors.Is(err, http.ErrNotMultipart), errors.Is(err, http.ErrMissingBoundary):
		text += ": the Content-Type must be multipart/form-data with a boundary"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text += ": it has no end"
	}
	web.Fail(w, http.StatusBadRequest, text)
}

// errForm is the error for a form with a mistake. The rest of the text is for the client.
var errForm = errors.New("mistake in the form")

func mistake(text string) error { return fmt.Errorf("%w: %s", errForm, text) }

// read checks the fields. The error is fs.ErrPermission if the server has no folder for the
// type; it is errForm, or an error of a name, if the client has made a mistake.
func (u *upload) read(m *Media) (err error) {
	u.typ = "input"
	if typ := u.value("type"); typ != "" {
		u.typ = typ
	}
	to, ok := m.folder(u.typ)
	switch {
	case !ok:
		return mistake("type must be input, temp or output")
	case to == "":
		return fs.ErrPermission
	case len(u.form.File["image"]) == 0:
		return mistake("the form has no file in the field image")
	}
	u.to = to
	if u.dir, err = files.CleanDir(u.value("subfolder")); err != nil {
		return err
	}
	part := u.form.File["image"][0]
	if u.name, err = files.Clean(sentName(part)); err != nil {
		return err
	}
	if strings.Contains(u.name, "/") {
		return mistake("the file name must not contain a folder: use the field subfolder")
	}
	if isHash(u.name) {
		return mistake("the file name must not begin with blake3: because /view takes that for a hash")
	}
	overwrite := u.value("overwrite")
	u.replace = overwrite == "true" || overwrite == "1"
	return nil
}

// sentName returns the file name that the client sent. part.Filename is not
// enough, because it has lost its folders, and the server must refuse a name with
// folders.
func sentName(part *multipart.FileHeader) string {
	if _, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition")); err == nil {
		return params["filename"]
	}
	return part.Filename
}

// UploadImage answers POST /upload/image. It stores the file and answers with its
// name, subfolder and type.
func (m *Media) UploadImage(w http.ResponseWriter, r *http.Request) {
	u, ok := m.readUpload(w, r)
	if !ok {
		return
	}
	defer u.close()
	m.place(w, u, u.file)
}

// place stores content under the name of the upload, and answers. If another file
// has the name and the client does not allow to replace it, the stored file gets a
// new name.
func (m *Media) place(w http.ResponseWriter, u *upload, content io.Reader) {
	stored, err := u.to.Place(path.Join(u.dir, u.name), content, u.replace)
	switch {
	case errors.Is(err, files.ErrOutside): // a symbolic link leads out of the folder
		web.Fail(w, http.StatusBadRequest, files.ErrOutside.Error())
	case err != nil:
		m.sender.Error(w, err)
	default:
		u.answer(w, path.Base(stored))
	}
}

func (u *upload) answer(w http.ResponseWriter, name string) {
	dir := u.dir
	if dir == "." {
		dir = ""
	}
	web.Answer(w, http.StatusOK, web.Object{{"name", name}, {"subfolder", dir}, {"type", u.typ}})
}

// UploadMask answers POST /upload/mask. It stores a PNG with the colours of the
// picture that original_ref names and the alpha of the uploaded picture. If the
// named picture does not exist, UploadMask stores nothing and answers with status
// 200, as ComfyUI does.
func (m *Media) UploadMask(w http.ResponseWriter, r *http.Request) {
	u, ok := m.readUpload(w, r)
	if !ok {
		return
	}
	defer u.close()
	from, name, problem := m.original(u.value("original_ref"))
	if problem != "" {
		web.Fail(w, http.StatusBadRequest, problem)
		return
	}
	free, err := m.pictures.take(r.Context())
	if err != nil {
		m.pictureError(w, err)
		return
	}
	defer free()
	body, err := masked(from, name, u.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		u.answer(w, u.name)
	case err != nil:
		m.pictureError(w, err)
	default:
		m.place(w, u, body)
	}
}

// original returns the folder and the name of the picture that original_ref names.
// If original_ref is not valid, problem is the error text for the client.
func (m *Media) original(ref string) (from files.Folder, name, problem string) {
	var original struct {
		Filename  string  `json:"filename"`
		Subfolder string  `json:"subfolder"`
		Type      *string `json:"type"`
	}
	if err := json.Unmarshal([]byte(ref), &original); err != nil {
		return "", "", "original_ref must be a JSON object with a filename"
	}
	filename, typ := annotated(original.Filename)
	switch {
	case typ != "":
	case original.Type != nil:
		typ = *original.Type
	default:
		typ = "output"
	}
	from, ok := m.folder(typ)
	if !ok {
		return "", "", "the type in original_ref must be output, input or temp"
	}
	name, err := files.Clean(filename)
	if err != nil {
		return "", "", "original_ref: " + err.Error()
	}
	dir, err := files.CleanDir(original.Subfolder)
	if err != nil {
		return "", "", "original_ref: " + err.Error()
	}
	return from, path.Join(dir, name), ""
}
