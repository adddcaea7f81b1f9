package bolt_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
)

// A cursor outlives the process: a client that comes back continues after the event that it
// has received last.
func ExampleDB_Log() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "nodebus.db")
	open := func() (*bolt.DB, *nodebus.Hub) {
		db, err := bolt.Open(path, nil)
		if err != nil {
			panic(err)
		}
		return db, nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()})
	}

	// The first process publishes two events; the client has received the first.
	db, hub := open()
	for _, p := range []nodebus.Payload{nodebus.ExecutionStart{PromptID: "p"}, nodebus.Executing{UniqueID: "5", PromptID: "p"}} {
		if err := hub.Publish(nodebus.Event{PromptID: "p", To: "ann", Payload: p}); err != nil {
			fmt.Println(err)
		}
	}
	cursor := nodebus.Cursor{Epoch: hub.Epoch(), ID: 1}
	hub.Close() // waits for the disk
	db.Close()

	// The second process has the other.
	db, hub = open()
	page, err := db.Log().Read(nodebus.LogQuery{Own: true, Client: "ann", After: cursor.ID, UpTo: 1 << 62})
	fmt.Println(hub.Epoch() == cursor.Epoch, len(page.Events), err)
	fmt.Println(page.Events[0].ID, page.Events[0].Payload.EventType())
	hub.Close()
	db.Close()
	// Output:
	// true 1 <nil>
	// 2 executing
}
