package embed

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// reports passes what a server reports to a logger.
type reports struct {
	to    *slog.Logger
	fatal chan error   // why the server cannot run; the first reason
	noted func(string) // is called with each error
}

func newReports(to *slog.Logger, noted func(string)) *reports {
	return &reports{to, make(chan error, 1), noted}
}

func (r *reports) Noticef(format string, v ...any) { r.to.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf leaves out the warning about the password, which only this process knows.
func (r *reports) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, "Plaintext passwords detected") {
		r.to.Warn("nats: " + fmt.Sprintf(format, v...))
	}
}

func (r *reports) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	r.noted(text)
	r.to.Error("nats: " + text)
}

// Fatalf does not end the process, as a server of its own would.
func (r *reports) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	r.to.Error("nats: " + text)
	select {
	case r.fatal <- errors.New(text):
	default:
	}
}

func (r *reports) Debugf(format string, v ...any) {}
func (r *reports) Tracef(format string, v ...any) {}
