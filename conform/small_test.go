package conform_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nodebus/nodebus/conform"
)

// small is a client of few lines. With a fault, it is a mutant.
type small struct {
	how    conform.ClientStart
	stream bool   // Server-Sent Events
	fault  string // see mutants; empty: none
	life   context.Context
	end    context.CancelFunc

	// Next alone uses these.
	r         *bufio.Reader
	connected bool
	fails     int
	partial   []byte // a message in fragments
	kind      byte
	again     []conform.ClientEvent

	mu      sync.Mutex
	conn    net.Conn
	id      string
	since   string
	watched []string
	asked   map[string]chan error
	pinged  int // pings without an answer
}

func startSmall(stream bool, fault string) func(context.Context, conform.ClientStart) (conform.ClientUnderTest, error) {
	return func(_ context.Context, s conform.ClientStart) (conform.ClientUnderTest, error) {
		c := &small{how: s, stream: stream, fault: fault, id: s.ID, since: s.Since, asked: map[string]chan error{}}
		c.life, c.end = context.WithCancel(context.Background())
		if c.how.Ping == 0 {
			c.how.Ping = time.Hour
		}
		if err := c.connect(); err != nil {
			return nil, err
		}
		return c, nil
	}
}

func (c *small) has(fault string) bool { return c.fault == fault }

func (c *small) Close() error {
	if c.has("never closes") {
		return nil
	}
	c.end()
	c.drop()
	if c.has("connects when closed") {
		go func() { _ = c.connect() }()
	}
	return nil
}

// drop ends the connection.
func (c *small) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

var errGivesUp = errors.New("small: the client has given up")

func (c *small) Next(ctx context.Context) (ev conform.ClientEvent, err error) {
	defer context.AfterFunc(ctx, c.end)()
	defer context.AfterFunc(ctx, c.drop)()
	if len(c.again) > 0 {
		ev, c.again = c.again[0], c.again[1:]
		return ev, nil
	}
	for c.life.Err() == nil {
		if c.r == nil {
			if err := c.connect(); errors.Is(err, errGivesUp) {
				return ev, err
			} else if err != nil {
				c.fails++
			}
			continue
		}
		payload, binary, err := c.receive()
		if err != nil {
			c.drop()
			if c.r = nil; c.has("never reconnects") {
				return ev, errGivesUp
			}
			continue
		}
		ev, ok := c.decode(payload, binary)
		switch {
		case !ok && c.has("dies on broken frames"):
			return ev, errGivesUp
		case !ok:
			continue
		case c.has("drops unknown types") && ev.Type == "conform.unknown", c.has("swallows gaps") && ev.Type == "nodebus.gap":
			continue
		}
		if c.fails = 0; c.has("doubles some") && rand.IntN(20) == 0 {
			c.again = append(c.again, ev)
		}
		return ev, nil
	}
	return ev, c.life.Err()
}

// connect waits, and tries to connect.
func (c *small) connect() error {
	wait := c.how.Retry << min(c.fails, 5)
	if c.has("does not wait") {
		wait = 0
	}
	select {
	case <-time.After(wait):
	case <-c.life.Done():
		if !c.has("connects when closed") {
			return errGivesUp
		}
	}
	target, _ := url.Parse(c.how.URL)
	conn, err := net.Dial("tcp", target.Host)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.conn = conn
	q := url.Values{"clientId": {c.id}, "since": {c.since}, "watch": c.watched}
	c.mu.Unlock()
	switch {
	case c.has("ignores cursors"):
		q.Set("since", "")
	case c.has("forgets its id"):
		q.Set("clientId", fmt.Sprint(rand.Int()))
	case c.has("wants no cursors"):
		q.Del("since")
	case c.has("watches the newest"):
		q["watch"] = q["watch"][max(len(q["watch"])-1, 0):]
	}
	again := c.connected && c.has("forgets the query")
	if c.connected = true; !again {
		maps.Copy(q, target.Query())
	}
	path, more := "ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+
		base64.StdEncoding.EncodeToString(make([]byte, 16))+"\r\n"
	if c.stream {
		path, more = "events", ""
	}
	_, _ = io.WriteString(conn, "GET "+target.Path+path+"?"+q.Encode()+" HTTP/1.1\r\nHost: "+target.Host+"\r\n"+more+"\r\n")
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil) //nolint:bodyclose // the connection is closed
	if err == nil && res.StatusCode != http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(res.Status)
		if res.StatusCode == http.StatusUnauthorized && !c.has("tries again after 401") || c.has("gives up after 503") {
			err = errGivesUp
		}
	}
	if err != nil {
		c.drop()
		return err
	}
	c.r, c.partial = r, nil
	c.silence(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, answer := range c.asked {
		if c.stream {
			answer <- nil
			delete(c.asked, id)
		} else if !c.has("asks once") {
			c.ask(id)
		}
	}
	return nil
}

