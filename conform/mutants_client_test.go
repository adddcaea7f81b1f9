package conform_test

import (
	"testing"

	"github.com/nodebus/nodebus/conform"
)

var smallClaims = conform.ClientClaims{Status: true, Watches: true, Pings: true}

func TestClient(t *testing.T) {
	claims := smallClaims
	conform.Client(t, startSmall(false, ""), &claims)
}

func TestClientOfStreams(t *testing.T) {
	claims := smallClaims
	claims.Stream = true
	conform.Client(t, startSmall(true, ""), &claims)
}

// clientMutant returns a test of a client with a fault.
func clientMutant(stream bool, fault string) func(*testing.T) {
	return func(t *testing.T) {
		claims := smallClaims
		claims.Stream = stream
		conform.Client(t, startSmall(stream, fault), &claims)
	}
}

// socketFaults are faults of a client, and what the suite must report.
var socketFaults = map[string]string{
	"ignores cursors":             `comes back with since=""`,
	"wants no cursors":            "does not ask for the envelope",
	"forgets binary cursors":      "although it has yielded the later cursor",
	"compares cursors":            "although it has yielded the later cursor",
	"clears its cursor":           `comes back with since=""`,
	"has no cursor before events": "want the cursor of the greeting",
	"forgets its id":              `the client "tester" comes back as`,
	"forgets its sid":             `the client "made-by-the-server" comes back as ""`,
	"doubles some":                "its cursor is",
	"swallows gaps":               "events_are_lost",
	"drops unknown types":         "types_and_members_are_unknown",
	"dies on broken frames":       "given up",
	"never reconnects":            "given up instead of connecting again",
	"gives up after 503":          "given up instead of connecting again",
	"tries again after 401":       "after status 401: the client connects",
	"does not wait":               "the client has made 6 attempts in",
	"connects when closed":        "client connects",
	"never closes":                "after Close: Next does not end",
	"has no mask":                 "a frame has no mask",
	"answers no pings":            "does not answer the ping",
	"answers pings emptily":       "does not answer the ping",
	"hates pongs":                 "instead of answering the ping",
	"knows no fragments":          "messages_come_in_fragments",
	"knows no long frames":        "messages_have_any_size",
	"waits for ever":              "after the silence",
	"asks once":                   "does not ask for the prompt",
	"watches once":                "does not ask for the prompt",
	"watches the newest":          `does not ask for the prompt "other"`,
	"forgets the query":           "it lacks the query of the URL",
	"knows no attempts":           "its attempt is 0, want 2",
	"invents times":               "its time is",
	"hides refusals":              "although the server has refused",
}

// streamFaults are the same for Server-Sent Events.
var streamFaults = map[string]string{
	"ignores cursors":       `comes back with since=""`,
	"takes half frames":     "after half a block",
	"knows no comments":     "a_stream_has_comments",
	"watches the newest":    `does not ask for the prompt "first"`,
	"forgets the query":     "it lacks the query of the URL",
	"knows no attempts":     "its attempt is 0, want 2",
	"invents times":         "its time is",
	"tries again after 401": "after status 401: the client connects",
}

// clientMutants are clients with one fault each.
func clientMutants() map[string]found {
	all := map[string]found{}
	for fault, want := range socketFaults {
		all["client: "+fault] = found{want, clientMutant(false, fault)}
	}
	for fault, want := range streamFaults {
		all["client of streams: "+fault] = found{want, clientMutant(true, fault)}
	}
	return all
}
