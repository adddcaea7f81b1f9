// Package content sends files: the files of clients and nodes, in which a browser runs no
// code, and the files of the host program, in which it may.
package content
