package js_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/nodebus/nodebus/js"
)

// A program with a mux of its own serves the module to its pages.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("/nodebus/", js.Handler())
	server := httptest.NewServer(mux)
	defer server.Close()

	res, err := http.Get(server.URL + "/nodebus/nodebus.js")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode, res.Header.Get("Content-Type"))
	// Output: 200 text/javascript; charset=utf-8
}
