package nats_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// TestStreamSettings changes settings of the streams, as an operator may do, and opens the
// bus again.
func TestStreamSettings(t *testing.T) {
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		part   string
		change func(*jetstream.StreamConfig)
		want   string // no error if empty
	}{
		"events expire":             {"LOG", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "max_age is 1h0m0s, and must be 0s"},
		"a number of events":        {"LOG", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }, "max_msgs is 10, and must be -1"},
		"events per subject":        {"LOG", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 10 }, "max_msgs_per_subject is 10, and must be -1"},
		"a full log refuses":        {"LOG", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew }, "discard is DiscardNew, and must be DiscardOld"},
		"small messages":            {"LOG", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }, "max_msg_size is 100, and must be -1"},
		"a short memory":            {"LOG", func(c *jetstream.StreamConfig) { c.Duplicates = time.Second }, "duplicate_window is 1s, and must be 2m0s"},
		"another subject":           {"LOG", func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, c.Name+".mine") }, "_LOG.mine, and must be T"},
		"prompts drop others":       {"QUEUE", func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }, "max_bytes is 1048576, and must be -1"},
		"two states":                {"QUEUE", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 2 }, "max_msgs_per_subject is 2, and must be 1"},
		"replicas answer":           {"QUEUE", func(c *jetstream.StreamConfig) { c.AllowDirect = true }, "allow_direct is true, and must be false"},
		"records expire":            {"STORE", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "max_age is 1h0m0s, and must be 0s"},
		"signals are republished":   {"SIGNALS", func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{Source: ">", Destination: "x.>"} }, ""},
		"the log is larger":         {"LOG", func(c *jetstream.StreamConfig) { c.MaxBytes = 128 << 20 }, ""},
		"the log is compressed":     {"LOG", func(c *jetstream.StreamConfig) { c.Compression = jetstream.S2Compression }, ""},
		"the log has a description": {"LOG", func(c *jetstream.StreamConfig) { c.Description = "of ours" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName(), LogBytes: 64 << 20}
			require.NoError(t, open(t, shared, opts).Close())
			stream, err := js.Stream(t.Context(), opts.Name+"_"+c.part)
			require.NoError(t, err)
			cfg := stream.CachedInfo().Config
			c.change(&cfg)
			_, err = js.UpdateStream(t.Context(), cfg)
			require.NoError(t, err)
			if c.want == "" {
				open(t, shared, opts)
				return
			}
			opts.Logger = quiet
			_, err = nats.Open(t.Context(), connect(t, shared), &opts)
			require.ErrorIs(t, err, nats.ErrSettings)
			require.ErrorContains(t, err, opts.Name+"_"+c.part)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "nats stream edit "+opts.Name+"_"+c.part)
		})
	}
}

// TestOpenSaysThatLogBytesDiffer opens the same bus with another size.
func TestOpenSaysThatLogBytesDiffer(t *testing.T) {
	name := newName()
	open(t, shared, nats.Options{Name: name, LogBytes: 32 << 20})
	var text strings.Builder
	bus := open(t, shared, nats.Options{Name: name, LogBytes: 64 << 20, Logger: loggerTo(&text)})
	require.NoError(t, bus.Close())
	require.Contains(t, text.String(), "another size than Options.LogBytes")
	require.Contains(t, text.String(), "bytes=33554432 wanted=67108864")
	text.Reset()
	bus, err := nats.Open(t.Context(), connect(t, shared), &nats.Options{Name: name, Logger: loggerTo(&text)})
	require.NoError(t, err)
	require.NoError(t, bus.Close())
	require.Empty(t, text.String(), "whoever asks for nothing is told nothing")
}

// TestLittleRoom opens buses in accounts that have less than the log reserves.
func TestLittleRoom(t *testing.T) {
	wants := map[string][2]string{ // the limits of an account, and the error
		"less":   {"{max_file: 100M}", "lower Options.LogBytes"},
		"stream": {"{max_file: 2G, store_max_stream_bytes: 100M}", "lower Options.LogBytes"},
		"sized":  {"{max_file: 2G, max_bytes_required: true}", "max_bytes_required"},
		"few":    {"{max_file: 2G, max_streams: 2}", "four streams"},
	}
	var text strings.Builder
	dir := t.TempDir()
	fmt.Fprintf(&text, "jetstream {store_dir: %q, max_file: 20G}\naccounts {\nSYS {users: [{user: sys, password: x}]}\n", dir)
	for name, c := range wants {
		fmt.Fprintf(&text, "%s {jetstream: %s, users: [{user: %s, password: x}]}\n", strings.ToUpper(name), c[0], name)
	}
	text.WriteString("}\nsystem_account: SYS\n")
	path := filepath.Join(t.TempDir(), "conf")
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
	conf, err := server.ProcessConfigFile(path)
	require.NoError(t, err)
	conf.DontListen, conf.NoSigs = true, true
	s, err := server.NewServer(conf)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	for name, c := range wants {
		t.Run(name, func(t *testing.T) {
			nc, err := nats.Connect("", natsgo.InProcessServer(s), natsgo.UserInfo(name, "x"))
			require.NoError(t, err)
			defer nc.Close()
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			_, err = nats.Open(ctx, nc, &nats.Options{Logger: quiet})
			require.ErrorContains(t, err, c[1])
			require.NoError(t, ctx.Err(), "more patience would not help")
			var wrong *nats.StreamError
			require.ErrorAs(t, err, &wrong)
		})
	}
}
