package comfy_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// prompt is an attack with a graph and other members of a submission.
func prompt(graph string, more ...string) func(*host) answered {
	return post("/prompt", `{"prompt":`+graph+strings.Join(append([]string{""}, more...), ",")+`}`)
}

// chain is a graph of n+1 nodes in which each node takes its input from the next
// node, and the last node takes its input from the first: the graph is a ring.
func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%d":{"class_type":"RefOutput","inputs":{"value":["%d",0]}},`, i, i+1)
	}
	return `{` + b.String() + fmt.Sprintf(`"%d":{"class_type":"RefOutput","inputs":{"value":["0",0]}}}`, n)
}

// packed is a POST request with a body in gzip.
func packed(path, body string) func(*host) answered {
	return post(path, gzipped(body), "Content-Encoding", "gzip")
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // to memory
	_ = w.Close()
	return b.String()
}

// stalled is a request to a server that waits 30 ms for a body. The body does not come
// further than its first half.
func stalled(method, path, half string, headers ...string) func(*host) answered {
	return func(h *host) answered {
		h = newHost(h.t, &comfy.Options{ReadTimeout: 30 * time.Millisecond, Input: h.t.TempDir()})
		c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		require.NoError(h.t, err)
		defer func() { _ = c.Close() }()
		require.NoError(h.t, c.SetDeadline(time.Now().Add(time.Minute)))
		_, err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n%s\r\n%s",
			method, path, strings.Join(append(headers, ""), "\r\n"), half)
		require.NoError(h.t, err)
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		require.NoError(h.t, err)
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		require.NoError(h.t, err)
		_, err = r.ReadByte()
		require.ErrorIs(h.t, err, io.EOF, "the connection is of no use any more")
		return answered{res.StatusCode, res.Header, string(body)}
	}
}

// cut is a request whose body ends before its Content-Length.
func cut(path, half string) func(*host) answered {
	return func(h *host) answered {
		c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		require.NoError(h.t, err)
		defer func() { _ = c.Close() }()
		require.NoError(h.t, c.SetDeadline(time.Now().Add(time.Minute)))
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n%s", path, half)
		require.NoError(h.t, err)
		require.NoError(h.t, c.(*net.TCPConn).CloseWrite())
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(h.t, err)
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		require.NoError(h.t, err)
		return answered{res.StatusCode, res.Header, string(body)}
	}
}

// crossSite lists the headers that a browser adds to a request from a page of
// another site.
var crossSite = []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}

