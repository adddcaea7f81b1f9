package golden_test

import (
	"slices"
	"strings"
)

// deviation is an intended difference from the reference server.
type deviation struct {
	where mode
	trace string // the name of the trace; "" means all traces
	// ref names the place of the decision. Q is a known weakness of the
	// reference. X is a section of the execution semantics, P of the protocol,
	// H of the routes. C is a requirement of clients. N is a section of what versions after
	// the recorded one do differently.
	ref  string
	why  string
	edit edit
}

// edit changes a recorded transcript into the transcript that is expected here.
type edit func(*transcript)

// deviations lists all deviations in the order in which they are applied.
var deviations = []deviation{
	{isolated, "", "Q4", "messages about a prompt without a client go only to watchers, not to everyone", toWatchers},
	{anywhere, "interrupt_async", "Q19", "an interrupt ends an asynchronous node at once, not with the next node", interruptedAtOnce},
	{anywhere, "list_empty", "X8", "an empty list means that there is no call; it is not a failure", noCalls("add", "o")},
	{anywhere, "list_empty_single", "X8", "an empty list means that there is no call; it is not a failure", noCalls("o")},
	{anywhere, "", "Q29", "the last snapshot of a failed prompt shows the failed node, and no running nodes", lastSnapshots},
	{anywhere, "expansion_cycle", "Q31", "a ring that appears at run time makes the prompt fail, also in the record", ringFails("x.0.0.2", "x.0.0.3")},
	{anywhere, "validation_cycle", "Q31", "each node in a ring gets an error", ringErrors("2", "1")},
	{anywhere, "validation_self_cycle", "Q31", "each node in a ring gets an error", ringErrors("1")},
	{anywhere, "validation_link_numeric_id", "X5", "a broken link is described in words", brokenLink(0, "1", "input value links to [1, 0], which is not [node id, output number]")},
	{anywhere, "validation_link_to_missing_node", "X5", "a broken link is described in words", brokenLink(0, "'99'", "input value links to node '99', which does not exist")},
	{anywhere, "validation_link_to_missing_node", "X5", "a broken link is described in words", brokenLink(1, "'99'", "input a links to node '99', which does not exist")},
	{anywhere, "zz_worker_death_undeclared_link", "Q23", "a link to a missing node is refused in an undeclared input, too", rejected(0, linkRefused)},
	{anywhere, "validation_value_not_in_list", "X4.2", "a choice of the newer kind is checked too", rejected(2, choiceRefused)},
	{anywhere, "validation_missing_class_type", "N1", "the error of a node without a class has the type and the extra data by which the front end marks the node", missingType(parse(noClass))},
	{anywhere, "validation_invalid_node_type", "N1", "the error of an unknown class has the type and the extra data by which the front end marks the node", missingType(parse(noSuchClass))},
	{anywhere, "queue_duplicate_number_and_id", "Q21", "a prompt id in use is refused", refuseDuplicate},
	{core, "queue_duplicate_number_and_id", "Q21", "an id in use is refused", conflict("", `nodebus: prompt id is in use: the prompt waits or runs; choose another id: prompt "dup"`)},
	{served, "queue_duplicate_number_and_id", "Q21", "an id in use is refused", conflict(jsonType, parse(`{"error": "prompt_id already exists", "details": "a prompt \"dup\" waits, runs or has ended; if it is this prompt, submitted before, then it was accepted; otherwise leave prompt_id out, and the server makes an id, or choose another id", "node_errors": {}}`))},
	{served, "", "H3.1", "listings contain the time of submission, as in ComfyUI 0.8", created},
	{served, "", "N6", "the server announces that it has node replacements, and no manager of custom nodes", newerFlags},
	{served, "", "N4", "classes say more about themselves", newerFields},
	{served, "", "H5.1", "classes do not come from a Python module", module},
	{served, "", "H5.1", "an input without options has an empty options object", withOptions},
	{served, "", "H5.1", "descriptions and tooltips are our own", ownWords},
	{served, "http_misc", "C8", "clients read every refusal as JSON", answers(10, 400, `{"error": "this address accepts only WebSocket connections"}`)},
	{served, "http_misc", "C8", "clients read every refusal as JSON", answers(24, 403, `{"error": "pages of origin \"http://elsewhere.example\" are not allowed to connect to \"127.0.0.1:8188\"; if you trust these pages, add their origin to Options.Origins"}`)},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(13, "invalid_json", "The request is not the JSON it should be", "invalid character 'n' looking for beginning of object key string, at line 1, column 2")},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(14, "invalid_json", "The request is not the JSON it should be", "unexpected end of JSON input, at line 1, column 1")},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(17, "invalid_json", "The prompt is not a JSON object of nodes", "not a JSON object")},
	{served, "http_misc", "H1", "malformed JSON is refused, and no failure", refuses(19, "invalid_number", "number is not a number", `"abc"`)},
	{served, "http_misc", "H5.2", "this is another program on another machine", ownSystem},
	{served, "http_misc", "N10", "the system says which packages it needs, none, and how it was deployed", newerSystem},
	{served, "http_misc", "H5.2", "the command line is hidden: it may contain secrets", noCommandLine},
	{served, "http_misc", "H5.2", "model folders are sorted by name", sortedModels},
	{served, "reconnect_old_still_open", "Q5", "the message about the running node names its prompt", ofPrompt},
	{served, "reconnect_old_still_open", "Q1", "a client that reconnects receives the events of its prompt so far", soFar},
	{served, "reconnect_old_still_open", "Q2", "several connections of a client all receive everything", bothHear},
	{served, "reconnect_old_still_open", "Q2", "the end of the older connection does not affect the newer connection", goesOn},
	{anywhere, "fully_cached", "Q28", "an output is recorded under its own node, not under an equal node", ownMeta("z")},
	{anywhere, "partial_execution", "X10", "a cached node that the prompt did not request is not in the record", notRecorded("o1")},
	{anywhere, "progress_hook_preview_metadata", "Q15", "a preview with metadata follows its step", previewAfterStep},
	{anywhere, "progress_api_preview_legacy", "Q15", "clients without support for previews of type 4 receive previews of type 1", barePreviews},
	{anywhere, "progress_api", "P5.6", "there is one way to report a step, and it is published in both forms", stepsToo},
	{anywhere, "progress_api_preview_legacy", "P5.6", "there is one way to report a step, and it is published in both forms", stepsToo},
	{anywhere, "progress_api_preview_metadata", "P5.6", "there is one way to report a step, and it is published in both forms", stepsToo},
}

