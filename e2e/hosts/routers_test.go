//go:build e2e

package hosts

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// routers return a program with a server below a prefix, which may be empty. Each has the
// middleware that programs usually have.
var routers = map[string]func(server http.Handler, prefix string) http.Handler{
	"gin": func(server http.Handler, prefix string) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		router := gin.New()
		router.Use(gin.LoggerWithWriter(io.Discard), gin.Recovery())
		router.GET("/own", func(c *gin.Context) { c.String(http.StatusOK, "own") })
		if prefix == "" {
			router.NoRoute(gin.WrapH(server))
		} else {
			router.Any(prefix+"/*path", gin.WrapH(http.StripPrefix(prefix, server)))
		}
		return router
	},
	"echo":      echoes(),
	"echo gzip": echoes(middleware.Gzip()),
	"net/http": func(server http.Handler, prefix string) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /own", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "own") })
		mux.Handle(prefix+"/", http.StripPrefix(prefix, server))
		return mux
	},
}

// echoes returns programs with echo and more middleware.
func echoes(more ...echo.MiddlewareFunc) func(server http.Handler, prefix string) http.Handler {
	return func(server http.Handler, prefix string) http.Handler {
		e := echo.New()
		e.Use(middleware.RequestLoggerWithConfig(logged), middleware.Recover(), middleware.RequestID())
		e.Use(more...)
		e.GET("/own", func(c echo.Context) error { return c.String(http.StatusOK, "own") })
		e.Any(prefix+"/*", echo.WrapHandler(http.StripPrefix(prefix, server)))
		return e
	}
}

// logged lets echo look at the status of each answer, and writes nothing.
var logged = middleware.RequestLoggerConfig{LogStatus: true, LogValuesFunc: func(echo.Context, middleware.RequestLoggerValues) error { return nil }}

// TestRouters uses a server in routers, as docs/deploy.md shows it.
func TestRouters(t *testing.T) {
	for name, router := range routers {
		for where, prefix := range map[string]string{"root": "", "prefix": "/nodes"} {
			t.Run(name+" "+where, func(t *testing.T) {
				s := newSite(t, &comfy.Options{})
				web := httptest.NewServer(router(s.handler, prefix))
				t.Cleanup(web.Close)
				s.at(t, web.URL+prefix, web.Listener.Addr().String(), &http.Transport{})
				s.check(t)
				status, text := (&site{url: web.URL, web: s.web}).send(t, "GET", "/own", nil)
				require.Equal(t, []any{200, "own"}, []any{status, text})
			})
		}
	}
}
