package comfy_test

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
)

var (
	long    = strings.Repeat("x", 300)
	deepDir = strings.Repeat("d/", 2000)
)

// multi is an upload of a form that is written by hand, with the boundary b.
func multi(text string) func(*host) answered {
	return post("/upload/image", strings.ReplaceAll(text, "\n", "\r\n"), "Content-Type", "multipart/form-data; boundary=b")
}

// noFile is the status for a name that Windows takes for a device, a drive or a stream, and that
// is the name of no file on other systems.
var noFile = windows(400, 404)

// windows returns on, or off if the system is not Windows.
func windows(on, off int) int {
	if runtime.GOOS == "windows" {
		return on
	}
	return off
}

// attacks lists hostile requests of all kinds.
var attacks = slices.Concat(reading, writing, elsewhere, bodies, graphs, frames)

// reading lists requests that try to read files outside the folders.
var reading = []attack{
	{"view: up", get("/view?filename=../secret.txt"), 400},
	{"view: up, encoded", get("/view?filename=%2e%2e%2fsecret.txt"), 400},
	{"view: up, encoded twice", get("/view?filename=%252e%252e%252fsecret.txt"), 404},
	{"view: up, in overlong UTF-8", get("/view?filename=%c0%ae%c0%ae%c0%afsecret.txt"), 400},
	{"view: up, the Windows way", get(`/view?filename=..%5csecret.txt`), 400},
	{"view: up after down", get("/view?filename=sub/../../secret.txt"), 400},
	{"view: absolute", get("/view?filename=/etc/passwd"), 400},
	{"view: absolute twice", get("/view?filename=//etc/passwd"), 400},
	{"view: a drive", get("/view?filename=C:%5Cwindows%5Cwin.ini"), 400},
	{"view: a drive with slashes", get("/view?filename=c:/windows/win.ini"), noFile},
	{"view: another computer", get("/view?filename=%5C%5Cevil%5Cshare%5Ca.png"), 400},
	{"view: a NUL", get("/view?filename=real.png%00.txt"), 400},
	{"view: a device", get("/view?filename=NUL"), noFile},
	{"view: a device with an extension", get("/view?filename=con.png"), noFile},
	{"view: a port", get("/view?filename=sub/COM1.txt"), noFile},
	{"view: a dot at the end", get("/view?filename=real.png."), noFile},
	{"view: a space at the end", get("/view?filename=real.png%20"), noFile},
	{"view: dots and spaces", get("/view?filename=..%20/secret.txt"), 400},
	{"view: another stream", get("/view?filename=real.png::$DATA"), noFile},
	{"view: a line break", get("/view?filename=a%0d%0aX-Injected:%201"), 400},
	{"view: no UTF-8", get("/view?filename=%ff%fe"), 400},
	{"view: too long a name", get("/view?filename=" + long), 400},
	{"view: too long a path", get("/view?filename=" + deepDir), 400},
	{"view: through a link", get("/view?filename=out.txt"), 403},
	{"view: through a linked folder", get("/view?filename=up/secret.txt"), 403},
	{"view: a link to a device", get("/view?filename=zero&type=input"), 403},
	{"view: a hash", get("/view?filename=blake3:../secret.txt"), 404},
	{"view: a loop of links", get("/view?filename=loop"), 404},
	{"view: a folder that is out", get("/view?filename=secret.txt&subfolder=.."), 403},
	{"view: an absolute folder", get("/view?filename=passwd&subfolder=/etc"), 403},
	{"view: a folder, the Windows way", get("/view?filename=secret.txt&subfolder=..%5c"), 400},
	{"view: a type that is a path", get("/view?filename=secret.txt&type=../"), 400},
	{"view: a type in the name", get("/view?filename=secret.txt%20[..]"), 404},
	{"view: the name twice", get("/view?filename=none.png&filename=../secret.txt"), 404},
	{"view: a bomb", get("/view?filename=bomb.png&channel=rgb"), 413},
	{"view: an absurd preview", get("/view?filename=none.png&preview=webp;99999999999999999999"), 404},
	{"view: an absurd range", get("/view?filename=real.png", "Range", "bytes="+strings.Repeat("0-0,", 5000)), 200},
	{"preview: up", get("/experiment/models/preview/models/0/..%2fsecret.webp"), 403},
	{"preview: through a linked folder", get("/experiment/models/preview/models/0/up/secret.webp"), 404},
	{"preview: metadata through a linked folder", get("/experiment/models/preview/models/0/up/secret.safetensors"), 404},
	{"preview: a link to a device", get("/experiment/models/preview/models/0/zero"), 404},
	{"preview: an absurd index", get("/experiment/models/preview/models/99999999999999999999/real.webp"), 400},
	{"subgraph: up", get("/global_subgraphs/..%2f..%2fsecret.txt"), 200}, // null
	{"userdata: up", get("/userdata/..%2f..%2fsecret.txt"), 403},
	{"userdata: up, encoded twice", get("/userdata/%252e%252e%252fsecret.txt"), 404},
	{"userdata: up, the Windows way", get("/userdata/..%5c..%5csecret.txt"), 400},
	{"userdata: up, as a path", get("/userdata/../../secret.txt"), 404},
	{"userdata: up, as an encoded path", get("/userdata/%2e%2e/%2e%2e/secret.txt"), 404},
	{"userdata: dots alone", get("/userdata/%2e%2e"), 403},
	{"userdata: absolute", get("/userdata/%2fetc%2fpasswd"), 403},
	{"userdata: through a link", get("/userdata/out.txt"), 403},
	{"userdata: a list of what is up", get("/userdata?dir=../&recurse=true"), 403},
	{"userdata: a tree of what is up", get("/v2/userdata?path=.."), 403},
	{"userdata: a list through a link", get("/userdata?dir=up&recurse=true"), 403},
	{"userdata: a tree through a link", get("/v2/userdata?path=up"), 403},
	{"models: up", get("/models/..%2f"), 404},
	{"models: dots", get("/experiment/models/%2e%2e"), 404},
	{"models: metadata of what is up", get("/view_metadata/models?filename=../secret.safetensors"), 404},
	{"models: metadata through a link", get("/view_metadata/models?filename=up/secret.safetensors"), 404},
	{"models: metadata of a device", get("/view_metadata/models?filename=zero"), 404},
	{"extensions: up", get("/extensions/models/..%2f..%2fsecret.txt"), 404},
	{"extensions: no pack but dots", get("/extensions/..%2f/secret.txt"), 404},
	{"extensions: through a link", get("/extensions/models/up/secret.txt"), 404},
	{"extensions: a device", get("/extensions/models/zero"), 404},
	{"templates: up", get("/workflow_templates/models/..%2fsecret.txt"), 404},
	{"templates: dots", get("/api/workflow_templates/..%2f..%2fsecret.txt"), 404},
	{"static: up", get("/..%2fsecret.txt"), 404},
	{"static: up, encoded", get("/%2e%2e/secret.txt"), 404},
	{"static: up, the Windows way", get("/..%5csecret.txt"), 404},
	{"static: through a link", get("/up/secret.txt"), 404},
	{"static: another server", get("//evil.example/%2e%2e"), 404},
	{"static: a NUL", get("/fine.js%00.png"), 404},
	{"internal: up", get("/internal/files/..%2f"), 400},
	{"history: up", get("/history/..%2f..%2fsecret.txt"), 200},
	{"jobs: up", get("/api/jobs/..%2f..%2fsecret.txt"), 404},
}

