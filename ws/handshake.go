package ws

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/intake"
)

// handshakeTimeout is how long the answer to the handshake may wait for room.
const handshakeTimeout = 5 * time.Second

// check returns whether r is a handshake of a page that may connect. If it is not,
// check sends an error response.
func check(w http.ResponseWriter, r *http.Request, o *Options) error {
	intake.Watch(w, r, o.ReadTimeout)
	if err := o.policy().Check(r); err != nil {
		return refuse(w, http.StatusForbidden, err)
	}
	if status, text := verify(r); status != 0 {
		w.Header().Set("Sec-WebSocket-Version", "13")
		return refuse(w, status, errors.New(text))
	}
	if !canHijack(w) {
		return refuse(w, http.StatusNotImplemented, errCannotHijack)
	}
	return nil
}

// refuse sends err to the client.
func refuse(w http.ResponseWriter, status int, err error) error {
	http.Error(w, err.Error(), status)
	return fmt.Errorf("ws: %w", err)
}

// verify checks that r is a WebSocket handshake. If it is not, verify returns the status
// and the text of the answer.
func verify(r *http.Request) (status int, text string) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Header.Get("Sec-WebSocket-Key")))
	switch {
	case r.Header.Get("Upgrade") == "":
		return http.StatusBadRequest, "this is the address of a WebSocket; the request has no header Upgrade (a proxy may have removed it)"
	case !hasToken(r.Header, "Upgrade", "websocket"):
		return http.StatusBadRequest, "the header Upgrade must be websocket"
	case !r.ProtoAtLeast(1, 1) || !hasToken(r.Header, "Connection", "upgrade"):
		return http.StatusBadRequest, "the handshake needs HTTP/1.1 and the header Connection: Upgrade; a proxy may have removed the header"
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, "the method of a WebSocket handshake must be GET, not " + r.Method
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired, "the header Sec-WebSocket-Version must be 13"
	case err != nil || len(key) != 16 || len(r.Header.Values("Sec-WebSocket-Key")) != 1:
		return http.StatusBadRequest, "the header Sec-WebSocket-Key must be 16 bytes in base64"
	}
	return 0, ""
}

// hasToken reports whether a header contains a token. Upper and lower case are equal.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// takeOver takes the connection of r from net/http and answers the handshake. early
// holds the bytes that the client sent before the answer. If takeOver fails before it
// has the connection, it sends an error response.
//
// takeOver writes the answer to the connection itself. It does not use
// w.WriteHeader(101), because a wrapper of the ResponseWriter may only note the status
// and write it when the handler returns.
func takeOver(w http.ResponseWriter, r *http.Request) (conn net.Conn, early []byte, err error) {
	var brw *bufio.ReadWriter
	err = nodebus.Protect(func() (err error) {
		conn, brw, err = http.NewResponseController(w).Hijack()
		return err
	})
	var panicked *nodebus.PanicError
	switch {
	case errors.Is(err, http.ErrNotSupported), errors.As(err, &panicked):
		return nil, nil, refuse(w, http.StatusNotImplemented, errCannotHijack)
	case err != nil:
		return nil, nil, refuse(w, http.StatusInternalServerError, fmt.Errorf("a WebSocket cannot be opened: Hijack of the ResponseWriter: %w", err))
	}
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if _, err := conn.Write(answer(w.Header(), r.Header.Get("Sec-WebSocket-Key"))); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("ws: answering the handshake: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	if brw != nil && brw.Reader.Buffered() > 0 {
		b, _ := brw.Reader.Peek(brw.Reader.Buffered())
		early = bytes.Clone(b)
	}
	return conn, early, nil
}

// canHijack reports whether the innermost ResponseWriter lets a handler take over the
// connection. Some wrappers have a method Hijack that panics if the inner method is
// missing.
func canHijack(w http.ResponseWriter) bool {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	_, ok := w.(http.Hijacker)
	return ok
}

var errCannotHijack = errors.New("a WebSocket cannot be opened here: the ResponseWriter of the program has no Hijack " +
	"(http.TimeoutHandler and HTTP/2 have none; a middleware that wraps the ResponseWriter needs a method Unwrap)")

// answer returns the response that ends the handshake. It contains the header that the
// program has set, for example cookies.
func answer(header http.Header, key string) []byte {
	sum := sha1.Sum([]byte(strings.TrimSpace(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(base64.StdEncoding.EncodeToString(sum[:]))
	b.WriteString("\r\n")
	_ = header.WriteSubset(&b, ours) // a Buffer accepts every write
	b.WriteString("\r\n")
	return b.Bytes()
}

// ours holds the headers that answer writes itself, and headers that a response
// without a body must not have.
var ours = map[string]bool{
	"Upgrade": true, "Connection": true, "Sec-Websocket-Accept": true,
	"Sec-Websocket-Extensions": true, "Sec-Websocket-Protocol": true,
	"Content-Length": true, "Content-Type": true, "Content-Encoding": true, "Transfer-Encoding": true,
}
