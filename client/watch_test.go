package client_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// says publishes a numbered event of a prompt of somebody else.
func says(t *testing.T, hub *nodebus.Hub, prompt string, step int) {
	t.Helper()
	require.NoError(t, hub.Publish(nodebus.Event{PromptID: prompt, To: "somebody", Payload: ticked{step}}))
}

// words reads events up to the event with the step last. It returns the events without
// the status.
func words(t *testing.T, c *client.Client, last int) (all []string) {
	t.Helper()
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		switch p := ev.Payload.(type) {
		case ticked:
			if all = append(all, fmt.Sprint(ev.PromptID, p.Step)); p.Step == last {
				return all
			}
		case nodebus.Watching:
			all = append(all, fmt.Sprint(p.PromptID, p.Watching))
		}
	}
	return all
}

func listen(t *testing.T, s *site, opts *client.Options) *client.Client {
	c := dial(t, s.URL, opts)
	client.On(c, func(nodebus.Event, ticked) {})
	return c
}

// TestWatchAnOpenClient: a client follows and leaves a prompt. Watch and Unwatch may be
// called while nobody reads, in the loop of Events and beside it.
func TestWatchAnOpenClient(t *testing.T) {
	for name, run := range map[string]func(*testing.T, *client.Client, func() error) error{
		"nobody reads": func(_ *testing.T, _ *client.Client, ask func() error) error { return ask() },
		"in the loop": func(t *testing.T, c *client.Client, ask func() error) error {
			for _, err := range c.Events(deadline(t)) {
				require.NoError(t, err)
				return ask()
			}
			return nil
		},
		"beside the loop": func(t *testing.T, c *client.Client, ask func() error) error {
			ctx, cancel := context.WithCancel(deadline(t))
			answer := make(chan error, 1)
			go func() { answer <- ask() }()
			stop := client.On(c, func(nodebus.Event, nodebus.Watching) { cancel() })
			defer stop()
			require.ErrorIs(t, c.Run(ctx), context.Canceled)
			return <-answer
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			c := listen(t, s, &client.Options{ID: "me", Retry: time.Millisecond})
			says(t, s.hub, "p", 1)
			says(t, s.hub, "p", 2)
			require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "first"}))
			require.NoError(t, run(t, c, func() error { return c.Watch(deadline(t), "p") }))
			says(t, s.hub, "p", 3)
			says(t, s.hub, "q", 4)
			got := words(t, c, 3)
			require.Contains(t, got, "p3")
			if name != "beside the loop" { // there the loop above has received the past
				require.Equal(t, []string{"p1", "p2", "ptrue", "p3"}, got)
			}
			require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "second"}))
			require.NoError(t, run(t, c, func() error { return c.Unwatch(deadline(t), "p") }))
			says(t, s.hub, "p", 5)
			require.NoError(t, s.hub.SendSync(ticked{6}, "me"))
			require.Equal(t, []string{"6"}, without(words(t, c, 6), "pfalse"))
		})
	}
}

func without(all []string, word string) (rest []string) {
	for _, w := range all {
		if w != word {
			rest = append(rest, w)
		}
	}
	return rest
}

// TestWatchIsRefused: the error says what the server says. The client continues.
func TestWatchIsRefused(t *testing.T) {
	s := newSite(t, &ws.Options{Authorize: func(*http.Request) (nodebus.Grant, error) {
		return nodebus.Grant{May: func(id string) bool { return id == "mine" }}, nil
	}})
	c := listen(t, s, &client.Options{ID: "me"})
	err := c.Watch(deadline(t), "yours")
	require.ErrorIs(t, err, nodebus.ErrForbidden)
	require.EqualError(t, err, `client: the server refused: nodebus: the client may not watch this prompt: "yours"`)
	err = c.Watch(deadline(t), "")
	require.ErrorIs(t, err, client.ErrPromptID)
	require.NotErrorIs(t, err, nodebus.ErrForbidden, "another reason")
	require.NoError(t, c.Watch(deadline(t), "mine"))
	says(t, s.hub, "yours", 1)
	says(t, s.hub, "mine", 2)
	require.Contains(t, words(t, c, 2), "mine2")
	require.NoError(t, c.Close())
	require.ErrorIs(t, c.Watch(deadline(t), "mine"), nodebus.ErrClosed)
	require.ErrorIs(t, c.Unwatch(deadline(t), "mine"), nodebus.ErrClosed)
}

