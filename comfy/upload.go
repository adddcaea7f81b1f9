package comfy

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus/internal/files"
)

// uploadMemory is how much of a form is kept in memory, in bytes; the rest waits
// in a temporary file.
const uploadMemory = 1 << 20

// upload is the form of POST /upload/image and /upload/mask.
type upload struct {
	form    *multipart.Form
	file    multipart.File
	to      files.Folder
	typ     string
	dir     string // within the folder
	name    string
	replace bool
}

// close forgets the form and what it has in temporary files.
func (u *upload) close() {
	if u.file != nil {
		_ = u.file.Close()
	}
	_ = u.form.RemoveAll()
}

// value is the first value of a field.
func (u *upload) value(field string) string {
	if all := u.form.Value[field]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// readUpload reads the form. If that cannot be done it has answered.
func (s *Server) readUpload(w http.ResponseWriter, r *http.Request) (*upload, bool) {
	body := &source{Reader: r.Body}
	r.Body = io.NopCloser(body)
	parts, err := r.MultipartReader()
	var form *multipart.Form
	if err == nil {
		form, err = parts.ReadForm(uploadMemory)
	}
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(body.err, &large) || errors.Is(err, multipart.ErrMessageTooLarge) {
			tooLarge(w, s.opts.MaxBody)
		} else {
			fail(w, http.StatusBadRequest, "the body is not a form with a file: "+err.Error())
		}
		return nil, false
	}
	u := &upload{form: form}
	if problem := u.read(s); problem != nil {
		u.close()
		if errors.Is(problem, fs.ErrPermission) {
			s.fileError(w, problem)
		} else {
			fail(w, http.StatusBadRequest, problem.Error())
		}
		return nil, false
	}
	return u, true
}

// read looks at the fields.
func (u *upload) read(s *Server) (err error) {
	u.typ = "input"
	if typ := u.value("type"); typ != "" {
		u.typ = typ
	}
	to, ok := s.folder(u.typ)
	switch {
	case !ok:
		return errors.New("type is none of input, temp and output")
	case to == "":
		return fs.ErrPermission
	case len(u.form.File["image"]) == 0:
		return errors.New("there is no file called image in the form")
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
		return errors.New("the file's name has a folder in it, which belongs into subfolder")
	}
	overwrite := u.value("overwrite")
	u.replace = overwrite == "true" || overwrite == "1"
	u.file, err = part.Open()
	return err
}

// sentName is the name of a file as the client sent it. That of the part has
// lost its folders, which are to be refused.
func sentName(part *multipart.FileHeader) string {
	if _, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition")); err == nil {
		return params["filename"]
	}
	return part.Filename
}

// uploadImage answers POST /upload/image, with where the file is now.
func (s *Server) uploadImage(w http.ResponseWriter, r *http.Request) {
	u, ok := s.readUpload(w, r)
	if !ok {
		return
	}
	defer u.close()
	s.place(w, u, u.file)
}

// place stores what has been uploaded.
func (s *Server) place(w http.ResponseWriter, u *upload, content io.Reader) {
	stored, err := u.to.Place(path.Join(u.dir, u.name), content, u.replace)
	switch {
	case errors.Is(err, files.ErrOutside): // through a link
		fail(w, http.StatusBadRequest, files.ErrOutside.Error())
	case err != nil:
		s.fileError(w, err)
	default:
		u.answer(w, path.Base(stored))
	}
}

func (u *upload) answer(w http.ResponseWriter, name string) {
	dir := u.dir
	if dir == "." {
		dir = ""
	}
	answer(w, http.StatusOK, object{{"name", name}, {"subfolder", dir}, {"type", u.typ}})
}

// uploadMask answers POST /upload/mask: what is stored is the picture that
// original_ref names, as a PNG, with the alpha of the one uploaded. If there is
// no such picture nothing is stored.
func (s *Server) uploadMask(w http.ResponseWriter, r *http.Request) {
	u, ok := s.readUpload(w, r)
	if !ok {
		return
	}
	defer u.close()
	from, name, problem := s.original(u.value("original_ref"))
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	free, err := s.pictures.take(r.Context())
	if err != nil {
		s.pictureError(w, err)
		return
	}
	defer free()
	body, err := masked(from, name, u.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		u.answer(w, u.name)
	case err != nil:
		s.pictureError(w, err)
	default:
		s.place(w, u, body)
	}
}

// original is the picture that a mask is for.
func (s *Server) original(ref string) (from files.Folder, name, problem string) {
	var original struct {
		Filename  string  `json:"filename"`
		Subfolder string  `json:"subfolder"`
		Type      *string `json:"type"`
	}
	if err := json.Unmarshal([]byte(ref), &original); err != nil {
		return "", "", "original_ref is not an object that names a file"
	}
	filename, typ := annotated(original.Filename)
	switch {
	case typ != "":
	case original.Type != nil:
		typ = *original.Type
	default:
		typ = "output"
	}
	from, ok := s.folder(typ)
	if !ok {
		return "", "", "the type of original_ref is none of output, input and temp"
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