// writing lists requests that try to write, move or delete files outside the
// folders.
var writing = []attack{
	{"upload: up", upload("../pwned.txt"), 400},
	{"upload: up, the Windows way", upload(`..\pwned.txt`), 400},
	{"upload: absolute", upload("/tmp/pwned.txt"), 400},
	{"upload: a hash", upload("blake3:pwned"), 400},
	{"upload: dots and a space", upload("pwned.txt", "subfolder", ".. /x"), 400},
	{"upload: a folder that is out", upload("pwned.txt", "subfolder", "../"), 400},
	{"upload: a folder, encoded", upload("..", "subfolder", "%2e%2e"), 400},
	{"upload: through a link", upload("pwned.txt", "subfolder", "up"), 400},
	{"upload: a type that is a path", upload("pwned.txt", "type", "../input"), 400},
	{"upload: too long a name", upload(long), 400},
	{"upload: an extended name", multi("--b\nContent-Disposition: form-data; name=image; filename*=UTF-8''..%2fpwned.txt\n\nx\n--b--\n"), 400},
	{"upload: a line break in the name", multi("--b\nContent-Disposition: form-data; name=image; filename=\"a\n.png\"\n\nx\n--b--\n"), 400},
	{"upload: a mask of what is up", func(h *host) answered {
		return h.upload("/upload/mask", "a.png", bomb(h.t), "original_ref", `{"filename":"../secret.txt"}`)
	}, 400},
	{"upload: a mask that is a bomb", func(h *host) answered {
		return h.upload("/upload/mask", "a.png", bomb(h.t), "original_ref", `{"filename":"real.png"}`)
	}, 413},
	{"userdata: write up", post("/userdata/..%2fpwned", "x"), 403},
	{"userdata: write absolute", post("/userdata/%2ftmp%2fpwned", "x"), 403},
	{"userdata: write through a link", post("/userdata/up%2fpwned", "x"), 403},
	{"userdata: write to dots and spaces", post("/userdata/.%20.%2fpwned", "x"), 400},
	{"userdata: write the settings with a dot", post("/userdata/comfy.settings.json.", "x"), windows(400, 403)},
	{"userdata: write the settings", post("/userdata/comfy.settings.json", "{}"), 403},
	{"userdata: delete up", send(http.MethodDelete, "/userdata/..%2f..%2fsecret.txt", ""), 403},
	{"userdata: delete through a link", send(http.MethodDelete, "/userdata/up%2fsecret.txt", ""), 403},
	{"userdata: delete a folder", send(http.MethodDelete, "/userdata/up%2fhost", ""), 403},
	{"userdata: move out", post("/userdata/real.png/move/..%2f..%2fpwned", ""), 403},
	{"userdata: move out through a link", post("/userdata/real.png/move/up%2fpwned", ""), 403},
	{"userdata: move in", post("/userdata/..%2f..%2fsecret.txt/move/mine", ""), 403},
	{"userdata: move in through a link", post("/userdata/up%2fsecret.txt/move/mine", ""), 403},
}
