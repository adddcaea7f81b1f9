package intake_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nodebus/nodebus/internal/intake"
	"github.com/stretchr/testify/require"
)

// pack packs a text with a kind of writer.
func pack[W io.WriteCloser](w func(io.Writer) W, text string) string {
	var b bytes.Buffer
	to := w(&b)
	_, _ = io.WriteString(to, text) // to memory
	_ = to.Close()
	return b.String()
}

func gzipped(text string) string  { return pack(gzip.NewWriter, text) }
func deflated(text string) string { return pack(zlib.NewWriter, text) }
func bare(text string) string {
	return pack(func(w io.Writer) *flate.Writer {
		to, _ := flate.NewWriter(w, flate.BestCompression) // a valid level
		return to
	}, text)
}

// TestOpen checks what a handler reads of a body, and how a bad body is refused.
func TestOpen(t *testing.T) {
	const max = 1 << 20
	large, bomb := strings.Repeat("x", max), strings.Repeat("x", max+1)
	for name, c := range map[string]struct {
		encoding []string
		body     string
		want     string
		status   int // of the refusal; 0: none
		text     string
	}{
		"no encoding":             {nil, "hello", "hello", 0, ""},
		"identity":                {[]string{"identity"}, "hello", "hello", 0, ""},
		"gzip":                    {[]string{"gzip"}, gzipped("hello"), "hello", 0, ""},
		"gzip in capitals":        {[]string{" GZip "}, gzipped("hello"), "hello", 0, ""},
		"x-gzip and identity":     {[]string{"identity, x-gzip"}, gzipped("hello"), "hello", 0, ""},
		"deflate":                 {[]string{"deflate"}, deflated("hello"), "hello", 0, ""},
		"deflate without a head":  {[]string{"deflate"}, bare("hello"), "hello", 0, ""},
		"nothing in gzip":         {[]string{"gzip"}, gzipped(""), "", 0, ""},
		"nothing in deflate":      {[]string{"deflate"}, deflated(""), "", 0, ""},
		"two members":             {[]string{"gzip"}, gzipped("hel") + gzipped("lo"), "hello", 0, ""},
		"as large as allowed":     {[]string{"gzip"}, gzipped(large), large, 0, ""},
		"as large, deflate":       {[]string{"deflate"}, bare(large), large, 0, ""},
		"no body to unpack":       {[]string{"br"}, "", "", 0, ""},
		"too large":               {nil, bomb, large, 413, "the body is larger than 1048576 bytes"},
		"a bomb":                  {[]string{"gzip"}, gzipped(bomb), large, 413, "the body is larger than 1048576 bytes"},
		"a large bomb":            {[]string{"deflate"}, deflated(strings.Repeat("x", 20<<20)), large, 413, "the body is larger than 1048576 bytes"},
		"members without content": {[]string{"gzip"}, strings.Repeat(gzipped(""), 60_000), "", 413, "the body is larger than 1048576 bytes"},
		"br":                      {[]string{"br"}, "x", "", 415, `a body with the Content-Encoding "br" cannot be unpacked; send gzip, deflate, or no encoding`},
		"packed twice":            {[]string{"gzip", "gzip"}, gzipped(gzipped("x")), "", 415, `"gzip,gzip" cannot be unpacked`},
		"packed in two ways":      {[]string{"deflate, gzip"}, "x", "", 415, `"deflate, gzip" cannot be unpacked`},
		"no gzip":                 {[]string{"gzip"}, "hello", "", 400, "the body cannot be unpacked with gzip: "},
		"no deflate":              {[]string{"deflate"}, "hello", "", 400, "the body cannot be unpacked with deflate: "},
		"one byte":                {[]string{"gzip"}, "\x1f", "", 400, "the body cannot be unpacked with gzip: unexpected EOF"},
		"gzip that is cut":        {[]string{"gzip"}, gzipped("hello")[:12], "h", 400, "the body cannot be unpacked with gzip: unexpected EOF"},
		"deflate that is cut":     {[]string{"deflate"}, deflated("hello")[:3], "", 400, "the body cannot be unpacked with deflate: unexpected EOF"},
		"a wrong sum":             {[]string{"gzip"}, gzipped("hello")[:18] + "12345678", "hello", 400, "the body cannot be unpacked with gzip: "},
		"more after gzip":         {[]string{"gzip"}, gzipped("hello") + "more and more", "hello", 400, "the body cannot be unpacked with gzip: "},
		"more after deflate":      {[]string{"deflate"}, deflated("hello") + "x", "hello", 400, "bytes follow the end"},
		"more without a head":     {[]string{"deflate"}, bare("hello") + "x", "hello", 400, "bytes follow the end"},
	} {
		t.Run(name, func(t *testing.T) {
			for way, body := range map[string]io.Reader{"whole": strings.NewReader(c.body), "in bytes": iotest.OneByteReader(strings.NewReader(c.body))} {
				r := httptest.NewRequest(http.MethodPost, "/", body)
				if c.body == "" {
					r.Body = http.NoBody
				}
				r.Header["Content-Encoding"] = c.encoding
				w := httptest.NewRecorder()
				opened, err := intake.Open(w, r, intake.Limits{Bytes: max})
				var got []byte
				if err == nil {
					got, err = io.ReadAll(opened.Body)
					_, again := opened.Body.Read(make([]byte, 1))
					require.Error(t, again, "the end stays the end")
				}
				require.Equal(t, c.want, string(got), way)
				if c.status == 0 {
					require.NoError(t, err, way)
					require.NoError(t, opened.Body.Close())
					continue
				}
				status, text := intake.Refusal(err)
				require.Equal(t, c.status, status, "%v", err)
				require.Contains(t, text, c.text)
				require.Equal(t, c.status == 415, w.Header().Get("Accept-Encoding") == "gzip, deflate")
			}
		})
	}
}

// FuzzUnpack checks that no packed body gives more than the bound, and that what was
// packed comes back.
func FuzzUnpack(f *testing.F) {
	f.Add("gzip", gzipped("hello"))
	f.Add("deflate", deflated("hello"))
	f.Add("deflate", bare("hello"))
	f.Add("gzip", gzipped(strings.Repeat("x", 4096)))
	f.Fuzz(func(t *testing.T, form, body string) {
		const max = 2048
		read := func(encoding, body string) (string, error) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("Content-Encoding", encoding)
			r, err := intake.Open(httptest.NewRecorder(), r, intake.Limits{Bytes: max})
			if err != nil {
				return "", err
			}
			got, err := io.ReadAll(r.Body)
			return string(got), err
		}
		got, err := read(form, body)
		require.LessOrEqual(t, len(got), max)
		if err != nil {
			status, text := intake.Refusal(err)
			require.Contains(t, []int{400, 413, 415}, status)
			require.NotEmpty(t, text)
		}
		if len(body) < max/2 {
			for encoding, packed := range map[string]string{"gzip": gzipped(body), "deflate": deflated(body)} {
				got, err = read(encoding, packed)
				require.NoError(t, err)
				require.Equal(t, body, got)
			}
		}
	})
}