// skip selects log entries that are neither replayed nor compared.
type skip struct {
	where mode
	why   string
	what  func(*trace, *entry) bool
}

// skipped lists the entries that are skipped. Most of them need a server with HTTP
// and WebSocket, and mode core has no server.
var skipped = []skip{
	{anywhere, "a remark, not an event", func(_ *trace, e *entry) bool { return e.Kind == "mark" }},
	{core, "closing a socket is the job of the transport", func(_ *trace, e *entry) bool { return e.Kind == "ws_close_frame" }},
	{core, "the first frame of a connection, with the client's id, comes from the server", func(_ *trace, e *entry) bool {
		return e.JSON.Type == "status" && e.JSON.Data["sid"] != nil
	}},
	{core, "the reply to feature flags comes from the server", func(_ *trace, e *entry) bool {
		return e.Kind == "ws_text" && e.JSON.Type == "feature_flags"
	}},
	{core, "the server decides what a second connection of a client receives first", func(tr *trace, e *entry) bool {
		return tr.Name == "reconnect_old_still_open" && slices.Contains([]string{"ws_open", "ws_text", "ws_close"}, e.Kind)
	}},
	{core, "mode core has no URL query to select a part of the history", func(_ *trace, e *entry) bool {
		return strings.HasPrefix(e.Path, "/history?")
	}},
}

func (tr *trace) skips(m mode, e *entry) bool {
	return slices.ContainsFunc(skipped, func(s skip) bool { return s.where&m != 0 && s.what(tr, e) })
}

// matches counts the entries that a skip selects.
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
