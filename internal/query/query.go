// Package query reads the parameters of a request that opens a stream of events. The
// client chooses them, so they have limits.
package query

import (
	"fmt"
	"net/url"
	"slices"
)

const (
	// watchMax is the maximum number of prompts in a query, repetitions included.
	watchMax = 256
	// idMax is the maximum length of an id, in bytes.
	idMax = 512
)

// Watch returns the prompts that a query names with watch, each once and in
// alphabetical order. Empty ids are left out. It returns an error if the query names
// more than 256 prompts, repetitions included, or an id of more than 512 bytes.
func Watch(q url.Values) (promptIDs []string, err error) {
	asked := q["watch"]
	if len(asked) > watchMax {
		return nil, fmt.Errorf("the query names %d prompts in watch, at most %d are allowed; ask for more with nodebus.watch", len(asked), watchMax)
	}
	for _, id := range asked {
		if err := check("watch", id); err != nil {
			return nil, err
		}
		if id != "" {
			promptIDs = append(promptIDs, id)
		}
	}
	slices.Sort(promptIDs)
	return slices.Compact(promptIDs), nil
}

// ClientID returns the client's id in a query, or an empty text. It returns an error if
// the id has more than 512 bytes.
func ClientID(q url.Values) (id string, err error) {
	id = q.Get("clientId")
	return id, check("clientId", id)
}

func check(name, id string) error {
	if len(id) > idMax {
		return fmt.Errorf("%s has %d bytes, at most %d are allowed", name, len(id), idMax)
	}
	return nil
}
