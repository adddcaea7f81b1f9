package comfy_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNewest1_NumericClientID: a client id that is a number is its text, in the body and in
// extra_data. The client receives its events.
func TestNewest1_NumericClientID(t *testing.T) {
	for name, body := range map[string]string{
		"7":                       `"client_id":7`,
		"-1":                      `"client_id": -1 `,
		"0":                       `"client_id":0,"extra_data":{"client_id":"other"}`,
		"1.50":                    `"client_id":1.50`,
		"8":                       `"extra_data":{"client_id":8}`,
		"9":                       `"client_id":null,"extra_data":{"client_id":9}`,
		"text":                    `"client_id":"text","extra_data":{"client_id":10}`,
		"1e3":                     `"extra_data":{"client_id":1e3}`,
		"12345678901234567890123": `"client_id":12345678901234567890123`,
	} {
		h := newHost(t, nil)
		s := h.connect(name)
		a := h.post("/prompt", `{`+body+`,"prompt":`+quick+`}`)
		require.Equal(t, 200, a.status, a.body)
		require.Contains(t, s.until("executing <nil>"), "execution_success", name)
		s.close()
		id := at(t, a.json(t), "prompt_id").(string)
		require.Equal(t, name, at(t, h.get("/history/"+id), id, "prompt", 3, "client_id"))
	}
}

func TestNewest1_ClientIDOfAnotherType(t *testing.T) {
	h := newHost(t, nil)
	for _, id := range []string{`true`, `{}`, `["me"]`, `NaN`, `1e999`} {
		a := h.post("/prompt", `{"client_id":`+id+`,"prompt":`+quick+`}`)
		require.Equal(t, 400, a.status)
		require.JSONEq(t, `{"error":{"type":"invalid_client_id","message":"client_id is not an id","details":"client_id must be a string","extra_info":{}},"node_errors":{}}`, a.body)
		a = h.post("/prompt", `{"extra_data":{"client_id":`+id+`},"prompt":`+quick+`}`)
		require.Equal(t, 200, a.status, "extra_data is opaque, as in ComfyUI")
	}
}
