package conform

import (
	"net"
	"time"
)

// SetPatience makes the suites give up sooner.
func SetPatience(d time.Duration) { patience = d }

// SentOverClosed writes frames over a line that is closed, and that is to be cut after so many
// bytes. It returns which of the frames count as sent.
func SentOverClosed(budget int, frames ...string) (sent []bool) {
	here, there := net.Pipe()
	_ = there.Close()
	p := &peer{conn: here, budget: budget}
	for _, f := range frames {
		sent = append(sent, p.whole([]byte(f)))
		p.write([]byte(f))
	}
	_ = here.Close()
	return sent
}