// TestWatchEndsWithItsContext: the server does not know such requests.
func TestWatchEndsWithItsContext(t *testing.T) {
	c := dial(t, stock(t), &client.Options{ID: "me", Retry: -1})
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- c.Watch(ctx, "p") }()
	cancel()
	require.ErrorIs(t, <-answer, context.Canceled)
}

// TestWatchAtMost256: a connection can name no more.
func TestWatchAtMost256(t *testing.T) {
	s := newSite(t, nil)
	var ids []string
	for i := range 255 {
		ids = append(ids, fmt.Sprint("p", i))
	}
	c := listen(t, s, &client.Options{ID: "me", Watch: ids, Retry: time.Millisecond})
	require.NoError(t, c.Watch(deadline(t), "more"))
	require.NoError(t, c.Watch(deadline(t), "more"))
	require.ErrorContains(t, c.Watch(deadline(t), "too many"), "256 prompts")
	require.NoError(t, c.Unwatch(deadline(t), "p0"))
	require.NoError(t, c.Watch(deadline(t), "not too many"))
	end(t, s.hub, nodebus.ErrSlow)
	says(t, s.hub, "not too many", 7)
	require.Contains(t, words(t, c, 7), "not too many7")
}

// end ends all sessions of a hub.
func end(t *testing.T, hub *nodebus.Hub, cause error) {
	t.Helper()
	for _, s := range hub.Sessions() {
		require.True(t, hub.End(s.Name, cause))
	}
}

// TestWatchesAfterAReconnect: the client follows the same prompts after a reconnect, and
// receives each event once.
func TestWatchesAfterAReconnect(t *testing.T) {
	s := newCrossing(t, nil)
	opts, _ := retry(time.Millisecond)
	c := listen(t, s.site, opts)
	close(s.turn)
	require.NoError(t, c.Watch(deadline(t), "p"))
	require.NoError(t, c.Watch(deadline(t), "q"))
	require.NoError(t, c.Unwatch(deadline(t), "q"))
	says(t, s.hub, "p", 1)
	require.Equal(t, []string{"ptrue", "qtrue", "qfalse", "p1"}, words(t, c, 1))
	for n := 2; n < 6; n++ {
		s.all()
		says(t, s.hub, "q", -n)
		says(t, s.hub, "p", n)
		require.Equal(t, []string{fmt.Sprint("p", n)}, words(t, c, n))
	}
}

// TestWatchOverABrokenConnection: the connection breaks before the request. The request is
// sent again.
func TestWatchOverABrokenConnection(t *testing.T) {
	s := newCrossing(t, nil)
	opts, broken := retry(time.Millisecond)
	c := listen(t, s.site, opts)
	says(t, s.hub, "p", 1)
	s.all()
	answer := make(chan error, 1)
	go func() { answer <- c.Watch(deadline(t), "p") }()
	<-broken
	<-s.asked
	close(s.turn)
	require.NoError(t, <-answer)
	says(t, s.hub, "p", 2)
	require.Equal(t, []string{"p1", "ptrue", "p2"}, words(t, c, 2))
}

// TestTwoClientsWithOneID: both receive everything, and neither replaces the other.
func TestTwoClientsWithOneID(t *testing.T) {
	s := newSite(t, nil)
	var log strings.Builder
	opts := &client.Options{ID: "me", Retry: time.Millisecond, Logger: logTo(&log)}
	a, b := listen(t, s, opts), listen(t, s, &client.Options{ID: "me"})
	for n := range 3 {
		require.NoError(t, s.hub.SendSync(ticked{n}, "me"))
		require.Equal(t, []string{fmt.Sprint(n)}, words(t, a, n))
		require.Equal(t, []string{fmt.Sprint(n)}, words(t, b, n))
	}
	require.NoError(t, b.Close())
	require.NoError(t, s.hub.SendSync(ticked{3}, "me"))
	require.Equal(t, []string{"3"}, words(t, a, 3))
	require.Empty(t, log.String())
}
