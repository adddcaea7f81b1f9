package embed

import (
	"fmt"
	"log/slog"
)

// reports passes what a server reports to a logger.
type reports struct{ to *slog.Logger }

func (r *reports) Noticef(format string, v ...any) { r.to.Debug("nats: " + fmt.Sprintf(format, v...)) }

func (r *reports) Warnf(format string, v ...any) { r.to.Warn("nats: " + fmt.Sprintf(format, v...)) }

func (r *reports) Errorf(format string, v ...any) { r.to.Error("nats: " + fmt.Sprintf(format, v...)) }

func (r *reports) Fatalf(format string, v ...any) { r.to.Error("nats: " + fmt.Sprintf(format, v...)) }
func (r *reports) Debugf(format string, v ...any) {}
func (r *reports) Tracef(format string, v ...any) {}
