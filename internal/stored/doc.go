// Package stored is how prompts and events look where they outlive their process, in a file
// or in the streams of a server: the modules contrib/bolt and contrib/nats share it.
//
// The files and streams of users have what this package has written. So it reads for ever
// whatever an older version has written. Tests of this package and of the two modules have
// such bytes.
//
// A program may use a version of contrib/bolt or contrib/nats that is older than its version
// of nodebus. So an exported name of this package stays, and does what it did.
//
//	event.go    events as frames, there and back
//	secrets.go  encrypts secrets
//	plain.go    prompts whose values are plain data
package stored
