//go:build linux

package server

import (
	"bufio"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// newRawSSE returns the limit of text/event-stream: raw-shard with other bytes.
//
//	raw-sse  one chunk of HTTP for each event, which has an id and data
func newRawSSE() *rawSSE { return &rawSSE{newRaw(false)} }

type rawSSE struct{ *rawPeer }

func (p *rawSSE) Wire() Wire {
	w := p.rawPeer.Wire()
	w.Stream = true
	return w
}

func (p *rawSSE) Serve(ln net.Listener) error {
	return acceptAll(ln, func(c net.Conn) error {
		if _, _, err := readRequest(c); err != nil {
			return err
		}
		_, err := c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"))
		if err != nil {
			return err
		}
		return p.join(c, p.head.Load())
	})
}

func (p *rawSSE) Broadcast(seq int64) { p.append(chunk(seq, message(seq))) }

// chunk returns msg as an event in a chunk. The id is as long as a cursor.
func chunk(seq int64, msg []byte) []byte {
	head := fmt.Sprintf("id: 0123456789ab-%d\ndata: ", seq)
	b := make([]byte, 0, len(head)+len(msg)+10)
	b = strconv.AppendInt(b, int64(len(head)+len(msg)+2), 16)
	b = append(b, "\r\n"...)
	b = append(b, head...)
	b = append(b, msg...)
	return append(b, "\n\n\r\n"...)
}

// newRawLog returns the limit for clients that come back: raw-shard with cursors, which are
// places in the log.
func newRawLog() *rawLog { return &rawLog{newRaw(false)} }

type rawLog struct{ *rawPeer }

func (p *rawLog) Wire() Wire {
	w := p.rawPeer.Wire()
	w.Path, w.Cursor, w.Since = "/ws?clientId=c%d", `"cursor":"`, "since="
	return w
}

func (p *rawLog) Serve(ln net.Listener) error {
	return acceptAll(ln, func(c net.Conn) error {
		request, err := upgrade(c)
		if err != nil {
			return err
		}
		at := p.head.Load()
		u, err := url.ParseRequestURI(strings.Fields(request + " ? ?")[1])
		if err != nil {
			return err
		}
		if since := u.Query().Get("since"); since != "" {
			if at, err = strconv.ParseInt(since, 10, 64); err != nil {
				return err
			}
		}
		return p.join(c, at)
	})
}

func (p *rawLog) Broadcast(seq int64) {
	msg := message(seq)
	const width = len(`,"cursor":""}`) + 16
	end := p.head.Load() + int64(len(frame(msg))+width-1)
	p.append(frame(fmt.Appendf(msg[:len(msg)-1], `,"cursor":"%016d"}`, end)))
}

// Keep publishes one prompt to everyone. So each client that comes back is owed the
// events of one prompt, as if the last of these prompts were its own.
func (p *rawLog) Keep(_, events, _ int) {
	for i := range events {
		p.Broadcast(int64(i))
	}
}

// acceptAll calls serve for each connection, each in a goroutine. A connection is closed if
// serve fails.
func acceptAll(ln net.Listener, serve func(net.Conn) error) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			if serve(c) != nil {
				_ = c.Close()
			}
		}()
	}
}

// readRequest returns the first line and the header of a request.
func readRequest(c net.Conn) (line string, header textproto.MIMEHeader, err error) {
	r := textproto.NewReader(bufio.NewReaderSize(c, 1024))
	if line, err = r.ReadLine(); err != nil {
		return "", nil, err
	}
	header, err = r.ReadMIMEHeader()
	return line, header, err
}
