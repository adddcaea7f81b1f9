package golden_test

import (
	"slices"
	"strings"
)

// deviation is a difference from the reference that is wanted.
type deviation struct {
	trace string // "" is every one
	ref   string // where it is decided: Q is a known weakness of the reference, X a section of the execution semantics, P of the protocol
	why   string
	edit  edit
}

// edit makes of what was recorded what is expected here.
type edit func(*transcript)

// deviations is all of them, in the order in which they are applied.
var deviations = []deviation{
	{"", "Q4", "of a prompt without a client only watchers are told, not everyone", toWatchers},
	{"interrupt_async", "Q19", "an interrupt ends an asynchronous node at once, not with the next node", interruptedAtOnce},
	{"list_empty", "X8", "an empty list is no call at all, not a failure", noCalls("add", "o")},
	{"list_empty_single", "X8", "an empty list is no call at all, not a failure", noCalls("o")},
	{"", "Q29", "the last snapshot of a prompt that fails shows the node that did, and none that runs", lastSnapshots},
	{"expansion_cycle", "Q31", "a ring made at run time makes the prompt fail, in the record too", ringFails("x.0.0.2", "x.0.0.3")},
	{"validation_cycle", "Q31", "nodes in a ring are told so", ringErrors("2", "1")},
	{"validation_self_cycle", "Q31", "nodes in a ring are told so", ringErrors("1")},
	{"validation_link_numeric_id", "X5", "a broken link is told in words", brokenLink(0, "1", "input value links to [1, 0], which is not [node id, output number]")},
	{"validation_link_to_missing_node", "X5", "a broken link is told in words", brokenLink(0, "'99'", "input value links to node '99', which does not exist")},
	{"validation_link_to_missing_node", "X5", "a broken link is told in words", brokenLink(1, "'99'", "input a links to node '99', which does not exist")},
	{"zz_worker_death_undeclared_link", "Q23", "a link to nowhere in an undeclared input is refused", rejected(0, linkRefused)},
	{"validation_value_not_in_list", "X4.2", "a choice of the newer kind is checked too", rejected(2, choiceRefused)},
	{"queue_duplicate_number_and_id", "Q21", "an id in use is refused", refuseDuplicate},
	{"fully_cached", "Q28", "an output is recorded as that of the node itself, not of an equal one", ownMeta("z")},
	{"partial_execution", "X10", "what is cached and not asked for is not in the record", notRecorded("o1")},
	{"progress_hook_preview_metadata", "Q15", "a preview that names its node follows the step it belongs to", previewAfterStep},
	{"progress_api_preview_legacy", "Q15", "clients that do not know previews of type 4 are sent those of type 1", barePreviews},
	{"progress_api", "P5.6", "there is one way to report a step, and it is told in both forms", stepsToo},
	{"progress_api_preview_legacy", "P5.6", "there is one way to report a step, and it is told in both forms", stepsToo},
	{"progress_api_preview_metadata", "P5.6", "there is one way to report a step, and it is told in both forms", stepsToo},
}

// skip is a kind of log entry that is neither replayed nor compared.
type skip struct {
	why  string
	what func(*trace, *entry) bool
}

// skipped is what belongs to a server for HTTP and WebSocket, which the
// core is not.
var skipped = []skip{
	{"a remark, not an event", func(_ *trace, e *entry) bool { return e.Kind == "mark" }},
	{"how a socket is closed is the transport's", func(_ *trace, e *entry) bool { return e.Kind == "ws_close_frame" }},
	{"the first frame of a connection, with the client's id, is the transport's", func(_ *trace, e *entry) bool {
		return e.JSON.Type == "status" && e.JSON.Data["sid"] != nil
	}},
	{"the answer to feature flags is the transport's", func(_ *trace, e *entry) bool {
		return e.Kind == "ws_text" && e.JSON.Type == "feature_flags"
	}},
	{"what a second connection of the same client does to the first is the server's", func(tr *trace, e *entry) bool {
		return tr.Name == "reconnect_old_still_open" && slices.Contains([]string{"ws_open", "ws_text", "ws_close"}, e.Kind)
	}},
	{"which part of the history is asked for is in the query", func(_ *trace, e *entry) bool {
		return strings.HasPrefix(e.Path, "/history?")
	}},
}

func (tr *trace) skips(e *entry) bool {
	return slices.ContainsFunc(skipped, func(s skip) bool { return s.what(tr, e) })
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
