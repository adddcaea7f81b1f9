package conform_test

import (
	"context"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
)

// faultyTransport is a transport with one fault.
type faultyTransport struct {
	nodebus.Transport
	write func(context.Context, nodebus.Transport, []nodebus.Frame) error
	close func(nodebus.Transport, error) error
}

func (f faultyTransport) Write(ctx context.Context, frames []nodebus.Frame) error {
	if f.write != nil {
		return f.write(ctx, f.Transport, frames)
	}
	return f.Transport.Write(ctx, frames)
}

func (f faultyTransport) Close(cause error) error {
	if f.close != nil {
		return f.close(f.Transport, cause)
	}
	return f.Transport.Close(cause)
}

func (f faultyTransport) wrap(tr nodebus.Transport) nodebus.Transport {
	f.Transport = tr
	return f
}

func transportMutant(fault faultyTransport) func(*testing.T) {
	return func(t *testing.T) { conform.Transport(t, connectPackets(fault.wrap)) }
}

func serverMutant(fault faultyTransport, admit func(string, *nodebus.SessionOptions) string) func(*testing.T) {
	return func(t *testing.T) {
		conform.Server(t, serveOver(fault.wrap, admit), dialPackets, &conform.ServerClaims{Binary: true})
	}
}

// ignoresContextOfWrite does not end a Write when the context ends.
func ignoresContextOfWrite(ctx context.Context, tr nodebus.Transport, frames []nodebus.Frame) error {
	return tr.Write(context.WithoutCancel(ctx), frames)
}

// hidesErrors returns no error, also after Close.
func hidesErrors(ctx context.Context, tr nodebus.Transport, frames []nodebus.Frame) error {
	_ = tr.Write(ctx, frames)
	return nil
}

// dropsLast leaves out the last frame of a long write.
func dropsLast(ctx context.Context, tr nodebus.Transport, frames []nodebus.Frame) error {
	if len(frames) > 4 {
		frames = frames[:len(frames)-1]
	}
	return tr.Write(ctx, frames)
}

// turnsRound writes the frames in the wrong order.
func turnsRound(ctx context.Context, tr nodebus.Transport, frames []nodebus.Frame) error {
	frames = slices.Clone(frames)
	slices.Reverse(frames)
	return tr.Write(ctx, frames)
}

func neverCloses(nodebus.Transport, error) error { return nil }

// skipsOne begins one event after the cursor, as if an event that was cut had arrived.
func skipsOne(client string, opts *nodebus.SessionOptions) string {
	if opts.Since.ID > 3 {
		opts.Since.ID++
	}
	return client
}

// repeatsOne begins one event before the cursor.
func repeatsOne(client string, opts *nodebus.SessionOptions) string {
	if opts.Since.ID > 3 {
		opts.Since.ID--
	}
	return client
}

// forgetsEpochs takes a cursor of any log.
func forgetsEpochs(client string, opts *nodebus.SessionOptions) string {
	if opts.Since.Epoch == "other" {
		opts.Since = nodebus.Cursor{}
	}
	return client
}

// oneForAll gives every client the same id.
func oneForAll(string, *nodebus.SessionOptions) string { return "ann" }
