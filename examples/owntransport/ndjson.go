package main

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// ndjson writes each event as a line of JSON to a connection. It drops binary frames,
// because they have no text form. A transport needs no more than these two methods;
// conform.Transport checks that they are correct.
type ndjson struct {
	conn net.Conn
	once sync.Once
}

// Write sends a batch with one write. It fails after ten seconds.
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

// Close closes the connection. A blocked Write then returns.
func (t *ndjson) Close(error) (err error) {
	t.once.Do(func() { err = t.conn.Close() })
	return err
}
