package client_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestStrangeRecords: other servers, and nodes of others, put anything into a record. What
// can be read is read.
func TestStrangeRecords(t *testing.T) {
	text := func(s ...string) nodebus.UI { return nodebus.Text(s...) }
	for name, e := range map[string]struct {
		entry string
		state nodebus.State
		shown map[string]nodebus.UI
		err   string
	}{
		"empty":             {`{}`, nodebus.Succeeded, nil, ""},
		"no status":         {`{"outputs":{"1":{"text":["a"]}},"status":null,"meta":null}`, nodebus.Succeeded, map[string]nodebus.UI{"1": text("a")}, ""},
		"status is a text":  {`{"outputs":{"1":{"text":["a"]}},"status":"done"}`, nodebus.Succeeded, map[string]nodebus.UI{"1": text("a")}, ""},
		"error, no message": {`{"outputs":{},"status":{"status_str":"error","completed":false,"messages":[]}}`, nodebus.Failed, nil, "nodebus: the prompt failed without an error"},
		"no lists": {
			`{"outputs":{"1":{"a":"x","b":3,"c":[1],"d":null},"2":null,"3":"x"}}`, nodebus.Succeeded,
			map[string]nodebus.UI{"1": {"a": {"x"}, "b": {3.0}, "c": {1.0}, "d": nil}, "2": nil, "3": nil},
			"",
		},
		"NaN": {`{"outputs":{"1":{"a":[NaN,-Infinity,"NaN"]}},"prompt":[0,"p",{"1":{"is_changed":[NaN]}}]}`, nodebus.Succeeded, map[string]nodebus.UI{"1": {"a": {nil, nil, "NaN"}}}, ""},
		"strange error": {
			`{"outputs":{},"status":{"status_str":"error","messages":[["execution_error",{"node_id":4,"node_type":"X","exception_message":"bo\nom\n","exception_type":null,"executed":"none"}]]}}`,
			nodebus.Failed, nil, "nodebus: node 4 (X): bo\nom",
		},
		"error is a text":  {`{"status":{"status_str":"error","messages":[["execution_error","boom"],[1,2],[]]}}`, nodebus.Failed, nil, `"boom"`},
		"twin":             {`{"outputs":{"2":{"text":["a"]}},"meta":{"2":{"node_id":"1","display_node":"1","parent_node":null,"real_node_id":"1"}}}`, nodebus.Succeeded, map[string]nodebus.UI{"2": text("a")}, ""},
		"strange detail":   {`{"status":{"status_str":"success"},"nodebus":{"state":3}}`, nodebus.Succeeded, nil, ""},
		"unknown messages": {`{"status":{"status_str":"success","messages":[["later",{}],["execution_start",7]]}}`, nodebus.Succeeded, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := responder(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"p":` + e.entry + `}`))
			})
			o, err := c.Outcome(t.Context(), "p")
			require.NoError(t, err)
			require.Equal(t, e.state, o.State)
			require.Equal(t, 1, o.Attempt)
			for id, ui := range e.shown {
				require.Equal(t, ui, o.Output(id))
			}
			for _, shown := range o.Outputs {
				require.Equal(t, shown.UniqueID, shown.DisplayID)
			}
			if e.err == "" {
				require.NoError(t, o.Err())
			} else {
				require.EqualError(t, o.Err(), e.err)
			}
		})
	}
	for _, entry := range []string{`7`, `null`, `[]`, `"x"`} {
		c := responder(t, client.Options{}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"p":` + entry + `}`))
		})
		_, err := c.Outcome(t.Context(), "p")
		require.ErrorContains(t, err, "the server's answer is not the expected JSON: the record of prompt p: ", entry)
	}
}

// FuzzRecord: no answer of a server breaks the client, and each answer that is JSON gives an
// outcome or an error.
func FuzzRecord(f *testing.F) {
	for _, text := range []string{`{}`, `null`, `[]`, `{"status":{"messages":[["execution_error",{"exception_message":"x"}]]}}`, `{"outputs":{"1":{"a":[1,NaN]},"1":{}}}`} {
		f.Add(text)
	}
	eachRecorded(f, "GET", "/history/", func(_ string, r recorded) {
		var entries map[string]json.RawMessage
		require.NoError(f, json.Unmarshal(r.Response, &entries))
		for _, e := range entries {
			f.Add(string(e))
		}
	})
	var body string
	s := newSite(f, nil)
	through := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Upgrade") != "" {
			return http.DefaultTransport.RoundTrip(r)
		}
		return textResponse(r, body), nil
	})
	c := dial(f, s.URL, &client.Options{HTTPClient: &http.Client{Transport: through}})
	f.Fuzz(func(t *testing.T, entry string) {
		body = `{"p":` + entry + `}`
		one, err := c.Outcome(t.Context(), "p")
		all, listErr := c.History(t.Context(), 1)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NoError(t, listErr)
		require.NotEmpty(t, all)
		require.Equal(t, "p", one.PromptID)
		require.NotEmpty(t, one.State)
		require.GreaterOrEqual(t, one.Attempt, 1)
		if one.State == nodebus.Failed {
			require.Error(t, one.Err())
		}
		for _, shown := range one.Outputs {
			require.NotNil(t, shown.UI)
			_ = shown.UI.Files()
		}
	})
}