// silence pings until the connection ends, and ends it if nothing answers.
func (c *small) silence(conn net.Conn) {
	c.mu.Lock()
	c.pinged = 0
	c.mu.Unlock()
	var tick func()
	tick = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.conn != conn {
			return
		}
		if c.pinged++; c.pinged > 3 && !c.has("waits for ever") {
			_ = conn.Close()
			return
		}
		if !c.stream {
			c.write(9, fmt.Append(nil, c.pinged))
		}
		time.AfterFunc(c.how.Ping, tick)
	}
	time.AfterFunc(c.how.Ping, tick)
}

// write writes a frame. c.mu is held.
func (c *small) write(op byte, payload []byte) {
	if c.conn == nil {
		return
	}
	mask := []byte{1, 2, 3, 4}
	frame := append([]byte{0x80 | op, 0x80 | byte(len(payload))}, mask...)
	if c.has("has no mask") {
		frame, mask = []byte{0x80 | op, byte(len(payload))}, make([]byte, 4)
	}
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	_, _ = c.conn.Write(frame)
}

// receive reads a message.
func (c *small) receive() (payload []byte, binary bool, err error) {
	if c.stream {
		payload, err = c.block()
		return payload, false, err
	}
	for {
		last, op, payload, err := c.frame()
		if err != nil {
			return nil, false, err
		}
		c.mu.Lock()
		c.pinged = 0
		c.mu.Unlock()
		switch {
		case op == 8:
			return nil, false, io.EOF
		case op == 9:
			if c.has("answers pings emptily") {
				payload = nil
			}
			c.mu.Lock()
			if !c.has("answers no pings") {
				c.write(10, payload)
			}
			c.mu.Unlock()
			continue
		case op == 10:
			if c.has("hates pongs") {
				return nil, false, io.EOF
			}
			continue
		case op != 0:
			c.kind, c.partial = op, nil
		}
		if c.partial = append(c.partial, payload...); last || c.has("knows no fragments") {
			return c.partial, c.kind == 2, nil
		}
	}
}

// frame reads a frame.
func (c *small) frame() (last bool, op byte, payload []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(c.r, head[:2]); err != nil {
		return
	}
	last, op = head[0]&0x80 != 0, head[0]&0xf
	size := uint64(head[1])
	switch size {
	case 126:
		_, err = io.ReadFull(c.r, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(c.r, head[:8])
		size = binary.BigEndian.Uint64(head[:8])
	}
	if c.has("knows no long frames") && size >= 1<<16 {
		return false, 0, nil, io.EOF
	}
	payload = make([]byte, size)
	if err == nil {
		_, err = io.ReadFull(c.r, payload)
	}
	if c.has("takes half frames") && errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return
}

// block reads a block of Server-Sent Events.
func (c *small) block() (data []byte, err error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil && (data == nil || !c.has("takes half frames")) {
			return nil, err
		}
		c.mu.Lock()
		c.pinged = 0
		c.mu.Unlock()
		switch value, ok := strings.CutPrefix(line, "data:"); {
		case ok:
			data = []byte(strings.TrimSpace(value))
		case strings.TrimSpace(line) == "" && data != nil:
			return data, nil
		case c.has("knows no comments") && !strings.HasPrefix(line, "id:") && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "retry"):
			return nil, io.EOF
		}
	}
}

func (c *small) Watch(ctx context.Context, promptID string) error {
	answer := make(chan error, 1)
	c.mu.Lock()
	c.asked[promptID] = answer
	if c.stream {
		c.watched = append(c.watched, promptID)
		if c.conn != nil {
			_ = c.conn.Close()
		}
	} else {
		c.ask(promptID)
	}
	c.mu.Unlock()
	select {
	case err := <-answer:
		if c.has("hides refusals") {
			return nil
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask sends a request. c.mu is held.
func (c *small) ask(promptID string) {
	m, _ := json.Marshal(map[string]any{"type": "nodebus.watch", "data": map[string]string{"prompt_id": promptID}})
	c.write(1, m)
}

// answered handles the answer to a request. c.mu is held.
func (c *small) answered(data json.RawMessage) {
	var w struct {
		PromptID string `json:"prompt_id"`
		Error    string
	}
	_ = json.Unmarshal(data, &w)
	answer := c.asked[w.PromptID]
	if answer == nil {
		return
	}
	delete(c.asked, w.PromptID)
	if w.Error != "" {
		answer <- errors.New(w.Error)
		return
	}
	if !slices.Contains(c.watched, w.PromptID) && !c.has("watches once") {
		c.watched = append(c.watched, w.PromptID)
	}
	answer <- nil
}
