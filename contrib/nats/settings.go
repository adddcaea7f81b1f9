package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The errors of a server that does not make or open a stream.
const (
	noPeers             jetstream.ErrorCode = 10005 // a cluster has too few servers, or none with so much room
	noCluster           jetstream.ErrorCode = 10074 // the server is alone, and cannot keep a message several times
	tooManyStreams      jetstream.ErrorCode = 10027
	insufficientStorage jetstream.ErrorCode = 10047
	sizeRequired        jetstream.ErrorCode = 10113
	sizeTooLarge        jetstream.ErrorCode = 10122
	isOffline           jetstream.ErrorCode = 10194 // the server leaves the stream alone
)

// isForming reports whether an error says that a cluster has too few servers for the
// replicas of a stream: the others have not joined it yet. They may have no room instead;
// that does not change.
func isForming(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == noPeers && !strings.Contains(api.Description, "insufficient storage")
}

// oldest is the oldest version of NATS whose messages expire one by one.
const oldest = "2.11"

// isOld reports whether a version of a server is older than oldest. What is no version is not.
func isOld(version string) bool {
	var has, must [2]int
	_, err := fmt.Sscanf(version, "%d.%d", &has[0], &has[1])
	_, _ = fmt.Sscanf(oldest, "%d.%d", &must[0], &must[1])
	return err == nil && slices.Compare(has[:], must[:]) < 0
}

// whyNot returns what to do about the error of a stream that cannot be opened or made, and its
// reason, if it has one.
func (b *Bus) whyNot(cfg *jetstream.StreamConfig, err error) (detail string, reason error) {
	var api *jetstream.APIError
	switch {
	case !errors.As(err, &api) || api.ErrorCode != isOffline:
	case strings.Contains(api.Description, "unsupported"): // the code has several reasons
		return "a newer nats-server has written it; run this version or a later one: nothing is lost, and this server leaves the stream alone", ErrNewer
	default:
		return "the server leaves the stream alone; its log says why", nil
	}
	return b.mend(cfg, err), nil
}

// mend returns what to do about another error of a stream that cannot be opened or made.
func (b *Bus) mend(cfg *jetstream.StreamConfig, err error) string {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		api = &jetstream.APIError{}
	}
	waited := errors.Is(err, ErrAway) || errors.Is(err, context.Canceled)
	room := ""
	if cfg.MaxBytes > 0 {
		room = fmt.Sprintf("there is no room to reserve %d bytes; give the server a larger disk, or the account higher limits, or lower Options.LogBytes", cfg.MaxBytes)
	}
	switch code := api.ErrorCode; {
	case code == noCluster:
		return fmt.Sprintf("Options.Replicas is %d, and the server is alone, not in a cluster; give 1, or start a cluster of three servers or five", cfg.Replicas)
	case code == noPeers && strings.Contains(err.Error(), "storage") && room != "":
		return room
	case code == noPeers:
		return fmt.Sprintf("no %d servers of the cluster can keep it; lower Options.Replicas, or start more servers", cfg.Replicas)
	case waited && faultOf(b.nc) != nil:
		return "it cannot be opened" // Open tells the fault
	case errors.Is(err, nats.ErrNoResponders) && waited:
		return "it cannot be opened; check that JetStream is enabled, also for the account"
	case waited:
		return "it cannot be opened; check that the servers run, and more than half of a cluster, and the first time all of them"
	case room != "" && (code == insufficientStorage || code == sizeTooLarge):
		return room
	case code == tooManyStreams:
		return "the account may have no more streams; a bus has four streams: raise max_streams of the account"
	case code == sizeRequired:
		return "the account wants a size for every stream, and the bus has none for prompts, records and signals; remove max_bytes_required from the account"
	}
	return "it cannot be opened or made"
}

// setting is a setting of a stream that must be as the bus has made it.
type setting struct {
	name     string
	is, must any
}

// checkSettings returns an error if somebody has edited a stream so that it loses what the
// bus stores, or refuses it. Size, replicas, compression and the like are up to the operator.
func checkSettings(must, is *jetstream.StreamConfig) error {
	unlimited := func(n int64) int64 {
		if n <= 0 {
			return -1
		}
		return n
	}
	size, window := setting{"max_bytes", unlimited(is.MaxBytes), int64(-1)}, setting{"duplicate_window", is.Duplicates, must.Duplicates}
	if must.MaxBytes > 0 {
		size.must = size.is
	}
	if must.Duplicates == 0 || is.Duplicates > must.Duplicates {
		window.must = window.is
	}
	mine, its := slices.Sorted(slices.Values(must.Subjects)), slices.Sorted(slices.Values(is.Subjects))
	for _, s := range []setting{
		{"subjects", strings.Join(its, ","), strings.Join(mine, ",")},
		{"retention", is.Retention.String(), must.Retention.String()},
		{"discard", is.Discard.String(), must.Discard.String()},
		{"max_age", is.MaxAge, must.MaxAge},
		{"max_msgs", unlimited(is.MaxMsgs), int64(-1)},
		size,
		{"max_msgs_per_subject", unlimited(is.MaxMsgsPerSubject), unlimited(must.MaxMsgsPerSubject)},
		{"max_msg_size", unlimited(int64(is.MaxMsgSize)), int64(-1)},
		window,
		{"allow_direct", is.AllowDirect, must.AllowDirect},
		{"allow_msg_ttl", is.AllowMsgTTL || !must.AllowMsgTTL, true},
		{"deny_delete", is.DenyDelete, false},
		{"deny_purge", is.DenyPurge, false},
		{"sealed", is.Sealed, false},
		{"no_ack", is.NoAck, false},
		{"mirror", is.Mirror != nil, false},
		{"sources", len(is.Sources), 0},
		{"subject_transform", is.SubjectTransform != nil, false},
	} {
		if s.is != s.must {
			return &StreamError{Stream: must.Name, Reason: ErrSettings, Detail: fmt.Sprintf(
				"%s is %v, and must be %v; change it with: nats stream edit %s", s.name, s.is, s.must, must.Name)}
		}
	}
	return nil
}
