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
	"path"
	"strings"
)

// Policy lists the pages and host names that are let in, in addition to pages of
// the same host. The zero value adds nothing.
type Policy struct {
	// Origins lists the hosts ("app.example.com") or origins
	// ("https://app.example.com") whose pages may connect. * stands for any part
	// of a name.
	Origins []string
	// Hosts lists the host names under which clients may address the server,
	// without the port. * stands for any part of a name. An empty list allows any
	// name, with one exception: a request that arrives at a loopback address must
	// name localhost or an IP address. Otherwise a malicious page could point its
	// own host name at the loopback address (DNS rebinding).
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
	u, err := url.Parse(from)
	if err == nil && u.Host != "" && sameHost(u.Host, r.Host) {
		return nil
	}
	if err == nil && u.Host != "" {
		for _, allowed := range p.Origins {
			name := u.Host
			if strings.Contains(allowed, "://") {
				name = u.Scheme + "://" + u.Host
			}
			if matches(allowed, name) {
				return nil
			}
		}
	}
	return fmt.Errorf("pages of origin %q are not allowed to connect to %q", from, r.Host)
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
	if len(p.Hosts) > 0 {
		for _, allowed := range p.Hosts {
			if matches(allowed, host) {
				return nil
			}
		}
		return fmt.Errorf("host %q is not in the list of allowed hosts", host)
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil || !isLoopback(hostname(local.String())) {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" {
		return nil
	}
	return fmt.Errorf("host %q is not allowed on a loopback address; to allow it, add it to the allowed hosts", host)
}

// hostname returns the host without port and brackets, in lower case.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func matches(pattern, name string) bool {
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
	return ok && err == nil
}
