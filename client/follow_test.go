package client_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestFollowYieldsCustomEvents: an event belongs to a prompt if its envelope or its data
// says so, whatever its type.
func TestFollowYieldsCustomEvents(t *testing.T) {
	c, on, _ := greeted(t, nil)
	client.On(c, func(nodebus.Event, ticked) {})
	for _, m := range []string{
		`{"type":"n","data":"in the envelope","prompt_id":"p"}`,
		`{"type":"n","data":{"says":"in the data","prompt_id":"p"}}`,
		`{"type":"n","data":{"says":"the envelope wins","prompt_id":"p"},"prompt_id":"q"}`,
		`{"type":"n","data":{"says":"of another prompt","prompt_id":"q"}}`,
		`{"type":"n","data":{"says":"of no prompt"}}`,
		`{"type":"n","data":{"says":"a number","prompt_id":1}}`,
		`{"type":"n","data":[{"prompt_id":"p"}]}`,
		`{"type":"n","data":{"deep":{"prompt_id":"p"}}}`,
		`{"type":"test.ticked","data":{"step":1,"prompt_id":"p"}}`,
		`{"type":"nodebus.text","data":{"node_id":"1","prompt_id":"p","name":"","offset":0,"piece":"x"}}`,
		`{"type":"execution_error","data":{"prompt_id":"p","exception_type":"ExecutionBlocked"}}`,
		`{"type":"nodebus.gap","data":{"since":1,"next":2}}`,
		`{"type":"executing","data":{"node":null,"prompt_id":"q"}}`,
		`{"type":"executing","data":{"node":null}}`,
		`{"type":"executing","data":{"node":null,"prompt_id":"p"}}`,
	} {
		on.says(t, "%s", m)
	}
	require.Equal(t, []string{
		`"in the envelope"`, `{"says":"in the data","prompt_id":"p"}`, "test.ticked", "nodebus.text", "execution_error",
		"gap 1 to 2", "executing",
	}, followed(t, c, "p"))
}

// bubbled runs a test with a script in a bubble.
func bubbled(t *testing.T, opts client.Options, cursor string, test func(t *testing.T, c *client.Client, on *scripted, s *script)) {
	t.Helper()
	s := &script{}
	onPipes(t, func(*nodebus.Hub) http.Handler {
		s.accepted = make(chan *scripted, 10)
		return s.handler()
	}, func(t *testing.T, p *pipes) {
		var on *scripted
		go func() {
			on = <-s.accepted
			on.greets(t, cursor)
		}()
		c := p.dial(t, opts)
		test(t, c, on, s)
		require.NoError(t, c.Close())
		synctest.Wait()
	})
}

// history answers the route of the history, and counts the requests. The prompts in ended
// have ended, those in queued wait or run.
func history(asked *atomic.Int32, ended, queued string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/history/"):
			asked.Add(1)
			if id := strings.TrimPrefix(r.URL.Path, "/history/"); id == ended {
				fmt.Fprintf(w, `{%q:{"outputs":{}}}`, id)
				return
			}
			fmt.Fprint(w, `{}`)
		case r.URL.Path == "/queue":
			fmt.Fprintf(w, `{"queue_running":[[1,%q,{},{},[]]],"queue_pending":[]}`, queued)
		default:
			http.NotFound(w, r)
		}
	}
}

// TestFollowAPromptThatHasEnded: Follow ends without an error. With ComfyUI, it waits a
// moment for events that are on their way.
func TestFollowAPromptThatHasEnded(t *testing.T) {
	for name, k := range map[string]struct {
		says []time.Duration // when the server says something of the prompt
		ends time.Duration
	}{
		"nothing is on its way":    {nil, 2 * time.Second},
		"one event":                {[]time.Duration{0}, 2 * time.Second},
		"some events on their way": {[]time.Duration{time.Second, 2500 * time.Millisecond, 4 * time.Second}, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubbled(t, client.Options{PingInterval: -1}, "", func(t *testing.T, c *client.Client, on *scripted, s *script) {
				var asked atomic.Int32
				s.serve(history(&asked, "p", "q"))
				began := time.Now()
				go func() {
					for i, at := range k.says {
						time.Sleep(at - time.Since(began))
						on.says(t, `{"type":"n","data":%d,"prompt_id":"p"}`, i)
					}
				}()
				n := 0
				for _, err := range c.Follow(t.Context(), "p") {
					require.NoError(t, err)
					n++
				}
				require.Equal(t, len(k.says), n)
				require.Equal(t, k.ends, time.Since(began))
				require.EqualValues(t, 1, asked.Load())
			})
		})
	}
}

// TestFollowAnEndedPromptOfNodebus: the server says when no event follows. Nobody else sees
// its answer.
func TestFollowAnEndedPromptOfNodebus(t *testing.T) {
	bubbled(t, client.Options{PingInterval: -1}, "e-7", func(t *testing.T, c *client.Client, on *scripted, s *script) {
		var asked atomic.Int32
		s.serve(history(&asked, "p", "q"))
		var heard []string
		c.OnType("", func(ev nodebus.Event) { heard = append(heard, ev.Payload.EventType()) })
		began := time.Now()
		go func() {
			id := regexp.MustCompile(`"prompt_id":"(nodebus\.client-[^"]*)"`).FindStringSubmatch(<-on.heard)[1]
			time.Sleep(10 * time.Second)
			on.says(t, `{"type":"n","data":1,"prompt_id":"p","cursor":"e-8"}`)
			on.says(t, `{"type":"nodebus.watching","data":{"prompt_id":%q,"watching":false}}`, id)
		}()
		require.Equal(t, []string{"1"}, followed(t, c, "p"))
		require.Equal(t, 12*time.Second, time.Since(began), "the closing event may come after the answer")
		readTo(t, c, on)
		require.Equal(t, []string{"n", "mark"}, heard)
	})
}

