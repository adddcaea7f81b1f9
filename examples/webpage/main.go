// Webpage is a program with a mux, a login and a page of its own. The page shows a graph while it runs.
//
//	go run ./examples/webpage
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/sse"
)

//go:embed page
var pages embed.FS

// Write writes a text, as a language model does: clients see each word at once.
type Write struct {
	Text, Subject string
	pause         time.Duration
}

func (n Write) Run(ctx *nodebus.Context) (string, error) {
	words, out := strings.SplitAfter(strings.ReplaceAll(n.Text, "SUBJECT", n.Subject), " "), ctx.Text("")
	for i, word := range words {
		time.Sleep(n.pause)
		if _, err := out.WriteString(word); err != nil {
			return "", err
		}
		ctx.Progress(float64(i+1), float64(len(words)))
	}
	return out.String(), nil
}

// Publish asks the user for a last line, and shows the texts. The user can also refuse.
type Publish struct{ Title, Verse, Moral string }

func (n Publish) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	line, err := nodebus.Await[string](ctx, "last line", nil)
	return nodebus.Text(n.Title, n.Verse, n.Moral, line), err
}

var sessions sync.Map // from the value of the cookie to the name of the user

func login(w http.ResponseWriter, r *http.Request) {
	passwords := map[string]string{"ada": "lovelace", "grace": "hopper"} // a real program stores hashes
	user, session := r.PostFormValue("user"), rand.Text()
	if password, ok := passwords[user]; !ok || password != r.PostFormValue("password") {
		http.Error(w, "wrong user or password", http.StatusForbidden)
		return
	}
	sessions.Store(session, user)
	http.SetCookie(w, &http.Cookie{Name: "session", Value: session, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "page/run.html", http.StatusSeeOther)
}

// authorize makes the user the client of the request. A client sees and changes only its own prompts.
func authorize(r *http.Request) (nodebus.Grant, error) {
	if cookie, err := r.Cookie("session"); err == nil {
		if user, ok := sessions.Load(cookie.Value); ok {
			return nodebus.Grant{Client: user.(string)}, nil
		}
	}
	return nodebus.Grant{}, nodebus.ErrUnauthenticated
}

func program(pause time.Duration) (*flow.Engine, http.Handler) {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Write{pause: pause}, nodebus.Info{Async: true})
	flow.Register(registry, Publish{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: flow.NewLocal(registry, &flow.LocalOptions{Cache: flow.NoCache()})})
	bus := http.StripPrefix("/bus", comfy.New(engine, &comfy.Options{Authorize: authorize}))
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler("/page/", http.StatusSeeOther))
	mux.Handle("GET /page/", http.FileServerFS(pages))
	mux.HandleFunc("POST /login", login)
	for _, route := range []string{"GET /bus/ws", "POST /bus/prompt", "POST /bus/nodebus/answer", "GET /bus/nodebus/runs/", "GET /bus/nodebus/nodebus.js"} {
		mux.Handle(route, bus)
	}
	mux.Handle("GET /bus/events", sse.New(hub, &sse.Options{Authorize: authorize})) // for lines without WebSockets
	return engine, mux
}

func main() {
	engine, handler := program(150 * time.Millisecond)
	go func() { _ = engine.Run(context.Background()) }()
	address := cmp.Or(os.Getenv("ADDRESS"), "127.0.0.1:8080")
	fmt.Printf("Open http://%s in a browser. The user is ada, the password lovelace.\n", address)
	fmt.Println(http.ListenAndServe(address, handler))
}
