package comfy_test

import (
	"archive/zip"
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nodebus/nodebus"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// TestPanic: a panic in the code of the host program fails only its own request.
// The server logs the panic and does not show it to the client.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	h := newHost(t, &comfy.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Authorize: func(r *http.Request) (nodebus.Grant, error) {
			switch r.Header.Get("Do") {
			case "panic":
				panic("the password is 1234")
			case "abort":
				panic(http.ErrAbortHandler)
			}
			return nodebus.Grant{}, nil
		},
	})
	a := h.send("GET", "/queue", "", "Do", "panic")
	require.Equal(t, 500, a.status)
	require.JSONEq(t, `{"error":"internal error"}`, a.body)
	require.Contains(t, log.String(), "1234")
	require.Contains(t, log.String(), "server_test.go", "with the stack")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		r := httptest.NewRequest("GET", h.url+"/queue", nil)
		r.Header.Set("Do", "abort")
		h.server.ServeHTTP(httptest.NewRecorder(), r)
	}, "net/http knows what is meant")
	require.Equal(t, 200, h.send("GET", "/queue", "").status)
}

// TestFrontEndInAnArchive: the server can send files that do not support Seek.
func TestFrontEndInAnArchive(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "assets/app.js", Method: zip.Deflate, Modified: time.Unix(1000, 0)})
	require.NoError(t, err)
	_, err = f.Write([]byte("0123456789"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	archive, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	h := newHost(t, &comfy.Options{Frontend: archive})
	require.Equal(t, "0123456789", h.send("GET", "/assets/app.js", "").body)
	a := h.send("GET", "/assets/app.js", "", "Range", "bytes=2-4")
	require.Equal(t, []any{206, "234"}, []any{a.status, a.body})
	require.Equal(t, 404, h.send("GET", "/", "").status, "it has no such page")
}