// TestFollowToTheClosingEvent: the server lists the prompt as ended, and answers, before it
// sends the closing event. If Follow has no event of the prompt, it does not wait.
func TestFollowToTheClosingEvent(t *testing.T) {
	for name, late := range map[string]bool{"events have come": true, "none has come": false} {
		t.Run(name, func(t *testing.T) {
			bubbled(t, client.Options{PingInterval: -1}, "e-7", func(t *testing.T, c *client.Client, on *scripted, s *script) {
				var asked atomic.Int32
				s.serve(history(&asked, "p", "q"))
				began := time.Now()
				go func() {
					id := regexp.MustCompile(`"prompt_id":"(nodebus\.client-[^"]*)"`).FindStringSubmatch(<-on.heard)[1]
					if late {
						on.says(t, `{"type":"execution_success","data":{"prompt_id":"p"},"cursor":"e-8"}`)
					}
					on.says(t, `{"type":"nodebus.watching","data":{"prompt_id":%q,"watching":false}}`, id)
					if late {
						time.Sleep(time.Second)
						on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"},"cursor":"e-9"}`)
					}
				}()
				if late {
					require.Equal(t, []string{"execution_success", "executing"}, followed(t, c, "p"))
					require.Equal(t, time.Second, time.Since(began))
				} else {
					require.Empty(t, followed(t, c, "p"))
					require.Zero(t, time.Since(began))
				}
			})
		})
	}
}

// TestFollowAPromptThatHasNotEnded: the prompt runs again, the history does not know it, or
// the server has no such route, or it answers late or never.
func TestFollowAPromptThatHasNotEnded(t *testing.T) {
	var asked atomic.Int32
	for name, answer := range map[string]http.HandlerFunc{
		"runs again": history(&asked, "p", "p"),
		"unknown":    history(&asked, "q", "q"),
		"no route":   http.NotFound,
		"fails":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"never":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			bubbled(t, client.Options{PingInterval: -1}, "", func(t *testing.T, c *client.Client, on *scripted, s *script) {
				s.serve(answer)
				go func() {
					time.Sleep(time.Hour)
					on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"}}`)
				}()
				var got []string
				for ev, err := range c.Follow(t.Context(), "p") {
					require.NoError(t, err)
					got = append(got, ev.Payload.EventType())
				}
				require.Equal(t, []string{"executing"}, got)
			})
		})
	}
}

// TestFollowAsksAgain: after a Gap, and after a reconnect to a server without cursors,
// Follow asks whether the prompt has ended meanwhile.
func TestFollowAsksAgain(t *testing.T) {
	for name, k := range map[string]struct {
		cursor string
		breaks bool
		ends   bool
	}{
		"gap":                          {"", false, true},
		"reconnect without cursors":    {"", true, true},
		"reconnect with cursors":       {"e-1", true, false},
		"gap of a server with cursors": {"e-1", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubbled(t, client.Options{PingInterval: -1}, k.cursor, func(t *testing.T, c *client.Client, on *scripted, s *script) {
				var asked atomic.Int32
				s.serve(history(&asked, "nothing", "q"))
				c.Keep("p") // so that the first Follow need not ask
				go func() {
					time.Sleep(time.Minute)
					if asked.Load() != 0 {
						t.Error("it asks without a reason")
					}
					s.serve(history(&asked, "p", "q"))
					if k.breaks {
						_ = on.CloseNow()
						on = <-s.accepted
						on.greets(t, k.cursor)
					} else {
						on.says(t, `{"type":"nodebus.gap","data":{"since":1,"next":2}}`)
					}
					if k.ends && k.cursor != "" {
						id := regexp.MustCompile(`"prompt_id":"([^"]*)"`).FindStringSubmatch(<-on.heard)[1]
						on.says(t, `{"type":"nodebus.watching","data":{"prompt_id":%q,"watching":false}}`, id)
					}
					if !k.ends {
						time.Sleep(time.Hour)
						on.says(t, `{"type":"executing","data":{"node":null,"prompt_id":"p"}}`)
					}
				}()
				var got []string
				for ev, err := range c.Follow(t.Context(), "p") {
					require.NoError(t, err)
					got = append(got, ev.Payload.EventType())
				}
				switch {
				case !k.ends:
					require.Equal(t, []string{"executing"}, got)
					require.Zero(t, asked.Load())
				default:
					require.Equal(t, []string{"nodebus.gap"}, got)
					require.EqualValues(t, 1, asked.Load())
				}
			})
		})
	}
}

// TestFollowIsToldByARealServer: prompts that have ended, over both kinds of links.
func TestFollowIsToldByARealServer(t *testing.T) {
	h := newHost(t, nil)
	c := dial(t, h.URL+"/ws", nil)
	id := submit(t, c, node("Say"))
	_, err := c.Wait(deadline(t), id)
	require.NoError(t, err)
	other := dial(t, h.URL+"/ws", nil)
	require.NotEmpty(t, followed(t, c, id))
	for range 3 {
		require.Empty(t, followed(t, c, id))
		require.Empty(t, followed(t, other, id))
	}
	require.NoError(t, other.Watch(deadline(t), id))
	got := followed(t, other, id)
	require.Equal(t, "execution_start", got[0])
	require.Equal(t, "executing", got[len(got)-1])
}
