package main

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// ndjson writes each event as a line of JSON to a connection. Binary frames,
// which have no form as text, are left out. This is all that a transport has to
// be; conform.Transport proves it right.
type ndjson struct {
	conn net.Conn
	once sync.Once
}

// Write sends a batch as one write, within ten seconds.
func (t *ndjson) Write(_ context.Context, frames []nodebus.Frame) error {
	var batch []byte
	for _, f := range frames {
		if !f.Binary {
			batch = append(append(batch, f.Data...), '\n')
		}
	}
	if len(batch) == 0 {
		return nil
	}
	if err := t.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := t.conn.Write(batch)
	return err
}

// Close ends the connection, and with it a Write that waits.
func (t *ndjson) Close(error) (err error) {
	t.once.Do(func() { err = t.conn.Close() })
	return err
}
