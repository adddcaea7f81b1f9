//go:build e2e

package hosts

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// name is the name of the server in the configurations of docs/deploy.md.
const name = "nodes.example.com"

// proxy is a program with a configuration in docs/deploy.md.
type proxy struct {
	lang  string                                                    // of the block
	start func(t *testing.T, dir, conf string) (*exec.Cmd, string)  // returns the program and what it says when it listens
	place func(conf, address, cert, key, back string) []replacement // makes the configuration one for a test
	below func(conf, prefix string) []replacement                   // moves the server below a prefix
}

type replacement struct{ old, new string }

var proxies = map[string]proxy{
	"nginx": {
		lang: "nginx",
		start: func(t *testing.T, dir, conf string) (*exec.Cmd, string) {
			write(t, dir, "server.conf", conf)
			main := `daemon off; master_process off; pid DIR/pid; error_log stderr notice; events {}
http {
  access_log off;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  include DIR/server.conf;
}`
			path := write(t, dir, "nginx.conf", strings.ReplaceAll(main, "DIR", dir))
			return exec.Command("nginx", "-c", path, "-p", dir), "event method" // nginx listens before it chooses the method
		},
		place: func(_, address, cert, key, back string) []replacement {
			return []replacement{
				{"listen 443 ssl;", "listen " + address + " ssl;"},
				{"http://127.0.0.1:8188;", "http://" + back + ";"},
				{"/etc/ssl/nodes.pem", cert},
				{"/etc/ssl/nodes.key", key},
			}
		},
		below: func(_, prefix string) []replacement {
			return []replacement{{"location / {", "location " + prefix + "/ {"}}
		},
	},
	"caddy": {
		lang: "caddy",
		start: func(t *testing.T, dir, conf string) (*exec.Cmd, string) {
			path := write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+conf)
			cmd := exec.Command("caddy", "run", "--config", path, "--adapter", "caddyfile")
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
			return cmd, "serving initial configuration"
		},
		place: func(_, address, cert, key, back string) []replacement {
			_, port, _ := net.SplitHostPort(address)
			return []replacement{
				{name + " {\n", "https://" + name + ":" + port + " {\n\tbind 127.0.0.1\n\ttls " + cert + " " + key + "\n"}, {"127.0.0.1:8188", back},
			}
		},
		below: func(_, prefix string) []replacement {
			return []replacement{{"reverse_proxy ", "reverse_proxy " + prefix + "/* "}}
		},
	},
}

// TestProxies uses a server behind proxies with the configurations of docs/deploy.md.
func TestProxies(t *testing.T) {
	for what, p := range proxies {
		for where, prefix := range map[string]string{"root": "", "prefix": "/nodes"} {
			t.Run(what+" "+where, func(t *testing.T) {
				s := newSite(t, &comfy.Options{Hosts: []string{name}})
				back := httptest.NewServer(http.StripPrefix(prefix, s.handler))
				t.Cleanup(back.Close)
				dir, front := t.TempDir(), unused(t)
				cert, key, roots := certificate(t, dir)
				conf := block(t, p.lang)
				changes := p.place(conf, front, cert, key, back.Listener.Addr().String())
				if prefix != "" {
					changes = append(changes, p.below(conf, prefix)...)
				}
				for _, c := range changes {
					require.Equal(t, 1, strings.Count(conf, c.old), "%q in the block of docs/deploy.md", c.old)
					conf = strings.ReplaceAll(conf, c.old, c.new)
				}
				run(t, p, dir, conf)
				_, port, err := net.SplitHostPort(front)
				require.NoError(t, err)
				s.at(t, "https://"+name+":"+port+prefix, front, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}})
				s.check(t)
				s.checkNames(t)
			})
		}
	}
}

// checkNames checks that the server knows the name that the proxy passes on, and no other,
// and that the answer says what to do.
func (s *site) checkNames(t *testing.T) {
	back := httptest.NewServer(s.handler)
	defer back.Close()
	direct := &site{url: back.URL, web: s.web}
	direct.at(t, back.URL, back.Listener.Addr().String(), &http.Transport{})
	for host, want := range map[string]int{name: 200, name + ":443": 200, "evil.example": 403, "127.0.0.1": 403} {
		status, text := direct.send(t, "GET", "/history", nil, "Host", host)
		require.Equal(t, want, status, "%s: %s", host, text)
		if want == 403 {
			require.Contains(t, text, "add it to Options.Hosts")
		}
	}
}

// block returns the block of a language in docs/deploy.md.
func block(t *testing.T, lang string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "deploy.md"))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(page), "```"+lang+"\n"))
	_, text, _ := strings.Cut(string(page), "```"+lang+"\n")
	text, _, _ = strings.Cut(text, "```\n")
	return text
}

// run starts a proxy, and waits until it listens.
func run(t *testing.T, p proxy, dir, conf string) {
	t.Helper()
	cmd, listens := p.start(t, dir, conf)
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(said)
	ready := false
	for !ready && lines.Scan() {
		t.Log(lines.Text())
		ready = strings.Contains(lines.Text(), listens)
	}
	require.True(t, ready, "the proxy has ended")
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines.Scan() {
			t.Log(lines.Text())
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		_ = cmd.Wait()
	})
}

// unused returns an address at which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

func write(t *testing.T, dir, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
