package client

import (
	"errors"
	"fmt"
	"net/url"
	"unicode/utf8"
)

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
