package client

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
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

// ErrPromptID means that a text cannot be the id of a prompt, or not for this request. The
// text of the error says why. The client has not asked the server.
var ErrPromptID = errors.New("client: not an id of a prompt")

// promptIDMax is the maximum length of an id that servers let a client watch, in bytes.
const promptIDMax = 512

// checkID returns an error if no server lets a client watch a prompt with this id.
func checkID(promptID string) error {
	switch {
	case promptID == "":
		return fmt.Errorf("%w: it is empty", ErrPromptID)
	case len(promptID) > promptIDMax:
		return fmt.Errorf("%w: it has %d bytes, and servers accept %d", ErrPromptID, len(promptID), promptIDMax)
	case !utf8.ValidString(promptID):
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrPromptID, promptID)
	}
	return nil
}

// idElement returns a prompt id as an element of a route.
func idElement(promptID string) (string, error) {
	switch {
	case promptID == "", promptID == ".", promptID == "..":
		return "", fmt.Errorf("%w: %q cannot be part of a URL", ErrPromptID, promptID)
	case !utf8.ValidString(promptID):
		return "", fmt.Errorf("%w: %q is not valid UTF-8", ErrPromptID, promptID)
	}
	return url.PathEscape(promptID), nil
}
