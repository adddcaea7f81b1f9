package comfy

import (
	"errors"
	"net/http"
	"path"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/info"
	"github.com/nodebus/nodebus/comfy/internal/submit"
	"github.com/nodebus/nodebus/comfy/internal/terminal"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/crowd"
	"github.com/nodebus/nodebus/internal/intake"
	"github.com/nodebus/nodebus/internal/origin"
	"github.com/nodebus/nodebus/internal/query"
)

// Server is an [http.Handler] that serves all routes. It is safe for concurrent
// use. Use [New] to make a Server.
type Server struct {
	engine *flow.Engine
	hub    *nodebus.Hub
	opts   Options
	policy origin.Policy
	mux    *http.ServeMux

	clients  clients
	notices  notices
	submit   *submit.Submitter
	info     *info.Info
	terminal *terminal.Terminal
}

// New returns a server for an engine, the engine's hub and the engine's registry.
// Nil opts are the defaults. New starts no goroutine, and it does not run the
// engine: call [flow.Engine.Run]. Call [Server.Close] at the end.
func New(engine *flow.Engine, opts *Options) *Server {
	s := &Server{engine: engine, hub: engine.Hub(), opts: opts.withDefaults(), mux: http.NewServeMux()}
	s.policy = origin.Policy{Origins: s.opts.Origins, Hosts: s.opts.Hosts}
	s.clients.init(crowd.New(s.opts.MaxPerClient, s.opts.MaxConnections))
	s.info = &info.Info{
		Registry: engine.Registry(), Version: s.opts.Version, MaxBody: s.opts.MaxBody, Extra: s.opts.Features, Logger: s.opts.Logger,
	}
	s.submit = &submit.Submitter{
		Engine: engine, Logger: s.opts.Logger, MaxPrompt: s.opts.MaxPrompt, MaxNodes: s.opts.MaxNodes, HeadStart: s.headStart,
	}
	s.terminal = terminal.New(s.hub, s.opts.Logs.shown(), s.clients.present)
	s.routes()
	return s
}

// Close closes the WebSockets of all clients, and ends the requests that follow a run. It
// waits until no goroutine of the server runs any more. After Close, the server accepts no
// WebSocket and no request that follows a run; it still answers other requests. Close does
// not close the hub. To let clients receive all that was published, call
// [nodebus.Hub.Close] first. Close always returns nil, and it may be called several times.
func (s *Server) Close() error {
	for _, c := range s.clients.close() {
		c.session.Close(nodebus.ErrClosed)
	}
	s.terminal.Close()
	s.clients.serving.Wait()
	return nil
}

// ServeHTTP checks the origin, the host and the grant of a request, and then
// calls the handler of its route. If a handler panics, the answer has status 500
// and the Logger receives the panic.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := nodebus.Protect(func() error {
		s.serveHTTP(w, r)
		return nil
	})
	if err == nil {
		return
	}
	if errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	if p := (*nodebus.PanicError)(nil); errors.As(err, &p) {
		s.opts.Logger.Error("request failed", "path", r.URL.Path, "panic", p.Value, "stack", p.Stack)
	}
	web.Fail(w, http.StatusInternalServerError, "internal error")
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	r, packed := intake.Open(w, r, intake.Limits{Bytes: s.opts.MaxBody, Wait: s.opts.ReadTimeout})
	if err := s.policy.Check(r); err != nil {
		s.notices.warn(s.opts.Logger, r.URL.Path, err.Error())
		web.Fail(w, http.StatusForbidden, err.Error())
		return
	}
	s.allowOrigin(w, r)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return
	}
	r = withSemicolons(r)
	if s.opts.Authorize != nil {
		grant, err := s.opts.Authorize(r)
		if err != nil {
			web.Fail(w, query.RefusalStatus(err), err.Error())
			return
		}
		r = web.WithGrant(r, grant)
	}
	if packed != nil {
		web.Unread(w, packed)
		return
	}
	r = withSlashes(r)
	if !isClean(r.URL.EscapedPath()) { // the mux would redirect the client to another path
		web.Fail(w, http.StatusNotFound, "the path contains an empty, . or .. element")
		return
	}
	cacheHeaders(w, r)
	s.mux.ServeHTTP(w, r)
}

// withSemicolons escapes the semicolons in the query, so that they become part of
// the values. Front ends send preview=webp;90, but Go drops a query parameter that
// contains a semicolon.
func withSemicolons(r *http.Request) *http.Request {
	if !strings.Contains(r.URL.RawQuery, ";") {
		return r
	}
	u := *r.URL
	u.RawQuery = strings.ReplaceAll(u.RawQuery, ";", "%3B")
	r = r.WithContext(r.Context())
	r.URL = &u
	return r
}

// withSlashes escapes the slashes of the name of a class if two follow each other, as in
// "Seed //Inspire": such a path would be refused. A client that escapes them needs no help.
func withSlashes(r *http.Request) *http.Request {
	p := r.URL.EscapedPath()
	for _, route := range []string{"/object_info/", "/api/object_info/", "/docs/"} {
		rest, is := strings.CutPrefix(p, route)
		if !is || !strings.Contains(rest, "//") || !isClean(route+strings.Join(strings.FieldsFunc(rest, isSlash), "/")) {
			continue
		}
		u := *r.URL
		u.RawPath = route + strings.ReplaceAll(rest, "/", "%2F")
		r = r.WithContext(r.Context())
		r.URL = &u
	}
	return r
}

func isSlash(r rune) bool { return r == '/' }

// isClean reports whether a path has no empty, . or .. element.
func isClean(p string) bool {
	return p == "/" || path.Clean(p) == strings.TrimSuffix(p, "/")
}

// allowOrigin sets the CORS headers, so that a page of another origin can read the
// answer. The policy must have accepted the origin before.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) {
	from := r.Header.Get("Origin")
	if from == "" || len(s.opts.Origins) == 0 {
		return
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", from)
	h.Set("Access-Control-Allow-Methods", "POST, GET, DELETE, PUT, OPTIONS, PATCH")
	h.Set("Access-Control-Allow-Headers", "Content-Type, Content-Encoding, Authorization, Comfy-User")
	h.Set("Access-Control-Expose-Headers", "Location") // of a run
	h.Set("Access-Control-Allow-Credentials", "true")
}

// cacheHeaders makes browsers revalidate scripts and pages, so that they do not
// use an old front end.
func cacheHeaders(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	name := p[strings.LastIndexByte(p, '/')+1:]
	if name == "" || strings.HasSuffix(name, ".js") || strings.HasSuffix(name, ".css") ||
		strings.HasPrefix(name, "index") && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".html")) {
		w.Header().Set("Cache-Control", "no-cache")
	}
}
