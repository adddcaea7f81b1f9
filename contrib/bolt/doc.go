// Package bolt keeps the queue, the store and the signals of an engine in one file, for one
// process on one machine. What was accepted is in the file before the call returns: after a
// crash the next process runs it.
package bolt
