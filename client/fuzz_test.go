package client_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// readNaively reads a stream by the rules of the HTML standard, all at once.
func readNaively(text string) (data []string) {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	var values []string
	for _, line := range lines[:len(lines)-1] { // the last line has no end
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "" && values != nil:
			data = append(data, strings.Join(values, "\n"))
			values = nil
		case name == "data":
			values = append(values, strings.TrimPrefix(value, " "))
		}
	}
	return data
}

func FuzzEventReader(f *testing.F) {
	for _, text := range []string{
		"", "data: a\n\n", "data: a\r\rdata:b\r\n\r\n", "\ufeffdata: a\n\n", "data\n\n", "data:\n\n", ": comment\n\n", "data: a",
		"data: a\ndata: b\nid: 1\nevent: x\nretry: 2\n\n", "data:  two\n\n", "data: a\r\n\n\r\r\n", "\n\r\n\rdata: x\n\r", " data: a\n\n",
		"data: a\r", "data: a\r\r", "data: a\r\ndata: b\r\n\r\n", "data: a\rdata: b\r\r", "\r\ufeffdata: a\n\n", "id\n\n", "datax: a\n\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := readNaively(text)
		for _, r := range []io.Reader{
			strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text)),
			iotest.DataErrReader(strings.NewReader(text)),
		} {
			got, err := client.ReadStream(r, 1<<20)
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, want, got)
		}
		got, err := client.ReadStream(strings.NewReader(text), 5)
		for i, d := range got {
			require.Equal(t, want[i], d)
			require.LessOrEqual(t, len(d), 5+strings.Count(d, "\n"))
		}
		if len(got) < len(want) {
			require.ErrorContains(t, err, "an event has more than 5 bytes")
		}
	})
}

// TestStreamLimit: an event of the maximum size is read, a larger one is an error, also if
// it has many lines, or a line that is no data.
func TestStreamLimit(t *testing.T) {
	pad := strings.Repeat("x", 1<<20)
	got, err := client.ReadStream(strings.NewReader("data: "+pad+"\n\n"), 1<<20)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []string{pad}, got)
	for _, text := range []string{
		"data: " + pad + "y\n\n", "data: " + pad + "\ndata: y\n\n", "data: " + pad + pad, ": " + pad + pad, strings.Repeat("data: x\n", 1<<20),
	} {
		_, err = client.ReadStream(strings.NewReader(text), 1<<20)
		require.ErrorContains(t, err, "an event has more than 1048576 bytes, see Options.ReadLimit")
	}
	broken := errors.New("broken")
	_, err = client.ReadStream(iotest.ErrReader(broken), 1)
	require.ErrorIs(t, err, broken)
}

// FuzzFrames feeds two frames to a client: nothing panics, a loop over Events has all
// events that can be decoded, and a loop over Follow has the events of its prompt and each
// Gap.
func FuzzFrames(f *testing.F) {
	binaryFrame := func(typ uint32, parts ...string) []byte {
		b := binary.BigEndian.AppendUint32(nil, typ)
		for _, p := range parts {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
		}
		return b
	}
	for _, text := range []string{
		`{"type":"n","data":{"prompt_id":"p"}}`, `{"type":"n","data":1,"prompt_id":"p","cursor":"e-1","time":1,"attempt":2}`,
		`{"type":"executing","data":{"node":null,"prompt_id":"p"}}`, `{"type":"nodebus.gap","data":{"since":1,"next":2},"cursor":"e-9"}`,
		`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"x"}}`, `{"type":"nodebus.watching","data":{"prompt_id":"p"}}`,
		`{"type":"progress","data":{"value":NaN,"max":1,"node":"1","prompt_id":"p"}}`, `null`, `[]`, `{"type":null}`, `{"type":"x","data":`,
		`{"type":"n","data":{"prompt_id":null}}`, `{"type":"n","data":{"prompt_id":["p"]}}`,
	} {
		f.Add(false, []byte(text), []byte(`{"type":"after","data":{"prompt_id":"p"}}`))
	}
	for _, b := range [][]byte{
		nil, binaryFrame(1), binaryFrame(3, "1"), binaryFrame(4, `{"node_id":"1","prompt_id":"p"}`), binaryFrame(7, "x"),
		append(binaryFrame(20034, `{"type":"7","prompt_id":"p"}`), binaryFrame(7)...), binaryFrame(20034, "{"),
		{0, 0, 78, 66, 255, 255, 255, 255},
	} {
		f.Add(true, b, b)
	}
	f.Fuzz(func(t *testing.T, isBinary bool, a, b []byte) {
		decoded, all, followed, kept := client.Feed(
			nodebus.Frame{Binary: isBinary, Data: bytes.Clone(a)}, nodebus.Frame{Binary: isBinary, Data: bytes.Clone(b)})
		require.Equal(t, decoded, all)
		var want []nodebus.Event
		for _, ev := range decoded {
			if _, gap := ev.Payload.(nodebus.Gap); gap || ev.PromptID == "p" {
				want = append(want, ev)
			}
		}
		require.Equal(t, want, followed)
		require.Equal(t, want, kept)
	})
}
