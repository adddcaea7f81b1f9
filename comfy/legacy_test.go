package comfy_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// TestLegacyBroadcasts: all clients receive the progress text of all prompts. If a
// prompt has no client, all clients also receive the events that ComfyUI sends to
// all, before the status that follows the end of the prompt. No event comes twice.
func TestLegacyBroadcasts(t *testing.T) {
	const graph = `{"1":{"class_type":"RefSendText","inputs":{"value":1,"text":"a"}},
		"2":{"class_type":"RefProgressHook","inputs":{"value":["1",0],"steps":1,"preview":"none","delay":0}},
		"3":{"class_type":"RefOutput","inputs":{"value":["2",0]}}}`
	for name, c := range map[string]struct {
		legacy    bool
		ofSomeone []string // events of another client's prompt
		ofNobody  []string // events of a prompt without a client
	}{
		"off": {},
		"on":  {true, []string{"binary 3"}, []string{"binary 3", "progress"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, &comfy.Options{LegacyBroadcasts: c.legacy})
			me, other := h.connect("me"), h.connect("other")
			me.next()
			other.next()
			h.submit("me", graph)
			mine := me.until("executing <nil>")
			require.Equal(t, []string{"binary 3", "progress"}, without(mine, "status", "progress_state", "execut"))
			if !slices.Contains(mine, "status 0") { // otherwise it would be taken for the end of the next prompt
				me.until("status 0")
			}
			require.Equal(t, c.ofSomeone, without(other.until("status 0"), "status"))
			h.engine.Free()
			require.Equal(t, http.StatusOK, h.post("/prompt", `{"prompt":`+graph+`}`).status)
			for _, s := range []*socket{me, other} {
				require.Equal(t, c.ofNobody, without(s.until("status 0"), "status", "progress_state"))
			}
		})
	}
}
