package embed

import (
	"fmt"
	"log/slog"
	"strings"
)

// reports passes what a server reports to a logger.
type reports struct{ to *slog.Logger }

func (r *reports) Noticef(format string, v ...any) { r.to.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf leaves out the warning about the password, which only this process knows.
func (r *reports) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, "Plaintext passwords detected") {
		r.to.Warn("nats: " + fmt.Sprintf(format, v...))
	}
}

func (r *reports) Errorf(format string, v ...any) { r.to.Error("nats: " + fmt.Sprintf(format, v...)) }

func (r *reports) Fatalf(format string, v ...any) { r.to.Error("nats: " + fmt.Sprintf(format, v...)) }
func (r *reports) Debugf(format string, v ...any) {}
func (r *reports) Tracef(format string, v ...any) {}
