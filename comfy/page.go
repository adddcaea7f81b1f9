package comfy

import (
	"embed"
	"encoding/json"
	"io/fs"

	"github.com/nodebus/nodebus/comfy/internal/site"
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

// first returns the workflow that the front end shows first, or nil. A text that is no such
// workflow would leave the user with an empty page, so it is logged and not offered.
func (o *Options) first() json.RawMessage {
	if len(o.Workflow) == 0 {
		return nil
	}
	if !site.IsWorkflow(o.Workflow) {
		o.Logger.Error("the front end shows its own workflow: Options.Workflow is not a JSON object with a list \"nodes\", as the front end saves it")
		return nil
	}
	return o.Workflow
}
