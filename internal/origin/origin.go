// Package origin decides whether a request comes from a page that may talk to
// this server. Browsers send requests of any page, with the user's cookies and
// from inside the user's network, so that a server must look at where they say
// they come from.
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

// Policy is what is let in beside pages of the same host. The zero value is
// nothing.
type Policy struct {
	// Origins are hosts ("app.example.com"), or origins ("https://app.example.com"),
	// of pages that may connect; * stands for any part of a name.
	Origins []string
	// Hosts are the names under which the server may be addressed, without the
	// port; * stands for any part of a name. If there are none, any name will do,
	// except that a server reached through a loopback address must be addressed
	// as localhost or by an address: a page could make its own name mean that
	// address.
	Hosts []string
}

// Check returns an error that says why r is not let in. Programs that are no
// browsers send no Origin, and are.
func (p *Policy) Check(r *http.Request) error {
	if err := p.checkHost(r); err != nil {
		return err
	}
	from := r.Header.Get("Origin")
	if from == "" {
		// Following a link is no harm: the page it is on cannot read the answer.
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

// sameHost compares two hosts, and their ports if both have one: a proxy may
// leave it out of one of them.
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
		return fmt.Errorf("this server is not called %q", host)
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil || !isLoopback(hostname(local.String())) {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "" {
		return nil
	}
	return fmt.Errorf("this server is not called %q; if it should be, list the name", host)
}

// hostname is a host without port and brackets, in lower case.
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
