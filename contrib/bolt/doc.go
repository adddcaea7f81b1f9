// Package bolt keeps what an engine must not lose in one file, for one process on one
// machine: the queue, the store, the signals, and the log of events. What was accepted is
// in the file before the call returns. After a crash, also after kill -9, the next process
// opens the file and goes on:
//
//   - A prompt that was submitted waits in its place. A prompt that ran runs again; its
//     attempt is one higher. A prompt that has ended does not come back.
//   - Clients come back with their cursors, also after a crash: they receive what they
//     missed, and go on. No client has seen an event that the crash has taken back, and
//     no ID is given twice.
//   - The records of ended prompts are there. So are interrupts, and answers to nodes that
//     wait.
//   - Secrets are there if [Options] has a key. Without a key, prompts with secrets are
//     refused: a file must not have secrets that anybody can read.
//
// Open the file, and give its parts to the hub and the engine:
//
//	db, err := bolt.Open("nodebus.db", nil)
//	hub := nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()})
//	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{
//		Queue: db.Queue(), Store: db.Store(), Signals: db.Signals(),
//	})
//
// Close the hub when Run of the engine has returned, and then the file.
//
// # The log
//
// An event is in the file before anyone receives it. So events come later than from the log
// in memory: by one synchronization of the disk, for all events that have gathered meanwhile.
// The log keeps in the file what the log in memory keeps: for [nodebus.HubOptions].Retain
// after the end of a prompt, and within KeepLen and KeepBytes, see [Options].Log. Open reads
// these events into memory. The log remembers which of the last 4096 prompts have ended, and
// what is lost, longer than the events.
//
// A change of the queue, the store or the signals is never in the file without the events
// that were published before it, and the hub has these events when the call returns.
//
// After a backup was restored, set [Options].Restored once.
//
// # The file
//
// The file is a file of [go.etcd.io/bbolt], with permissions for its owner only. One
// process at a time can open it, see [ErrInUse]. Because of this lock, Open knows that the
// holders of all leases are gone: the leases lapse at once, not after 30 seconds. Keep the
// file on a local disk. On a network file system, locks and synchronization may do
// nothing.
//
// The file grows with its content and does not shrink: bbolt uses free pages again. To
// shrink it, close it and use the command "bbolt compact". [DB.Backup] copies it while it is in
// use.
//
// The ids of prompts and clients have at most 4096 bytes and are UTF-8: Push refuses others
// with a [nodebus.ValidationError], because JSON cannot keep them.
//
// # Errors
//
// [FileError] names the file, what is wrong, and the mend. Open looks at all pages before
// it trusts them, and changes nothing in a file that it refuses. Prompts, records and
// signals have checksums. If the file is damaged later, calls return errors, and the
// process lives.
//
// If the disk is full, the call returns [ErrWrite], and nothing that was accepted is lost.
// Take waits instead, also longer than the TakeRetry of the engine, so Run goes on. Events
// wait: their clients receive them when the disk has taken them, and Publish waits when 16 MiB
// wait. The DB goes on by itself when there is room again. One exception: after an error,
// Move and Release have an effect until the process ends.
//
// # Speed
//
// A disk needs far more time to synchronize than to write. So the changes that wait are
// written together: many callers at the same time are as fast as a few. A prompt needs four
// changes: Push, Take, Put and Done.
//
// # The package's map
//
//	db.go       Open and Close; the buckets of the file      backup.go
//	file.go     making a file, opening it, its version
//	pages.go    looks at the pages before bbolt trusts them
//	group.go    gathers changes, and commits them in one transaction
//	codec.go    keys and values, with checksums
//	queue.go    Push, Move, Delete, List      lease.go   Take, and leases
//	load.go     reads the queue at Open
//	store.go    records                       signals.go interrupts and answers
//	secrets.go  the errors of secrets         errors.go  options.go
//	log.go      Append, Read, Follow, Drop    log_commit.go passes on what is in the file
//	log_index.go which events are kept        log_plan.go what the next transaction writes
//	log_names.go losses and ends of prompts   log_entry.go an event as bytes
//	log_open.go reads the log at Open
//
// How secrets are encrypted, and how payloads become bytes, is in package internal/stored of
// nodebus: contrib/nats does it the same way.
package bolt
