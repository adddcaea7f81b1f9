package origin_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
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
		"a program, not a browser":                    {host: "127.0.0.1:8188"},
		"a page of the same host":                     {host: "127.0.0.1:8188", from: "http://127.0.0.1:8188"},
		"a page of the same host in capitals":         {host: "LOCALHOST:8188", from: "http://localhost:8188"},
		"a page of another port":                      {host: "127.0.0.1:8188", from: "http://127.0.0.1:9999", refused: true},
		"a page without a port":                       {host: "127.0.0.1:8188", from: "http://127.0.0.1"},
		"behind a proxy that drops the port":          {host: "bus.example.com", from: "https://bus.example.com:8443"},
		"a page of another host":                      {host: "127.0.0.1:8188", from: "http://evil.example", refused: true},
		"a page of another host without a port":       {host: "127.0.0.1", from: "http://evil.example", refused: true},
		"a page of a host with the same prefix":       {host: "localhost:8188", from: "http://localhost.evil.example:8188", refused: true},
		"a sandboxed page":                            {host: "127.0.0.1:8188", from: "null", refused: true},
		"a malformed origin":                          {host: "127.0.0.1:8188", from: "::::", refused: true},
		"a file":                                      {host: "127.0.0.1:8188", from: "file://", refused: true},
		"a sandboxed page that is allowed":            {policy: origin.Policy{Origins: []string{"a", "null"}}, host: "127.0.0.1:8188", from: "null"},
		"a page of the host null":                     {policy: origin.Policy{Origins: []string{"null"}}, host: "127.0.0.1:8188", from: "http://null", refused: true},
		"a sandboxed page, and all hosts":             {policy: origin.Policy{Origins: []string{"*", "nul?", "*://*"}}, host: "127.0.0.1:8188", from: "null", refused: true},
		"a file that is allowed":                      {policy: origin.Policy{Origins: []string{"file://"}}, host: "127.0.0.1:8188", from: "file://"},
		"a file of a host":                            {policy: origin.Policy{Origins: []string{"file://"}}, host: "127.0.0.1:8188", from: "file://evil.example", refused: true},
		"a file, and all hosts":                       {policy: origin.Policy{Origins: []string{"*", "file://*", "file:"}}, host: "127.0.0.1:8188", from: "file://", refused: true},
		"a file, and sandboxed pages are allowed":     {policy: origin.Policy{Origins: []string{"null"}}, host: "127.0.0.1:8188", from: "file://", refused: true},
		"a sandboxed page of a name for this machine": {policy: origin.Policy{Origins: []string{"null"}}, host: "evil.example", from: "null", local: "10.0.0.7:80", refused: true},
		"a picture in a page of another site":         {host: "127.0.0.1:8188", site: "cross-site", mode: "no-cors", refused: true},
		"a link in a page of another site":            {host: "127.0.0.1:8188", site: "cross-site", mode: "navigate"},
		"a form in a page of another site":            {method: "POST", host: "127.0.0.1:8188", site: "cross-site", mode: "navigate", refused: true},
		"a page of the same site":                     {host: "127.0.0.1:8188", site: "same-origin", mode: "cors"},
		"an allowed origin":                           {policy: app, host: "bus.example.com", from: "https://app.example.com"},
		"an allowed origin without TLS":               {policy: app, host: "bus.example.com", from: "http://app.example.com", refused: true},
		"an allowed host of any scheme":               {policy: app, host: "bus.example.com", from: "http://partner.example.org"},
		"not an allowed origin":                       {policy: app, host: "bus.example.com", from: "https://app.example.com.evil.example", refused: true},
		"a name that resolves to 127.0.0.1":           {host: "evil.example:8188", local: "127.0.0.1:8188", refused: true},
		"the page of such a host name":                {host: "evil.example:8188", from: "http://evil.example:8188", local: "[::1]:8188", refused: true},
		"localhost":                                   {host: "localhost:8188", local: "127.0.0.1:8188"},
		"a subdomain of localhost":                    {host: "app.localhost:8188", local: "127.0.0.1:8188"},
		"an address in brackets":                      {host: "[::1]:8188", local: "[::1]:8188"},
		"any name on a public IPv4 address":           {host: "bus.example.com", local: "203.0.113.1:80"},
		"any name on a public IPv6 address":           {host: "bus.example.com", local: "[2001:db8::1]:80"},
		"any name, and nothing known of the address":  {host: "bus.example.com"},
		"a listed name":                               {policy: named, host: "bus.example.com:8188", local: "127.0.0.1:8188"},
		"a listed pattern":                            {policy: named, host: "a.internal"},
		"a name that is not listed":                   {policy: named, host: "localhost", refused: true},
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

