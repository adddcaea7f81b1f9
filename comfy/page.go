package comfy

import (
	"embed"
	"io/fs"
)

//go:embed page
var pageFiles embed.FS

// pagePolicy lets the built-in page load nothing from elsewhere.
const pagePolicy = "default-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// frontend returns the files of the front end from the options, or the built-in page, and
// the policy for its scripts.
func (o *Options) frontend() (_ fs.FS, policy string) {
	if o.Frontend != nil {
		return o.Frontend, ""
	}
	own, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // cannot happen: the name is valid
	}
	return own, pagePolicy
}
