// Package nats lets many processes share one queue, one store, one log and signals, in
// streams of NATS JetStream. A client may submit at one process, watch at another, and come
// back to a third with its cursor. What was accepted is stored before the call returns; if a
// process is killed, another one goes on.
//
// Connect, open the bus, and give its parts to the hub and the engine:
//
//	nc, err := nats.Connect("nats://10.0.0.1:4222,nats://10.0.0.2:4222,nats://10.0.0.3:4222")
//	bus, err := nats.Open(ctx, nc, &nats.Options{Node: "one", Replicas: 3})
//	hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
//	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{
//		Queue: bus.Queue(), Store: bus.Store(), Signals: bus.Signals(),
//	})
//
// Close in the other order: the hub when Run of the engine has returned, the bus, the
// connection. Package embed runs a server in this process; then no other program is needed.
//
// The page docs/nats.md begins with three machines in ten steps, and has ports, health,
// failures, backup and security. The program in examples/cluster keeps three processes running
// and kills one again and again; run it in the folder contrib/nats:
//
//	go run ./examples/cluster -kill 20s
//
// # The log
//
// An event is stored before anyone receives it, so no client has seen an event that a crash
// takes back. The events that gather while the stream stores others are stored together, in
// one message. The ID of an event is the sequence of its message, and its place in it: all
// processes know the same IDs.
//
// Every process has the kept events in memory, see [Options].Log, and reads the stream with
// one consumer. Previews travel beside the stream: a process that joins later does not have
// them, and that is no loss. An event has up to 16 MiB.
//
// Every process removes from the front of the stream what no process needs, so the stream
// has somewhat more than the memory. If it reaches [Options].LogBytes, it drops its oldest
// events. Either is a loss that clients hear of by a [nodebus.Gap].
//
// If a process learns that an event comes after the end of its prompt, because another
// process has ended it, Publish returns [nodebus.ErrClosed]. If it learns so too late,
// Publish returns nil, and nobody receives the event.
//
// A client without a cursor, such as a front end of ComfyUI, may come to any process, too. A
// process knows only what the client has confirmed to this process. So a client that moves
// receives once more its prompts that have ended within Retain.
//
// Events expire by the clock of the server that stores them, and so do the parts of records
// that nobody has completed. The clocks of the processes do not matter. The clocks of the
// servers should differ by less than Retain.
//
// Call [Renew] once after a backup was restored, and after power has failed at a server that
// does not synchronize its files.
//
// # The queue
//
// Push stores a prompt with one message, and Take stores the number of the attempt: if two
// processes take at the same time, one of them has the prompt. A lease lasts 30 seconds, and
// the engine extends it. If its process is killed, the prompt waits again when the lease has
// lapsed, and its next attempt is one higher; with [Options].Node, it waits again as soon as
// the same node opens the bus. No clocks are compared: every process counts from the moment
// at which it sees a lease. So RetryAfter of [nodebus.Policy], which is a long lease, begins anew
// in each process that opens the bus, and ends at once if a process with the same Node does: if
// every process restarts before the pause is over, the prompt waits on.
//
// Each process knows the order of all prompts from the headers of their messages; it reads a
// prompt when it needs the prompt. So List takes some time for each prompt. Len and List see
// all that their own process has changed, and changes of others a moment later. The limits of
// [Options].Queue count the bytes of the JSON. If several processes push at the same time,
// the queue may have some prompts more.
//
// Prompts that are larger than 512 KiB travel in parts. Secrets are encrypted with
// [Options].SecretKey. A process without the key, or with another one, leaves prompts with
// secrets to the others, and also the later prompts of their clients.
//
// An error with [ErrAway] does not say whether the change was made, nor does the error of a call
// that was cancelled while it ran. After such a Push, push the same id again: [flow.ErrDuplicate]
// then says that the queue has the prompt.
//
// What says that a prompt is gone stays until the stream does not have the prompt any more. So a
// prompt that was deleted never comes back, also if its process is killed then, and no process
// runs for long.
//
// # The store
//
// A record is one message, or several if it has more than 512 KiB. Every process knows the
// ids and sizes of all records, and reads a record from NATS when it is asked for: Get finds
// what any process has stored. List reads 16 records at a time. [flow.StoreOptions] bounds
// the JSON of the records. Each process that stores a record deletes the oldest ones beyond
// the limits.
//
// # The signals
//
// Send finds the receiver of a prompt in any process. The signal is stored before the
// receiver is called, and removed again if the receiver refuses it: no node continues with
// an answer that a crash takes back. errors.Is finds the errors of flow and nodebus in the
// error of a receiver in another process; its text is the same.
//
// If Send returns an error, the signal is not kept, and does not come later, unless the
// error says that NATS does not tell. If the process of the receiver dies, Send keeps the
// signal for the process that runs the prompt next. If that process is cut off, Send ends
// with its context, or after 15 seconds.
//
// A receiver replaces an earlier one, in whatever process that is. Every process has the
// kept signals in memory. Processes that send at the same time may exceed the limits of
// [flow.SignalsOptions] a little, because each counts what it has read.
//
// # When NATS is away
//
// Events wait, and Publish waits while the events that this process has not read back take
// 8 MiB; a preview does not wait, and is lost. When NATS is back, they are stored in
// their order, each once. Changes of queue, store and signals are tried again until their
// context ends, at most 15 seconds if it has no deadline, and then return [ErrAway]. Hubs go
// on delivering what they have.
//
// If the leader of a stream is killed, the others choose a new one after 4 to 9 seconds. Two
// elections in a row may take longer than 15 seconds.
//
// A process that was cut off for so long that the others have removed what it has not read
// gets [ErrOtherStream], and so do all processes if a stream is deleted. Hubs then hear
// nothing more. [Bus.Done] tells the program: close the hub and the bus, and open them
// again, or end the program, so that whatever runs it starts it again.
//
// Queue, store and signals of a process that was away go on by themselves: after half an
// hour, the process compares what it knows with the streams.
//
// # Durability
//
// A server in the process synchronizes its files before it acknowledges, see package embed.
// A server of its own does not by default: set sync_interval: always in its configuration.
// Otherwise a machine that loses power loses up to two minutes of what was acknowledged.
//
// # The package's map
//
//	open.go      Open and Close; makes the streams    options.go errors.go
//	way.go       carries messages until answered      cas.go     which errors are answers
//	reader.go    reads a stream for ever              connect.go a connection with the right options
//	log.go       opens and closes; Read, Follow, Drop accept.go  Append
//	batch.go     events as messages, there and back
//	log_parts.go large events in several messages     wire.go    records as bytes
//	previews.go  beside the stream                    trim.go    removes the front of the stream
//	queue.go     the queue; Move, Delete, Len         index.go   what a process knows of it
//	push.go      Push, and the limits                 take.go    Take and TakeOne
//	lease.go     leases                               list.go    List
//	prompts.go   stores, reads, removes prompts       sweep.go   removes what killed processes leave
//	leader.go    asks for single messages
//	parts.go     values in several messages           log_foreign.go     keys of foreign payloads
//	store.go     the records that each process knows  store_put.go, store_read.go
//	signals.go   the kept signals, Drop               signals_box.go     limits
//	signals_send.go    Send, and what became of it    signals_receive.go Receive, questions
//	signals_pass.go    calls receivers                signals_errors.go  errors of other processes
//	reached.go   how far a part has read
//	token.go     ids as parts of subjects             renew.go   a new epoch
//	server.go    what a server in this process says
//	secrets.go   the errors of secrets                settings.go  what streams must have
//
// How secrets are encrypted, and how payloads become bytes, is in package internal/stored of
// nodebus: contrib/bolt does it the same way.
package nats
