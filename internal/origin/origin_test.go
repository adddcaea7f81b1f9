package origin_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/nodebus/nodebus/internal/origin"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	app := origin.Policy{Origins: []string{"https://*.example.com", "partner.example.org"}}
	named := origin.Policy{Hosts: []string{"bus.example.com", "*.internal"}}
	for name, c := range map[string]struct {
		policy             origin.Policy
		method, host, from string
		site, mode         string // Sec-Fetch-…
		local              string // the local address at which the request arrived
		refused            bool
	}{
		"a program, not a browser":                {host: "127.0.0.1:8188"},
		"a page of the same host":                 {host: "127.0.0.1:8188", from: "http://127.0.0.1:8188"},
		"a page of the same host in capitals":     {host: "LOCALHOST:8188", from: "http://localhost:8188"},
		"a page of another port":                  {host: "127.0.0.1:8188", from: "http://127.0.0.1:9999", refused: true},
		"a page without a port":                   {host: "127.0.0.1:8188", from: "http://127.0.0.1"},
		"behind a proxy that drops the port":      {host: "bus.example.com", from: "https://bus.example.com:8443"},
		"a page of another host":                  {host: "127.0.0.1:8188", from: "http://evil.example", refused: true},
		"a page of another host without a port":   {host: "127.0.0.1", from: "http://evil.example", refused: true},
		"a page of a host with the same prefix":   {host: "localhost:8188", from: "http://localhost.evil.example:8188", refused: true},
		"a sandboxed page":                        {host: "127.0.0.1:8188", from: "null", refused: true},
		"a malformed origin":                      {host: "127.0.0.1:8188", from: "::::", refused: true},
		"a file":                                  {host: "127.0.0.1:8188", from: "file://", refused: true},
		"a picture in a page of another site":     {host: "127.0.0.1:8188", site: "cross-site", mode: "no-cors", refused: true},
		"a link in a page of another site":        {host: "127.0.0.1:8188", site: "cross-site", mode: "navigate"},
		"a form in a page of another site":        {method: "POST", host: "127.0.0.1:8188", site: "cross-site", mode: "navigate", refused: true},
		"a page of the same site":                 {host: "127.0.0.1:8188", site: "same-origin", mode: "cors"},
		"an allowed origin":                       {policy: app, host: "bus.example.com", from: "https://app.example.com"},
		"an allowed origin without TLS":           {policy: app, host: "bus.example.com", from: "http://app.example.com", refused: true},
		"an allowed host of any scheme":           {policy: app, host: "bus.example.com", from: "http://partner.example.org"},
		"not an allowed origin":                   {policy: app, host: "bus.example.com", from: "https://app.example.com.evil.example", refused: true},
		"a name that resolves to 127.0.0.1":       {host: "evil.example:8188", local: "127.0.0.1:8188", refused: true},
		"the page of such a host name":            {host: "evil.example:8188", from: "http://evil.example:8188", local: "[::1]:8188", refused: true},
		"localhost":                               {host: "localhost:8188", local: "127.0.0.1:8188"},
		"a subdomain of localhost":                {host: "app.localhost:8188", local: "127.0.0.1:8188"},
		"an address in brackets":                  {host: "[::1]:8188", local: "[::1]:8188"},
		"any name on a non-loopback IPv4 address": {host: "bus.example.com", local: "192.0.2.1:80"},
		"a listed name":                           {policy: named, host: "bus.example.com:8188", local: "127.0.0.1:8188"},
		"a listed pattern":                        {policy: named, host: "a.internal"},
		"a name that is not listed":               {policy: named, host: "localhost", refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			r := httptest.NewRequest(method, "/", nil)
			r.Host = c.host
			for k, v := range map[string]string{"Origin": c.from, "Sec-Fetch-Site": c.site, "Sec-Fetch-Mode": c.mode} {
				if v != "" {
					r.Header.Set(k, v)
				}
			}
			if c.local != "" {
				addr, err := net.ResolveTCPAddr("tcp", c.local)
				require.NoError(t, err)
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
			}
			if err := c.policy.Check(r); c.refused {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}
