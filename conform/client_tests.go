package conform

import (
	"context"
	"testing"
)

// Client tests a client library against a scripted server over TCP. The server cuts
// connections after any byte, stalls, repeats the past of a prompt, pings and answers
// pings oddly, begins new lives with gaps, and sends types that nobody knows and frames
// that are broken. It sends what docs/wire.md promises, and nothing that the page excludes.
//
// start starts a client, and may wait until the client has received the greeting. ctx ends
// at the end of the subtest. Client calls start once for each subtest. nil claims claim
// nothing; a subtest that needs a claim is skipped.
func Client(t *testing.T, start func(ctx context.Context, s ClientStart) (ClientUnderTest, error), claims *ClientClaims) {
	if claims == nil {
		claims = &ClientClaims{}
	}
	socket := !claims.Stream
	tests := map[string]struct {
		run  bool
		test func(*testing.T, *stage)
	}{
		"connections end between frames":                {true, resumes},
		"connections end before the first event":        {true, resumesFromGreeting},
		"a line is cut after any byte":                  {true, cutAnywhere},
		"a line crawls":                                 {true, crawls},
		"a line stalls in the middle of frames":         {true, stalls},
		"a greeting comes late":                         {true, greetsLate},
		"messages come in fragments":                    {socket, fragments},
		"messages have any size":                        {true, sizes},
		"a program handles events slowly":               {true, readsSlowly},
		"a stream has comments and unknown fields":      {claims.Stream, streams},
		"everything at random":                          {true, meetsEverything},
		"a cursor of an earlier program":                {true, continues},
		"an id that the client did not choose":          {true, keepsItsID},
		"cursors are long":                              {true, opaque},
		"events without a cursor do not move it":        {true, moves},
		"the log has a new life":                        {true, newLife},
		"events are lost":                               {true, hasGap},
		"types and members are unknown":                 {true, unknownTypes},
		"frames are broken":                             {true, survivesBroken},
		"pings are answered":                            {socket, answersPings},
		"pongs come unasked":                            {socket, ignoresPongs},
		"pongs come late and out of order":              {socket, oddPongs},
		"a server becomes silent":                       {claims.Pings, noticesSilence},
		"a client is closed":                            {true, handlesClose},
		"a client is closed while the server is away":   {true, closesWhileAway},
		"a server is away for a while":                  {true, comesBack},
		"a client waits before it connects again":       {true, pacesRetries},
		"status 401 ends a client":                      {claims.Status, givesUp},
		"status 401 at the start":                       {claims.Status, neverStarts},
		"a prompt is watched":                           {claims.Watches && socket, watches},
		"a line breaks before a request is answered":    {claims.Watches && socket, watchesAgain},
		"a request is refused":                          {claims.Watches && socket, watchIsRefused},
		"a prompt is watched by a new stream":           {claims.Watches && claims.Stream, streamWatches},
		"the server is plain ComfyUI, without a cursor": {socket, plainComfyUI},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			if !c.run {
				t.Skipf("this client does not claim it, or has another transport: %s", name)
			}
			s := newStage(t, start, claims)
			if c.test(t, s); !t.Failed() {
				s.finally(t)
			}
		})
	}
}

// finally tests that the client has not yielded too much.
func (s *stage) finally(t *testing.T) {
	s.turn.Lock() // a goroutine of the test may serve the client still
	joined := s.now != nil
	s.turn.Unlock()
	if !joined || s.ended {
		return
	}
	s.auto()
	s.expect(t, "at the end", s.publish(marked(-2))...)
}
