// Package nats lets many processes share one queue, one store, one log and signals, on NATS
// JetStream.
package nats
