package around

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Log writes a line for each call of a node when the call has ended. Its attributes are
//
//	prompt    the id of the prompt
//	node      the unique id of the node
//	class     the name of its class
//	index     the number of the element, if it is not 0
//	cached    whether the result was known, so that the node was not called
//	attempts  how often the node was called so far, if not once
//	duration  how long the call took, with everything that it waited for
//	error     the error of a failed or blocked call
//
// Calls that fail have level Error; others, also calls that are blocked or interrupted, have
// level Info. The results and inputs are not logged. If logger is nil, Log writes nothing.
func Log(logger *slog.Logger) flow.Around {
	return func(next flow.CallFunc) flow.CallFunc {
		if logger == nil {
			return next
		}
		return func(ctx *nodebus.Context, call *flow.Call) (res flow.Result, err error) {
			began := time.Now()
			err = errGone // unless next returns
			defer func() {
				_ = nodebus.Protect(func() error { // a panic of the logger does not fail the node
					logCall(logger, ctx, call, time.Since(began), err)
					return nil
				})
			}()
			return next(ctx, call)
		}
	}
}

var errGone = errors.New("the call panicked or ended its goroutine")

func logCall(logger *slog.Logger, ctx *nodebus.Context, call *flow.Call, took time.Duration, err error) {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("prompt", ctx.PromptID()), slog.String("node", ctx.UniqueID()), slog.String("class", call.Class.Name()))
	if ctx.Index() > 0 {
		attrs = append(attrs, slog.Int("index", ctx.Index()))
	}
	attrs = append(attrs, slog.Bool("cached", call.Cached))
	if n := call.Attempts(); n != 1 && !call.Cached {
		attrs = append(attrs, slog.Int("attempts", n))
	}
	attrs = append(attrs, slog.Duration("duration", took))
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if !errors.As(err, new(*nodebus.BlockedError)) && !errors.Is(err, nodebus.ErrInterrupted) && ctx.Err() == nil {
			level = slog.LevelError
		}
	}
	logger.LogAttrs(ctx, level, "node", attrs...)
}
