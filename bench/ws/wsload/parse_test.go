//go:build linux

package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus/bench/ws/server"
	"github.com/stretchr/testify/require"
)

// TestForms feeds the bytes of each form in two parts, cut at each place. The events must
// be counted once.
func TestForms(t *testing.T) {
	event := func(i int) string { return fmt.Sprintf(`{"n":%d,"cursor":"e-%d"}`, i, i) }
	frame := func(payload string) string { return string([]byte{0x81, byte(len(payload))}) + payload }
	chunk := func(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }
	for _, c := range []struct {
		name, in string
		wire     server.Wire
		messages int64
	}{
		{"frames", frame("{}") + "\x89\x00" + frame(event(1)) + frame(event(2)), server.Wire{}, 3},
		{"long frame", "\x81\x7e\x00\x80" + event(1) + string(bytes.Repeat([]byte{' '}, 128-len(event(1)))) + frame(event(2)), server.Wire{}, 2},
		{"several events in a frame", frame(event(1)+"\n"+event(2)) + frame("{}\n"), server.Wire{Lines: true}, 3},
		{"an event in each chunk", chunk("id: e-1\ndata: "+event(1)+"\n\n") + chunk("data:"+event(2)+"\n\n"), server.Wire{Stream: true}, 2},
		{"comments and retry times", chunk(": hello\n\nretry: 5\n\n") + chunk("data: "+event(1)+"\n\n:\n\ndata: "+event(2)+"\n\n"), server.Wire{Stream: true}, 2},
		{"events over several chunks", chunk("data: "+event(1)[:5]) + chunk(event(1)[5:]+"\n") + chunk("\ndata: "+event(2)) + chunk("\n\n"), server.Wire{Stream: true}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			for cut := range len(c.in) + 1 {
				l := &load{wire: &c.wire, key: []byte(`"n":`), cursor: []byte(`"cursor":"`)}
				cl := &client{}
				rest := []byte{}
				for _, part := range []string{c.in[:cut], c.in[cut:]} {
					b := append(bytes.Clone(rest), part...)
					if c.wire.Stream {
						var err error
						b, err = l.chunks(cl, b, 0)
						require.NoError(t, err)
					} else {
						b = l.frames(cl, b, 0)
					}
					rest = bytes.Clone(b)
				}
				require.Empty(t, rest)
				require.Empty(t, cl.text)
				require.Equal(t, c.messages, cl.count, "cut at %d", cut)
				require.Equal(t, c.messages, l.total)
				require.Equal(t, "e-2", cl.cursor)
			}
		})
	}
}

func TestBrokenChunk(t *testing.T) {
	l := &load{wire: &server.Wire{Stream: true}}
	_, err := l.chunks(&client{}, []byte("data: {}\r\n"), 0)
	require.ErrorContains(t, err, "size of a chunk")
}
