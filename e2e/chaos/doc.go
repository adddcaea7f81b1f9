// Package chaos contains only tests. They start the program in the folder host as a process
// of its own with a file, or as three processes with a NATS server in each, kill one with
// SIGKILL again and again, cut and stall the lines between the processes and 50 clients,
// and between the servers, and check afterwards what the clients have written down: every
// accepted prompt has one record and one end, and no event was lost, doubled or reordered.
// Each test prints what was survived.
//
// The tests run at the same time, because each of them mostly waits. There are three forms:
//
//	go test -tags e2e -v -count 1 -short ./chaos                  for CI: 70 s with 2 cores
//	go test -tags e2e -v -count 1 ./chaos                         500 prompts, 20 kills: 2 minutes
//	go test -tags e2e -v -count 1 -timeout 1h ./chaos -args -for 20m
//
// The first two end after a number of prompts and kills, however long that takes. The last
// one runs for the time in its flag.
//
// The tests have the build tag e2e. The tests of the checker, which read invented histories
// with faults, have none.
package chaos
