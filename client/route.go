package client

import (
	"fmt"
	"net/url"
)

// setURLs sets the addresses of the events and of the HTTP routes.
func (c *Client) setURLs(address string) (err error) {
	if c.url, err = url.Parse(address); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if c.opts.BaseURL != "" {
		if c.base, err = url.Parse(c.opts.BaseURL); err != nil {
			return fmt.Errorf("client: Options.BaseURL: %w", err)
		}
		return nil
	}
	u := *c.url
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	// The query stays, because it may hold a token.
	c.base = u.ResolveReference(&url.URL{Path: "./", RawQuery: u.RawQuery})
	return nil
}

// route returns the URL of an HTTP route of the server, for example "history/p". Escape
// its parts with [url.PathEscape].
func (c *Client) route(path string) *url.URL { return c.base.JoinPath(path) }