// TestNamesOfAnAddress checks under which names a server can be addressed at an address.
// Whoever owns a name can let it mean any address (DNS rebinding), so at an address that
// others cannot reach, the server takes only its own names.
func TestNamesOfAnAddress(t *testing.T) {
	machine, err := os.Hostname()
	require.NoError(t, err)
	short, _, _ := strings.Cut(machine, ".")
	listed := &origin.Policy{Hosts: []string{"bus.example.com", "*.internal"}}
	own := []string{
		"localhost", "localhost:8188", "app.localhost", "LOCALHOST.", "127.0.0.1", "192.168.1.20:8188", "[::1]:8188", "[fe80::1%25eth0]:8188", "203.0.113.9", "",
		machine, machine + ":8188", strings.ToUpper(short), short + ".local", short + ".local.:80",
	}
	foreign := []string{
		"evil.example", "evil.example:8188", "localhost.evil.example", "127.0.0.1.nip.example", "notlocalhost", "localhost:8188.evil.example",
		short + ".evil.example", "evil." + short + ".local", short + ".local.evil.example", "x" + short, "local", ".local", "0x7f.1", "127.1", "[evil.example]",
	}
	private := []string{
		"127.0.0.1:80", "127.3.2.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80",
		"10.0.0.7:80", "172.16.0.1:80", "172.17.0.2:80", "172.31.255.255:80", "192.168.1.20:80", "[::ffff:192.168.1.20]:80",
		"100.64.0.1:80", "100.127.255.255:80", "169.254.1.1:80", "[fe80::1%lo]:80", "[fd12::1]:80", "[fc00::1]:80", "[fec0::1]:80",
	}
	public := []string{"9.255.255.255:80", "11.0.0.1:80", "172.15.0.1:80", "172.32.0.1:80", "192.167.1.1:80", "100.63.0.1:80", "100.128.0.1:80", "169.253.0.1:80", "[2001:db8::1]:80", "[fb00::1]:80"}
	addresses := []net.Addr{&net.UnixAddr{Name: "/run/bus.sock", Net: "unix"}}
	for _, a := range private {
		addresses = append(addresses, tcp(t, a))
	}
	for _, a := range addresses {
		for _, host := range own {
			require.NoError(t, at(a, host).check(nil), "%s at %v", host, a)
			require.Error(t, at(a, host).check(listed), "%s at %v, with a list", host, a)
		}
		for _, host := range foreign {
			err := at(a, host).check(nil)
			require.ErrorContains(t, err, "is not a name that this server knows", "%s at %v", host, a)
			require.ErrorContains(t, err, "Options.Hosts")
			require.Error(t, at(a, host).check(listed), "%s at %v, with a list", host, a)
			require.Error(t, at(a, host, "Origin", "http://"+host).check(nil), "the page of %s at %v", host, a)
		}
		for _, host := range []string{"bus.example.com", "BUS.example.com.:8188", "a.internal"} {
			require.NoError(t, at(a, host).check(listed), "%s at %v", host, a)
			require.NoError(t, at(a, host, "Origin", "https://"+strings.ToLower(host)).check(listed), "the page of %s at %v", host, a)
		}
	}
	for _, a := range public {
		for _, host := range append(own, foreign...) {
			require.NoError(t, at(tcp(t, a), host).check(nil), "%s at %s", host, a)
			require.ErrorContains(t, at(tcp(t, a), host).check(listed), "Options.Hosts", "%s at %s", host, a)
		}
	}
}

// TestForwarded checks that what a proxy says about a request decides nothing: every
// client can say the same.
func TestForwarded(t *testing.T) {
	home, evil := tcp(t, "192.168.1.20:80"), "evil.example"
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Real-IP", "X-Forwarded-For", "Forwarded"} {
		require.NoError(t, at(home, "localhost", name, evil).check(nil), name)
		for _, value := range []string{"localhost", "127.0.0.1", "host=localhost;for=127.0.0.1"} {
			require.Error(t, at(home, evil, name, value).check(nil), name)
			require.Error(t, at(home, "localhost", "Origin", "http://"+evil, name, evil).check(nil), name)
		}
	}
}

// request is a request for a policy.
type request struct{ *http.Request }

// at returns a request that arrives at an address. headers are pairs of a name and a value.
func at(local net.Addr, host string, headers ...string) request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return request{r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))}
}

func (r request) check(p *origin.Policy) error {
	if p == nil {
		p = &origin.Policy{}
	}
	return p.Check(r.Request)
}

func tcp(t *testing.T, address string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	require.NoError(t, err)
	return a
}
