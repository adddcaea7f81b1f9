package embed

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// peersPause is the time between two looks at the servers that a cluster counts.
var peersPause = 10 * time.Second

// join sets the options of a member of a cluster.
func (opts *Options) join(o *server.Options) error {
	routes := slices.DeleteFunc(slices.Clone(opts.Routes), func(r string) bool { return r == "" }) // strings.Split("", ",") has one
	if opts.Listen == "" {
		if len(routes) > 0 {
			return errors.New("embed: Options.Routes without Options.Listen: the other servers could not reach this one, which would be alone; give Listen the address of this server, such as 10.0.0.1:6222")
		}
		return nil
	}
	if opts.Name == "" {
		return errors.New("embed: Options.Listen without Options.Name: the servers of a cluster know each other by their names; give each server a name of its own, and always the same one")
	}
	host, number, err := splitAddress(opts.Listen)
	if err != nil {
		return fmt.Errorf("embed: Options.Listen must be an address such as 10.0.0.1:6222: %w", err)
	}
	if number == 0 {
		return fmt.Errorf("embed: Options.Listen must have a port that the other servers can know, such as 10.0.0.1:6222, and is %q", opts.Listen)
	}
	// A server that does not listen for clients never listens for servers. So it listens
	// at a port of this machine, with a password that only this process knows.
	o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
	o.Username, o.Password = "nodebus", rand.Text()
	o.Cluster = server.ClusterOpts{Name: orNodebus(opts.ClusterName), Host: host, Port: number}
	for _, r := range routes {
		if host, _, err := splitAddress(r); err != nil || host == "" {
			return fmt.Errorf("embed: Options.Routes must be addresses such as 10.0.0.2:6222, and one is %q: %w", r, cmp.Or(err, errors.New("the host is missing")))
		}
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: r})
	}
	return nil
}

// splitAddress reads an address: a host, which may be empty, and the number of a port.
func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	return host, int(number), err
}

// orNodebus returns a name, or the default of names.
func orNodebus(name string) string {
	if name == "" {
		return "nodebus"
	}
	return name
}

// checkRoutes returns an error if a server waits for others that it does not know. Tune may
// have added them, or another way to a cluster.
func (opts *Options) checkRoutes(o *server.Options) error {
	if opts.Listen == "" || o.Cluster.Port == 0 || len(o.LeafNode.Remotes) > 0 {
		return nil
	}
	others := routesOf(o)
	delete(others, ownAddress(o))
	if len(others) >= 2 {
		return nil
	}
	return fmt.Errorf("embed: Options.Routes names %d servers beside Options.Listen %s, and must name at least two: a cluster has three servers, or five; without Listen, the server is alone", len(others), opts.Listen)
}

// routesOf returns the addresses of the routes, each once.
func routesOf(o *server.Options) map[string]bool {
	all := map[string]bool{}
	for _, r := range o.Routes {
		all[r.Host] = true
	}
	return all
}

// ownAddress returns the address at which the other servers reach this one.
func ownAddress(o *server.Options) string {
	return net.JoinHostPort(o.Cluster.Host, strconv.Itoa(o.Cluster.Port))
}

// configured returns how many servers the options name, this one among them.
func configured(ctx context.Context, o *server.Options) int {
	all := routesOf(o)
	if all[ownAddress(o)] {
		return len(all)
	}
	var own []string
	if ip := net.ParseIP(o.Cluster.Host); o.Cluster.Host == "" || ip != nil && ip.IsUnspecified() {
		addrs, _ := net.InterfaceAddrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				own = append(own, n.IP.String())
			}
		}
	} else {
		own, _ = net.DefaultResolver.LookupHost(ctx, o.Cluster.Host)
	}
	for address := range all {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port != strconv.Itoa(o.Cluster.Port) {
			continue
		}
		ips, _ := net.DefaultResolver.LookupHost(ctx, host)
		if slices.ContainsFunc(ips, func(ip string) bool { return slices.Contains(own, ip) }) {
			return len(all)
		}
	}
	return len(all) + 1
}

// watchPeers tells the logger once if the cluster counts more servers than the options name:
// a server that has joined once counts for ever, so that more servers must run than somebody
// thinks who has given it another name.
func (s *Server) watchPeers() {
	if s.opts.Cluster.Port == 0 {
		return
	}
	want := configured(s.life, s.opts)
	tick := time.NewTicker(peersPause)
	defer tick.Stop()
	for last := 0; ; { // a server that has just joined may not be connected yet
		counted, gone := s.peers()
		if counted > want && counted == last {
			s.logger.Warn("embed: the cluster counts more servers than Options.Routes names: each that has joined once counts for ever, and more than half of all must run. A server that replaces another must have its Name. Remove those that are gone: nats server cluster peer-remove NAME, as a user of the system account",
				"counted", counted, "named", want, "not connected", gone)
			return
		}
		last = counted
		select {
		case <-tick.C:
		case <-s.life.Done():
			return
		}
	}
}

// peers returns how many servers the cluster counts, with this one, and the names of those
// that are not connected. A server whose name is not known has its id.
func (s *Server) peers() (counted int, gone []string) {
	meta, member := s.meta()
	if !member {
		return 0, nil
	}
	connected := map[string]bool{}
	if routes, err := s.s.Routez(nil); err == nil {
		for _, r := range routes.Routes {
			connected[r.RemoteName] = true
		}
	}
	for id, p := range meta.Peers {
		counted++
		if p.Name == "" {
			p.Name = id
		}
		if !connected[p.Name] {
			gone = append(gone, p.Name)
		}
	}
	slices.Sort(gone)
	return counted + 1, gone
}
