package ws_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// conversation sends raw bytes to a server and half closes the connection. It returns
// what the server received, the close code that it sent, or 0, and its error.
func conversation(t *testing.T, raw string) (got []string, code int, err error) {
	t.Helper()
	type result struct {
		got []string
		err error
	}
	results := make(chan result, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hub := nodebus.NewHub(nil)
		s := hub.Join("odd", nil)
		c, err := ws.Accept(w, r, &ws.Options{PingInterval: -1, ReadLimit: 1000})
		if err != nil {
			t.Error(err)
			return
		}
		var res result
		res.err = c.Serve(context.Background(), s, func(_ *nodebus.Session, data []byte, _ bool) { res.got = append(res.got, string(data)) })
		results <- res
		_ = hub.Close()
	}))
	defer srv.Close()
	c, r := handshake(t, srv.URL, raw)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	for {
		op, data, err := frameOf(t, c, r)
		if err != nil {
			break
		}
		if op == 0x88 && len(data) >= 2 {
			code = int(data[0])<<8 | int(data[1])
		}
	}
	res := <-results
	return res.got, code, res.err
}

// unfinal is a masked frame that is not the last of its message.
func unfinal(op byte, data string) string { return masked(op, data) }

func TestUnfinishedMessages(t *testing.T) {
	for name, raw := range map[string]string{
		"first fragment":                unfinal(0x01, "DEL 2"),
		"two fragments":                 unfinal(0x01, "DEL") + unfinal(0x00, " 2"),
		"empty fragment":                unfinal(0x01, ""),
		"empty fragments":               unfinal(0x02, "") + unfinal(0x00, "") + unfinal(0x00, ""),
		"fragment and ping":             unfinal(0x01, "DEL 2") + masked(0x89, "x"),
		"fragment and half a ping":      unfinal(0x01, "DEL 2") + masked(0x89, "xyz")[:7],
		"header of 10 bytes":            masked(0x81, "0123456789")[:6],
		"header of 10 bytes, 9 bytes":   masked(0x81, "0123456789")[:15],
		"header without a mask":         masked(0x81, "0123456789")[:4],
		"half a header":                 "\x81",
		"half a long header":            "\x81\xfe\x01",
		"half a very long header":       "\x81\xff\x00\x00\x00\x00",
		"long header":                   "\x81\xfe\x01\x00\x00\x00\x00\x00",
		"fragment and half a fragment":  unfinal(0x01, "DEL") + masked(0x80, "0123456789")[:8],
		"close frame inside, then half": unfinal(0x01, "DEL") + masked(0x88, "\x03\xe8")[:7],
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := conversation(t, raw)
			require.Empty(t, got)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			got, _, err = conversation(t, masked(0x81, "whole")+raw)
			require.Equal(t, []string{"whole"}, got)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
}

func TestBrokenFrames(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		code int
		text string
	}{
		"compressed":                  {masked(0xc1, "x"), 1002, "extension"},
		"compressed fragment":         {masked(0x41, "x"), 1002, "extension"},
		"other reserved bits":         {masked(0xa1, "x"), 1002, "extension"},
		"compressed ping":             {masked(0xc9, "x"), 1002, "extension"},
		"without a mask":              {"\x81\x01x", 1002, "mask"},
		"continuation first":          {masked(0x80, "x"), 1002, "did not begin"},
		"message inside of a message": {unfinal(0x01, "a") + masked(0x81, "b"), 1002, "before the end"},
		"ping in fragments":           {masked(0x09, "x"), 1002, "control frame"},
		"long ping":                   {"\x89\xfe\x00\x80\x00\x00\x00\x00" + strings.Repeat("x", 128), 1002, "control frame"},
		"unknown opcode":              {masked(0x83, "x"), 1002, "opcode 3"},
		"unknown control opcode":      {masked(0x8b, "x"), 1002, "opcode 11"},
		"impossible size":             {"\x81\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1002, "size"},
		"too large":                   {"\x81\xfe\x03\xe9\x00\x00\x00\x00" + strings.Repeat("x", 1001), 1009, "1000 bytes"},
		"too large in fragments":      {"\x01\xfe\x03\xe8\x00\x00\x00\x00" + strings.Repeat("x", 1000) + masked(0x80, "x"), 1009, "1000 bytes"},
		"sizes that overflow":         {unfinal(0x01, "abc") + "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009, "1000 bytes"},
		"half a close code":           {masked(0x88, "x"), 1002, "half a code"},
		"close code without meaning":  {masked(0x88, "\x03\xed"), 1002, "code 1005"},
		"close code 999":              {masked(0x88, "\x03\xe7"), 1002, "code 999"},
	} {
		t.Run(name, func(t *testing.T) {
			got, code, err := conversation(t, masked(0x81, "whole")+c.raw+masked(0x81, "not read any more"))
			require.Equal(t, []string{"whole"}, got)
			require.ErrorContains(t, err, c.text)
			require.Equal(t, c.code, code)
		})
	}
}

func TestWholeMessages(t *testing.T) {
	long := strings.Repeat("0123456789", 100)
	for name, c := range map[string]struct {
		raw  string
		want []string
	}{
		"empty":                {masked(0x81, "") + masked(0x82, ""), []string{"", ""}},
		"fragments":            {unfinal(0x01, "a") + unfinal(0x00, "") + unfinal(0x00, "b") + masked(0x80, ""), []string{"ab"}},
		"control frames":       {unfinal(0x01, "a") + masked(0x89, "p") + masked(0x8a, "q") + masked(0x80, "b"), []string{"ab"}},
		"as large as allowed":  {"\x81\xfe\x03\xe8\x00\x00\x00\x00" + long, []string{long}},
		"a size in long form":  {"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00x", []string{"x"}},
		"a mask":               {"\x81\x85\x01\x02\x03\x04" + "i\x67o\x68n", []string{"hello"}},
		"close frame in a row": {masked(0x81, "a") + masked(0x88, "\x03\xe8bye") + masked(0x81, "b"), []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := conversation(t, c.raw)
			require.Equal(t, c.want, got)
			require.Error(t, err)
		})
	}
}

// FuzzRead compares what the server reads with what a simple reader reads.
func FuzzRead(f *testing.F) {
	f.Add([]byte(unfinal(0x01, "a") + masked(0x89, "p") + masked(0x80, "b") + masked(0x88, "\x03\xe8")))
	f.Add([]byte(masked(0x81, "0123456789")[:9]))
	f.Add([]byte("\x82\x85\x01\x02\x03\x04hello\x81\xfe\x00\x80\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := ws.NewConn(&script{Reader: bytes.NewReader(raw)}, &ws.Options{PingInterval: -1, ReadLimit: 1000})
		var got [][]byte
		for {
			data, _, err := c.Read()
			if err != nil {
				break
			}
			got = append(got, data)
		}
		require.Equal(t, simply(raw), got)
	})
}

// script is a connection whose client sends the bytes of a Reader and takes everything.
type script struct {
	net.Conn
	io.Reader
}

func (s *script) Read(p []byte) (int, error)       { return s.Reader.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return len(p), nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) Close() error                     { return nil }

// simply returns the messages of a client's bytes, up to the first mistake.
func simply(raw []byte) (messages [][]byte) {
	var message []byte
	for within := false; len(raw) >= 2; {
		op, fin, n := raw[0]&15, raw[0]&0x80 != 0, int(raw[1]&0x7f)
		reserved, plain, long := raw[0]&0x70 != 0, raw[1]&0x80 == 0, raw[1]&0x7f > 125
		raw = raw[2:]
		for more := map[int]int{126: 2, 127: 8}[n]; more > 0; more-- {
			if len(raw) == 0 {
				return messages
			}
			if n >= 126 && long {
				n, long = 0, false
			}
			n, raw = n<<8|int(raw[0]), raw[1:]
			if n > 1<<30 {
				return messages
			}
		}
		known := op <= 2 || op >= 8 && op <= 10
		if reserved || plain || !known || len(raw) < 4 || len(raw)-4 < n {
			return messages
		}
		mask, data := raw[:4], bytes.Clone(raw[4:4+n])
		raw = raw[4+n:]
		for i := range data {
			data[i] ^= mask[i%4]
		}
		switch {
		case op >= 8 && (!fin || n > 125), op == 8:
			return messages
		case op >= 8:
			continue
		case within != (op == 0), len(message)+n > 1000:
			return messages
		}
		message, within = append(message, data...), !fin
		if fin {
			messages, message = append(messages, append([]byte{}, message...)), nil
		}
	}
	return messages
}

// TestCloseFrameIsAnswered checks that a client that closes gets its close frame back.
func TestCloseFrameIsAnswered(t *testing.T) {
	for _, payload := range []string{"", "\x03\xe8", "\x0f\xa0of my own"} {
		s := serve(t, nil, nil)
		c, r := handshake(t, s.URL, "")
		op, _, err := frameOf(t, c, r) // the status
		require.NoError(t, err)
		require.Equal(t, byte(0x81), op)
		_, err = io.WriteString(c, masked(0x88, payload))
		require.NoError(t, err)
		op, data, err := frameOf(t, c, r)
		require.NoError(t, err)
		require.Equal(t, byte(0x88), op)
		require.Equal(t, payload, string(data))
		_, _, err = frameOf(t, c, r)
		require.ErrorIs(t, err, io.EOF)
	}
}

// TestLibraryReadsOurCloseFrames checks that the client library sees the mistake.
func TestLibraryReadsOurCloseFrames(t *testing.T) {
	s := serve(t, nil, &ws.Options{ReadLimit: 10})
	c := dial(t, s.URL, nil)
	read(t, c)
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, make([]byte, 1<<20)))
	_, _, err := c.Read(t.Context())
	require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err), "%v", err)
}