// elsewhere lists requests that a browser sends for a page of another origin.
var elsewhere = []attack{
	{"origin: another", post("/prompt", `{"prompt":`+quick+`}`, "Origin", "http://evil.example"), 403},
	{"origin: another, a form", post("/prompt", `{"prompt":`+quick+`}`, "Origin", "http://evil.example", "Content-Type", "text/plain"), 403},
	{"origin: another, the twin", post("/api/interrupt", ``, "Origin", "http://evil.example"), 403},
	{"origin: another, to read", get("/history", "Origin", "http://evil.example"), 403},
	{"origin: another, to ask", send(http.MethodOptions, "/prompt", "", "Origin", "http://evil.example"), 403},
	{"origin: another, a picture", get("/view?filename=real.png", "Origin", "http://evil.example"), 403},
	{"origin: null", post("/prompt", `{"prompt":`+quick+`}`, "Origin", "null"), 403},
	{"origin: a file", post("/free", `{}`, "Origin", "file://"), 403},
	{"origin: another port", post("/free", `{}`, "Origin", "http://127.0.0.1:1"), 403},
	{"origin: a name that begins the same", post("/free", `{}`, "Origin", "http://127.0.0.1.evil.example"), 403},
	{"origin: with a user", post("/free", `{}`, "Origin", "http://127.0.0.1@evil.example"), 403},
	{"origin: no origin at all", post("/free", `{}`, "Origin", "::::"), 403},
	{"host: a name made to mean this machine", get("/history", "Host", "evil.example"), 403},
	{"host: such a name, and its page", post("/prompt", `{"prompt":`+quick+`}`, "Host", "evil.example", "Origin", "http://evil.example"), 403},
	{"host: an address in a name", get("/history", "Host", "127.0.0.1.nip.example"), 403},
	{"host: nearly localhost", get("/history", "Host", "localhost.evil.example:8188"), 403},
	{"site: another, a form", post("/prompt", `{"prompt":`+quick+`}`, crossSite...), 403},
	{"site: another, a form that navigates", post("/interrupt", ``, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"), 403},
	{"site: another, a script", get("/api/settings", crossSite...), 403},
	{"site: another, deletes", send(http.MethodDelete, "/userdata/real.png", "", crossSite...), 403},
	{"site: another, follows the log", send(http.MethodPatch, "/internal/logs/subscribe", `{}`, crossSite...), 403},
	{"site: another, by an odd method", send("PROPFIND", "/", "", crossSite...), 403},
	{"socket: another origin", get("/ws", "Origin", "http://evil.example", "Upgrade", "websocket", "Connection", "Upgrade"), 403},
	{"socket: null", get("/ws", "Origin", "null", "Upgrade", "websocket", "Connection", "Upgrade"), 403},
	{"socket: a name made to mean this machine", get("/ws", "Host", "evil.example", "Upgrade", "websocket", "Connection", "Upgrade"), 403},
	{"socket: another site", get("/api/ws", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "websocket", "Upgrade", "websocket"), 403},
	{"method: an odd one", send("BREW", "/prompt", "{}"), 405},
	{"method: trace", send(http.MethodTrace, "/prompt", ""), 405},
	{"method: put", send(http.MethodPut, "/settings", "{}"), 405},
}

var megabyte = strings.Repeat("x", 1<<20+1)

// bodies lists requests with a body that is too large, incomplete or not a valid
// form, and requests with an odd query.
var bodies = []attack{
	{"large: a prompt", post("/prompt", `{"prompt":"`+megabyte+`"}`), 413},
	{"large: nothing but spaces", post("/queue", strings.Repeat(" ", 1<<20+1)), 413},
	{"large: an interrupt", post("/interrupt", megabyte), 413},
	{"large: a setting", post("/settings/a", `"`+megabyte+`"`), 413},
	{"large: user data", post("/userdata/large", megabyte), 413},
	{"large: user data in the place of a link", post("/userdata/up", megabyte), 413},
	{"large: an upload", func(h *host) answered { return h.upload("/upload/image", "large.png", megabyte) }, 413},
	{"large: a field", upload("a.png", "subfolder", megabyte), 413},
	{"large: a mask", func(h *host) answered { return h.upload("/upload/mask", "large.png", megabyte) }, 413},
	{"gzip: a bomb for a prompt", packed("/prompt", `{"prompt":"`+megabyte+`"}`), 413},
	{"gzip: a bomb for a command", packed("/api/queue", strings.Repeat(" ", 9<<20)), 413},
	{"gzip: a bomb for a setting", packed("/settings/a", `"`+megabyte+`"`), 413},
	{"gzip: a bomb for user data", packed("/userdata/large", megabyte), 413},
	{"gzip: a bomb for a run", packed("/nodebus/runs", megabyte), 413},
	{"gzip: a bomb for a form", post("/upload/image", gzipped("--b\r\nContent-Disposition: form-data; name=image; filename=real.png\r\n\r\n"+megabyte+"\r\n--b--\r\n"),
		"Content-Encoding", "gzip", "Content-Type", "multipart/form-data; boundary=b"), 413},
	{"gzip: for ever empty", post("/prompt", strings.Repeat(gzipped(""), 60_000), "Content-Encoding", "gzip"), 413},
	{"gzip: none", post("/prompt", `{"prompt":`+quick+`}`, "Content-Encoding", "gzip"), 400},
	{"gzip: half of it", post("/userdata/real.png", gzipped("hello")[:15], "Content-Encoding", "gzip"), 400},
	{"gzip: with a tail", post("/userdata/real.png", gzipped("hello")+"hello", "Content-Encoding", "gzip"), 400},
	{"gzip: a form that is none", post("/upload/image", "--b", "Content-Encoding", "gzip", "Content-Type", "multipart/form-data; boundary=b"), 400},
	{"gzip: twice", post("/prompt", gzipped(gzipped(`{"prompt":`+quick+`}`)), "Content-Encoding", "gzip, gzip"), 415},
	{"encoding: brotli", post("/prompt", `{"prompt":`+quick+`}`, "Content-Encoding", "br"), 415},
	{"encoding: odd", post("/interrupt", `x`, "Content-Encoding", "\"../../x"), 415},
	{"encoding: for a socket", send(http.MethodGet, "/ws", "x", "Content-Encoding", "zstd", "Upgrade", "websocket"), 415},
	{"stalled: nothing of a prompt", stalled("POST", "/prompt", ""), 408},
	{"stalled: half a prompt", stalled("POST", "/prompt", `{"prompt":`), 408},
	{"stalled: half of gzip", stalled("POST", "/prompt", gzipped(`{"prompt":`)[:14], "Content-Encoding: gzip"), 408},
	{"stalled: an interrupt", stalled("POST", "/api/interrupt", ``), 408},
	{"stalled: a run", stalled("POST", "/nodebus/runs", `{"prompt":`), 408},
	{"stalled: a setting", stalled("POST", "/settings/a", `"x`), 408},
	{"stalled: user data", stalled("POST", "/userdata/real.png", "\x89PNG"), 408},
	{"stalled: an upload", stalled("POST", "/upload/image", "--b\r\nContent-Disposition: form-data; name=image; filename=real.png\r\n\r\nx"), 408},
	{"stalled: the head of a form", stalled("POST", "/upload/mask", "--b\r\nContent-Dispo"), 408},
	{"stalled: a body for a list", stalled("GET", "/history", ``), 200},
	{"stalled: a body for no route", stalled("PUT", "/nowhere", `x`), 405},
	{"stalled: a body for a stream", stalled("GET", "/nodebus/runs/none", ``, "Accept: text/event-stream"), 404},
	{"stalled: a body of another origin", stalled("POST", "/prompt", `{`, "Origin: http://evil.example"), 403},
	{"stalled: a body before another origin may", stalled("OPTIONS", "/prompt", ``), 200},
	{"stalled: a handshake without a key", stalled("GET", "/ws", ``, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"), 400},
	{"cut: a prompt", cut("/prompt", `{"prompt":`), 400},
	{"cut: an interrupt", cut("/interrupt", ``), 400},
	{"cut: a setting", cut("/settings/a", `"x`), 400},
	{"cut: user data", cut("/userdata/real.png", "\x89PNG"), 400},
	{"cut: an upload", cut("/upload/image", "--b\r\nContent-Disposition: form-data; name=image; filename=real.png\r\n\r\nx"), 400},
	{"form: no boundary", post("/upload/image", "--b--", "Content-Type", "multipart/form-data"), 400},
	{"form: an empty boundary", post("/upload/image", "----", "Content-Type", `multipart/form-data; boundary=""`), 400},
	{"form: no form", post("/upload/image", "image=x", "Content-Type", "application/x-www-form-urlencoded"), 400},
	{"form: a type that is none", post("/upload/image", "x", "Content-Type", "multipart/"), 400},
	{"form: another boundary", multi("--c\nContent-Disposition: form-data; name=image; filename=a.png\n\nx\n--c--\n"), 400},
	{"form: no end", multi("--b\nContent-Disposition: form-data; name=image; filename=a.png\n\nx"), 400},
	{"form: thousands of parts", multi(strings.Repeat("--b\nContent-Disposition: form-data; name=a\n\nx\n", 5000) + "--b--\n"), 413},
	{"form: thousands of files", multi(strings.Repeat("--b\nContent-Disposition: form-data; name=a; filename=f\n\nx\n", 5000) + "--b--\n"), 413},
	{"form: thousands of headers", multi("--b\n" + strings.Repeat("A: b\n", 50_000) + "\nx\n--b--\n"), 413},
	{"form: a header without an end", multi("--b\nContent-Disposition: form-data; name=" + strings.Repeat("x", 500_000)), 400},
	{"form: a header that is none", multi("--b\n\x00\x01\x02\n\nx\n--b--\n"), 400},
	{"form: a form in the form", multi("--b\nContent-Type: multipart/mixed; boundary=c\nContent-Disposition: form-data; name=image\n\n--c--\n--b--\n"), 400},
	{"query: not a number", get("/history?max_items=NaN"), 400},
	{"query: too large a number", get("/history?offset=99999999999999999999999"), 400},
	{"query: a large number", get("/history?max_items=9223372036854775807&offset=9223372036854775807"), 200},
	{"query: a small number", get("/history?max_items=-9223372036854775808&offset=-9223372036854775808"), 200},
	{"query: an absurd page", get("/api/jobs?limit=9223372036854775807&offset=9223372036854775807"), 200},
	{"query: half a page", get("/api/jobs?limit=0x10"), 400},
	{"query: odd escapes", get("/api/jobs?status=%zz&limit=1"), 200},
	{"query: many parameters", get("/api/jobs?" + strings.Repeat("odd=odd&", 20_000)), 200},
}

// graphs lists prompts that the server must refuse, and other hostile JSON.
var graphs = []attack{
	{"graph: a number out of range", prompt(`{"1":{"class_type":"RefTypes","inputs":{"i":1e400}}}`), 400},
	{"graph: a number with many digits", prompt(`{"1":{"class_type":"RefTypes","inputs":{"i":` + strings.Repeat("9", 10_000) + `}}}`), 400},
	{"graph: NaN", prompt(`{"1":{"class_type":"RefOutput","inputs":{"value":NaN}}}`), 400},
	{"graph: a node twice", prompt(`{"1":{"class_type":"Secret","inputs":{}},"1":{"class_type":"Secret","inputs":{}}}`), 400},
	{"graph: no UTF-8", prompt("{\"1\":{\"class_type\":\"\xff\xfe\",\"inputs\":{}}}"), 400},
	{"graph: an empty id", prompt(`{"":{"class_type":"Secret","inputs":{}}}`), 400},
	{"graph: a class that is an object", prompt(`{"1":{"class_type":{"a":[1]},"inputs":{}}}`), 400},
	{"graph: a class from elsewhere", prompt(`{"1":{"class_type":"../../os.system","inputs":{}}}`), 400},
	{"graph: inputs that are a list", prompt(`{"1":{"class_type":"Secret","inputs":[]}}`), 400},
	{"graph: a node that waits for itself", prompt(`{"1":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`), 400},
	{"graph: a long ring", prompt(chain(200)), 400},
	{"graph: a link to nothing", prompt(`{"1":{"class_type":"RefOutput","inputs":{"value":["2",0]}}}`), 400},
	{"graph: a link out of range", prompt(`{"1":{"class_type":"RefOutput","inputs":{"value":["2",999999999999]}},"2":{"class_type":"StubInt","inputs":{"value":1}}}`), 400},
	{"graph: a link below zero", prompt(`{"1":{"class_type":"RefOutput","inputs":{"value":["2",-1]}},"2":{"class_type":"StubInt","inputs":{"value":1}}}`), 400},
	{"graph: too many nodes", prompt(`{` + strings.Repeat(`"x":{},`, 1000) + `"y":{}}`), 413},
	{"graph: too deep an input", prompt(`{"1":{"class_type":"RefOutput","inputs":{"value":{"__value__":` + nested(1000) + `}}}}`), 400},
	{"graph: many targets", prompt(quick, `"partial_execution_targets":[`+strings.Repeat(`"x",`, 20_000)+`"y"]`), 400},
	{"prompt: too deep along with it", prompt(quick, `"extra_data":{"a":`+nested(1000)+`}`), 400},
	{"prompt: a number that is none", prompt(quick, `"number":1e999`), 400},
	{"prompt: an id with a line break", prompt(quick, `"prompt_id":"a\r\nb"`), 400},
	{"prompt: too long an id", prompt(quick, `"prompt_id":"`+long+`"`), 400},
	{"prompt: a client that is an object", prompt(quick, `"client_id":{"a":1}`), 400},
	{"prompt: too long a client", prompt(quick, `"client_id":"`+strings.Repeat("x", 1000)+`"`), 400},
	{"queue: many ids", post("/queue", `{"delete":[`+strings.Repeat(`"x",`, 20_000)+`"y"]}`), 200},
	{"jobs: many ids", post("/api/jobs/cancel", `{"job_ids":[`+strings.Repeat(`"0b5cb5f7-2f8f-4b1e-9ee0-4d3f0b6d2a11",`, 20_000)+`"0b5cb5f7-2f8f-4b1e-9ee0-4d3f0b6d2a12"]}`), 200},
	{"jobs: many ids that nobody has", post("/api/jobs/cancel", `{"job_ids":[`+strings.Repeat(`"x",`, 20_000)+`"y"]}`), 400},
	{"jobs: ids that are none", post("/api/jobs/cancel", `{"job_ids":[{},[],1e5,null]}`), 400},
	{"interrupt: an id that is deep", post("/interrupt", `{"prompt_id":`+nested(1000)+`}`), 400},
	{"settings: a name with a path", post("/settings/..%2f..%2fsecret.txt", `nope`), 400},
	{"users: a name that is a path", post("/users", `{"username":"../../x"}`), 400},
}
