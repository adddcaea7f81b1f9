package conform_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
)

// packets is a transport over TCP. A packet is the kind of the frame, its length, and its
// data.
type packets struct{ conn net.Conn }

func (p packets) Write(ctx context.Context, frames []nodebus.Frame) error {
	stop := context.AfterFunc(ctx, func() { _ = p.conn.Close() })
	defer stop()
	var wire []byte
	for _, f := range frames {
		kind := byte('t')
		if f.Binary {
			kind = 'b'
		}
		wire = binary.BigEndian.AppendUint32(append(wire, kind), uint32(len(f.Data)))
		wire = append(wire, f.Data...)
	}
	if len(wire) == 0 { // a pipe would wait
		return nil
	}
	_, err := p.conn.Write(wire)
	return err
}

func (p packets) Close(error) error { return p.conn.Close() }

// ReadLoop notices that the client is gone.
func (p packets) ReadLoop(context.Context) error {
	_, err := io.Copy(io.Discard, p.conn)
	if err == nil {
		err = io.EOF
	}
	return err
}

// serveOver returns a server whose clients first send a line: their id and their cursor.
// wrap changes the transport, and admit the session.
func serveOver(wrap func(nodebus.Transport) nodebus.Transport, admit func(client string, opts *nodebus.SessionOptions) string) func(*testing.T, conform.Site) {
	return func(t *testing.T, site conform.Site) {
		var serving sync.WaitGroup
		serve := func(conn net.Conn) {
			defer func() { _ = conn.Close() }()
			first, err := bufio.NewReader(io.LimitReader(conn, 100)).ReadString('\n')
			if err != nil {
				return
			}
			client, since, _ := strings.Cut(strings.TrimSuffix(first, "\n"), "\t")
			cursor, err := nodebus.ParseCursor(since)
			if err != nil {
				return
			}
			opts := &nodebus.SessionOptions{Since: cursor, Codec: nodebus.JSONCodec{Envelope: true}}
			if admit != nil {
				client = admit(client, opts)
			}
			s := site.Hub.Join(client, opts)
			_, _ = io.WriteString(conn, "\n") // the client has joined
			_ = s.Serve(context.Background(), wrap(packets{conn}))
		}
		serving.Go(func() {
			for {
				conn, err := site.Listener.Accept()
				if err != nil {
					return
				}
				serving.Go(func() { serve(conn) })
			}
		})
		t.Cleanup(func() {
			_ = site.Listener.Close()
			serving.Wait()
		})
	}
}

func asIs(tr nodebus.Transport) nodebus.Transport { return tr }

// packetReader is a client of packets.
type packetReader struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialPackets(ctx context.Context, d conform.Dial) (conform.Reader, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", d.Addr)
	if err != nil {
		return nil, err
	}
	p := packetReader{conn, bufio.NewReader(conn)}
	if _, err = io.WriteString(conn, d.Client+"\t"+d.Since+"\n"); err == nil {
		_, err = p.r.ReadByte()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (p packetReader) Next() (ev nodebus.Event, err error) {
	var head [5]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return ev, err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(p.r, data); err != nil {
		return ev, err
	}
	return nodebus.JSON.Decode(nodebus.Frame{Binary: head[0] == 'b', Data: data})
}

func (p packetReader) Send(data []byte) error {
	_, err := p.conn.Write(data)
	return err
}

func (p packetReader) Close() error { return p.conn.Close() }

func TestServer(t *testing.T) {
	conform.Server(t, serveOver(asIs, nil), dialPackets, &conform.ServerClaims{Binary: true})
}

func TestPackets(t *testing.T) {
	conform.Transport(t, connectPackets(asIs))
}

// connectPackets returns pairs of a transport and its client.
func connectPackets(wrap func(nodebus.Transport) nodebus.Transport) func(*testing.T) (nodebus.Transport, conform.Receiver) {
	return func(t *testing.T) (nodebus.Transport, conform.Receiver) {
		here, there := net.Pipe()
		t.Cleanup(func() { _ = there.Close() })
		p := packetReader{there, bufio.NewReader(there)}
		return wrap(packets{here}), conform.Receiver{Cancels: true, Receive: func() (f nodebus.Frame, err error) {
			var head [5]byte
			if _, err := io.ReadFull(p.r, head[:]); err != nil {
				return f, err
			}
			f.Binary, f.Data = head[0] == 'b', make([]byte, binary.BigEndian.Uint32(head[1:]))
			_, err = io.ReadFull(p.r, f.Data)
			return f, err
		}}
	}
}
