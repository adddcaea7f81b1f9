// Package chaos contains only tests. They start the program in the folder host as a process
// of its own with a file, or as three processes with a NATS server in each, kill one with
// SIGKILL again and again, cut and stall the lines between the processes and 50 clients,
// and between the servers, and check afterwards what the clients have written down: every
// accepted prompt has one record and one end, and no event was lost, doubled or reordered.
//
// The short form ends after a number of prompts and kills, however long that takes. The long
// form runs for the time in a flag:
//
//	go test -tags e2e -v -count 1 -timeout 1h ./chaos -args -for 20m
//
// The tests have the build tag e2e. The tests of the checker, which read invented histories
// with faults, have none.
package chaos
