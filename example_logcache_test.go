package nodebus_test

import (
	"fmt"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// paperLog is a log that writes each event down before anyone receives it.
type paperLog struct {
	*nodebus.LogCache
	mu    sync.Mutex
	last  uint64
	paper []string
}

// Append implements [nodebus.Log].
func (l *paperLog) Append(ev nodebus.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Closed(ev.PromptID) {
		if _, starts := ev.Payload.(nodebus.ExecutionStart); !starts {
			return nodebus.ErrClosed
		}
	}
	frame, err := nodebus.JSON.Encode(ev)
	if err != nil {
		return err
	}
	l.last++
	ev.ID, ev.Time = l.last, time.Now()
	l.paper = append(l.paper, string(frame.Data))
	return l.Add(ev)
}

func ExampleLogCache() {
	log := &paperLog{LogCache: nodebus.NewLogCache(nodebus.Cursor{Epoch: "paper"}, nil)}
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: log})
	defer hub.Close()
	for _, p := range []nodebus.Payload{
		nodebus.ExecutionStart{PromptID: "p", Timestamp: 1}, nodebus.Executing{UniqueID: "5", DisplayID: "5", PromptID: "p"},
	} {
		if err := hub.Publish(nodebus.Event{PromptID: "p", To: "ann", Payload: p}); err != nil {
			fmt.Println(err)
		}
	}
	for _, line := range log.paper {
		fmt.Println(line)
	}
	page, _ := log.Read(nodebus.LogQuery{Prompts: []string{"p"}, After: 1, UpTo: 2})
	fmt.Println(page.Events[0].Cursor())
	// Output:
	// {"type":"execution_start","data":{"prompt_id":"p","timestamp":1}}
	// {"type":"executing","data":{"node":"5","display_node":"5","prompt_id":"p"}}
	// paper-2
}
