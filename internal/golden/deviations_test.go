package golden_test

import (
	"slices"
	"strings"
)

// deviation is a difference from the reference that is wanted.
type deviation struct {
	where mode
	trace string // "" is every one
	// ref is where it is decided: Q is a known weakness of the reference, X a
	// section of the execution semantics, P of the protocol, H of the routes, and
	// C a requirement of clients.
	ref  string
	why  string
	edit edit
}

// edit makes of what was recorded what is expected here.
type edit func(*transcript)

// deviations is all of them, in the order in which they are applied.
var deviations = []deviation{
	{isolated, "", "Q4", "of a prompt without a client only watchers are told, not everyone", toWatchers},
	{anywhere, "interrupt_async", "Q19", "an interrupt ends an asynchronous node at once, not with the next node", interruptedAtOnce},
	{anywhere, "list_empty", "X8", "an empty list is no call at all, not a failure", noCalls("add", "o")},
	{anywhere, "list_empty_single", "X8", "an empty list is no call at all, not a failure", noCalls("o")},
	{anywhere, "", "Q29", "the last snapshot of a prompt that fails shows the node that did, and none that runs", lastSnapshots},
	{anywhere, "expansion_cycle", "Q31", "a ring made at run time makes the prompt fail, in the record too", ringFails("x.0.0.2", "x.0.0.3")},
	{anywhere, "validation_cycle", "Q31", "nodes in a ring are told so", ringErrors("2", "1")},
	{anywhere, "validation_self_cycle", "Q31", "nodes in a ring are told so", ringErrors("1")},
	{anywhere, "validation_link_numeric_id", "X5", "a broken link is told in words", brokenLink(0, "1", "input value links to [1, 0], which is not [node id, output number]")},
	{anywhere, "validation_link_to_missing_node", "X5", "a broken link is told in words", brokenLink(0, "'99'", "input value links to node '99', which does not exist")},
	{anywhere, "validation_link_to_missing_node", "X5", "a broken link is told in words", brokenLink(1, "'99'", "input a links to node '99', which does not exist")},
	{anywhere, "zz_worker_death_undeclared_link", "Q23", "a link to nowhere in an undeclared input is refused", rejected(0, linkRefused)},
	{anywhere, "validation_value_not_in_list", "X4.2", "a choice of the newer kind is checked too", rejected(2, choiceRefused)},
	{anywhere, "queue_duplicate_number_and_id", "Q21", "an id in use is refused", refuseDuplicate},
	{core, "queue_duplicate_number_and_id", "Q21", "an id in use is refused", conflict("", "nodebus: prompt id is in use")},
	{served, "queue_duplicate_number_and_id", "Q21", "an id in use is refused", conflict(jsonType, parse(`{"error": "prompt_id already exists", "node_errors": {}}`))},
	{served, "", "H3.1", "listings say when a prompt was submitted, as those of 0.8 do", created},
	{served, "", "H5.1", "classes are of no module of Python's", module},
	{served, "", "H5.1", "an input without options has an empty object of them", withOptions},
	{served, "", "H5.1", "what classes say to people is our own", ownWords},
	{served, "http_misc", "C8", "clients read every refusal as JSON", answers(10, 400, `{"error": "this is the address of a WebSocket"}`)},
	{served, "http_misc", "C8", "clients read every refusal as JSON", answers(24, 403, `{"error": "pages of origin \"http://elsewhere.example\" are not allowed to connect to \"127.0.0.1:8188\""}`)},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(13, "invalid_json", "The request is not the JSON it should be", "invalid character 'n' looking for beginning of object key string")},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(14, "invalid_json", "The request is not the JSON it should be", "unexpected end of JSON input")},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(17, "invalid_json", "The prompt is not a JSON object of nodes", "not a JSON object")},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(19, "invalid_number", "number is not a number", `"abc"`)},
	{served, "http_misc", "H5.2", "another program runs on another machine", ownSystem},
	{served, "http_misc", "H5.2", "the command line is told to nobody: there may be secrets in it", noCommandLine},
	{served, "http_misc", "H5.2", "folders of models are in the order of their names", sortedModels},
	{served, "reconnect_old_still_open", "Q2", "a new connection of a client closes the older one", closesOlder},
	{served, "reconnect_old_still_open", "Q5", "the node that runs is told with its prompt", ofPrompt},
	{served, "reconnect_old_still_open", "Q1", "who comes back is told what has happened to its prompt so far", soFar},
	{served, "reconnect_old_still_open", "Q2", "the end of the older connection does not touch the newer one", goesOn},
	{anywhere, "fully_cached", "Q28", "an output is recorded as that of the node itself, not of an equal one", ownMeta("z")},
	{anywhere, "partial_execution", "X10", "what is cached and not asked for is not in the record", notRecorded("o1")},
	{anywhere, "progress_hook_preview_metadata", "Q15", "a preview that names its node follows the step it belongs to", previewAfterStep},
	{anywhere, "progress_api_preview_legacy", "Q15", "clients that do not know previews of type 4 are sent those of type 1", barePreviews},
	{anywhere, "progress_api", "P5.6", "there is one way to report a step, and it is told in both forms", stepsToo},
	{anywhere, "progress_api_preview_legacy", "P5.6", "there is one way to report a step, and it is told in both forms", stepsToo},
	{anywhere, "progress_api_preview_metadata", "P5.6", "there is one way to report a step, and it is told in both forms", stepsToo},
}

// skip is a kind of log entry that is neither replayed nor compared.
type skip struct {
	where mode
	why   string
	what  func(*trace, *entry) bool
}

// skipped is what belongs to a server for HTTP and WebSocket, which the
// core is not.
var skipped = []skip{
	{anywhere, "a remark, not an event", func(_ *trace, e *entry) bool { return e.Kind == "mark" }},
	{core, "how a socket is closed is the transport's", func(_ *trace, e *entry) bool { return e.Kind == "ws_close_frame" }},
	{core, "the first frame of a connection, with the client's id, is the transport's", func(_ *trace, e *entry) bool {
		return e.JSON.Type == "status" && e.JSON.Data["sid"] != nil
	}},
	{core, "the answer to feature flags is the transport's", func(_ *trace, e *entry) bool {
		return e.Kind == "ws_text" && e.JSON.Type == "feature_flags"
	}},
	{core, "what a second connection of the same client does to the first is the server's", func(tr *trace, e *entry) bool {
		return tr.Name == "reconnect_old_still_open" && slices.Contains([]string{"ws_open", "ws_text", "ws_close"}, e.Kind)
	}},
	{core, "which part of the history is asked for is in the query", func(_ *trace, e *entry) bool {
		return strings.HasPrefix(e.Path, "/history?")
	}},
}

func (tr *trace) skips(m mode, e *entry) bool {
	return slices.ContainsFunc(skipped, func(s skip) bool { return s.where&m != 0 && s.what(tr, e) })
}

// matches counts the entries that a skip is about.
func matches(traces []*trace, s skip) (n int) {
	for _, tr := range traces {
		for i := range tr.Log {
			if s.what(tr, &tr.Log[i]) {
				n++
			}
		}
	}
	return n
}
