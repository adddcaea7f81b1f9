package client

import (
	"fmt"
	"net/url"
	"strings"
)

// setURLs sets the addresses of the events and of the HTTP routes.
func (c *Client) setURLs(address string) (err error) {
	// An address like 127.0.0.1:8188 does not parse, and needs its scheme.
	if c.url, err = url.Parse(address); err != nil && strings.Contains(address, "://") {
		return fmt.Errorf("client: the address: %w", withoutURL(err))
	} else if err != nil {
		c.url = &url.URL{}
	}
	switch c.url.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return fmt.Errorf("client: the address %q is no URL with the scheme ws, wss, http or https", address)
	}
	if c.url.Host == "" {
		return fmt.Errorf("client: the address %q names no host", address)
	}
	if c.opts.BaseURL != "" {
		return c.setBase(c.opts.BaseURL)
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

// setBase sets the address of the HTTP routes.
func (c *Client) setBase(address string) (err error) {
	c.base, err = url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("client: Options.BaseURL: %w", err)
	case c.base.Scheme != "http" && c.base.Scheme != "https":
		return fmt.Errorf("client: Options.BaseURL: %q is no URL with the scheme http or https", address)
	case c.base.Host == "":
		return fmt.Errorf("client: Options.BaseURL: %q names no host", address)
	}
	return nil
}

// route returns the URL of an HTTP route of the server, for example "history/p". Escape
// its parts with [url.PathEscape].
func (c *Client) route(path string) *url.URL { return c.base.JoinPath(path) }
