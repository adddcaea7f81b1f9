package golden_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// socket is the WebSocket of a client. It keeps all frames that the client received.
type socket struct {
	conn *websocket.Conn

	mu     sync.Mutex
	frames []nodebus.Frame
	over   bool
	code   int // from the close frame; -1 if the connection broke
}

func (o *outside) open(e *entry) {
	c, _, err := websocket.Dial(o.t.Context(), o.srv.URL+o.here(e.Path), &websocket.DialOptions{HTTPClient: o.client})
	require.NoError(o.t, err)
	c.SetReadLimit(-1)
	s := &socket{conn: c}
	o.sockets[e.Client] = s
	go s.read()
	synctest.Wait()

	_, asked, _ := strings.Cut(e.Path, "clientId=")
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(o.t, s.frames)
	var hello struct{ Data struct{ SID string } }
	require.NoError(o.t, json.Unmarshal(s.frames[0].Data, &hello))
	o.named(asked, o.tr.clientID(e), hello.Data.SID)
}

func (s *socket) read() {
	for s.take(s.conn.Read(context.Background())) {
	}
}

// take stores a frame. It returns false when the connection has ended.
func (s *socket) take(typ websocket.MessageType, data []byte, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.over, s.code = true, int(websocket.CloseStatus(err))
		return false
	}
	s.frames = append(s.frames, nodebus.Frame{Binary: typ == websocket.MessageBinary, Data: data})
	return true
}

func (o *outside) say(e *entry) {
	text, kept := unrecorded[o.tr.Name][e.Seq]
	require.Equal(o.t, e.JSON.Type == "", kept)
	if !kept {
		data, err := json.Marshal(map[string]any{"type": e.JSON.Type, "data": e.JSON.Data})
		require.NoError(o.t, err)
		text = string(data)
	}
	require.NoError(o.t, o.sockets[e.Client].conn.Write(o.t.Context(), websocket.MessageText, []byte(text)))
}

func (o *outside) leave(e *entry) {
	_ = o.sockets[e.Client].conn.Close(websocket.StatusNormalClosure, "") // read stores the close code
}

// messages returns the received messages and, if the connection has ended, its close
// code.
func (s *socket) messages(o *outside) (all []message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.frames {
		f.Data = o.then(f.Data)
		all = append(all, received(o.t, f))
	}
	if s.over {
		all = append(all, closing(s.code))
	}
	return all
}
