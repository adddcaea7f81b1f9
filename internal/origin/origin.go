// Package origin decides whether a request comes from a web page that may talk
// to this server. A browser sends requests for any page that the user opens,
// with the user's cookies and from inside the user's network. So a server must
// check which page sent a request.
package origin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
)

// Policy lists the pages and host names that are let in, in addition to pages of
// the same host. The zero value adds nothing.
type Policy struct {
	// Origins lists the hosts ("app.example.com") or origins
	// ("https://app.example.com") whose pages may connect. * stands for any part
	// of a name. "null" and "file://" are the origins of pages without a host; no
	// pattern matches them.
	Origins []string
	// Hosts lists the host names under which clients may address the server,
	// without the port. * stands for any part of a name.
	//
	// At an address that is not public, such as a loopback or a private address, an
	// empty list allows the names that are the server's own: IP addresses, localhost and
	// names below it, and the name of the machine. Otherwise a malicious page could point
	// its own host name at the address (DNS rebinding). At a public address, an empty list
	// allows any name: whoever owns a name can reach the server without a browser's help.
	Hosts []string
}

// Check returns nil if r is let in, or an error that says why not. Programs other
// than browsers send no Origin header; they are let in.
func (p *Policy) Check(r *http.Request) error {
	if err := p.checkHost(r); err != nil {
		return err
	}
	from := r.Header.Get("Origin")
	if from == "" {
		// Following a link is harmless: the page with the link cannot read the response.
		follows := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate"
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" && !follows {
			return fmt.Errorf("cross-site requests are not allowed")
		}
		return nil
	}
	if !p.mayConnect(from, r.Host) {
		return fmt.Errorf("pages of origin %q are not allowed to connect to %q; if you trust these pages, add their origin to Options.Origins", from, r.Host)
	}
	return nil
}

// mayConnect reports whether pages of an origin may connect to a host.
func (p *Policy) mayConnect(from, host string) bool {
	if from == "null" || from == "file://" {
		return slices.Contains(p.Origins, from)
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return false
	}
	if sameHost(u.Host, host) {
		return true
	}
	for _, allowed := range p.Origins {
		name := u.Host
		if strings.Contains(allowed, "://") {
			name = u.Scheme + "://" + u.Host
		}
		if allowed != "null" && matches(allowed, name) {
			return true
		}
	}
	return false
}

// sameHost compares two hosts. It compares the ports only if both hosts have one,
// because a proxy may drop the port from one of them.
func sameHost(a, b string) bool {
	_, _, noPortA := net.SplitHostPort(a)
	_, _, noPortB := net.SplitHostPort(b)
	if noPortA != nil || noPortB != nil {
		return hostname(a) == hostname(b)
	}
	return strings.EqualFold(a, b)
}

func (p *Policy) checkHost(r *http.Request) error {
	host := hostname(r.Host)
	for _, allowed := range p.Hosts {
		if matches(allowed, host) {
			return nil
		}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if len(p.Hosts) == 0 && (isOwn(host) || !isPrivate(local)) {
		return nil
	}
	return fmt.Errorf("host %q is not a name that this server knows; if it is a name of the server, add it to Options.Hosts, without a port", host)
}

// isOwn reports whether a host name is a name of every server, or of this machine. Nobody
// else can give such a name an address.
func isOwn(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	return slices.Contains(machine(), host)
}

// machine returns the names of the machine: the name that the system has, its first part,
// and the name of that part in the local network.
var machine = sync.OnceValue(func() []string {
	name, err := os.Hostname()
	if name = strings.ToLower(name); err != nil || name == "" {
		return nil
	}
	short, _, _ := strings.Cut(name, ".")
	return []string{name, short, short + ".local"}
})

// isPrivate reports whether an address, at which a request has arrived, is not public. A
// Unix socket is not. An unknown address counts as public.
func isPrivate(local net.Addr) bool {
	if local == nil {
		return false
	}
	if local.Network() == "unix" {
		return true
	}
	addr, err := netip.ParseAddr(hostname(local.String()))
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || slices.ContainsFunc(alsoPrivate, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// alsoPrivate lists blocks of addresses that are not public, and that package netip does
// not know: those behind the address translation of a provider, and the local addresses
// that IPv6 had first.
var alsoPrivate = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fec0::/10")}

// hostname returns the host without port and brackets, in lower case.
func hostname(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || strings.Trim(port, "0123456789") != "" {
		host = strings.Trim(hostport, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func matches(pattern, name string) bool {
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
	return ok && err == nil
}
