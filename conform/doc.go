// Package conform contains test suites for implementations of nodebus's interfaces
// Transport, Log, Executor, Queue, Signals, Store and Cache, and for client libraries in
// any language. nodebus tests its own implementations and clients with them. Call a suite
// from a test:
//
//	func TestQueue(t *testing.T) {
//		conform.Queue(t, func(t *testing.T) flow.Queue { return open(t) })
//	}
//
// Run the suites with the race detector. No suite fails because a machine is slow,
// unless something takes 20 seconds that should take no time at all.
//
// In failures of Queue, a listing has the ids of the prompts: "a+" is a prompt that is
// leased, "a#2" is a prompt in its second attempt, and "a+#2" is both.
//
// The suite Client is the other side of the suite Server: a scripted server shows that a
// client keeps the rules of docs/wire.md. The comment of each of its subtests, in the files
// client_*.go, quotes the rule.
//
// # Promises
//
// nodebus makes promises about the way of an event from [nodebus.Hub.Publish] to a
// client. These tests show them, for each implementation that passes the suites.
// "Server" and "Log" stand for the subtests of these suites; other names are tests of
// package nodebus.
//
//  1. Publish never waits for a client: Server, "promise 1: …"; Log, "hubs: a slow client
//     continues from the log"; TestContract1PublishNeverWaitsForClients.
//  2. Events are in order, a prompt begins and ends once, and joining is one step: Server,
//     "promise 2: …"; Log, "followers receive every event once, in order", "nothing follows
//     the end of a prompt" and "hubs: a prompt ends at both hubs".
//  3. Only the submitter and those who watch receive an event: Server, "promise 3: …"; Log,
//     "a query selects by client, prompt and place".
//  4. Queues have limits, and no slow line is cut: Server, "promise 4: …"; Log, "a newer
//     state may replace an older one"; the tests TestContract4….
//  5. A client with a cursor receives each event exactly once: Server, "promise 5: …"; Log,
//     "lost events are reported", "hubs: a cursor continues at the other hub" and "hubs:
//     every event is a place to continue"; the tests TestContract5….
//  6. A client without a cursor is sent again what it has not confirmed: Server, "promise
//     6: …"; Log, "hubs: a hub that joins later replays prompts";
//     TestContract6HubThatBeginsLater.
//  7. Sessions of a client are independent: Server, "promise 7: …".
//  8. Nothing depends on who listens: TestContract7NothingDependsOnWhoListens.
//  9. (A prompt runs to its end: the suites Queue, Store and Executor.)
//  10. What clients can hold up has a limit: Server, "promise 10: …"; Log, "pages have
//     limits, and are complete".
//  11. A panic of foreign code ends only its call: Server, "promise 11: …".
package conform
