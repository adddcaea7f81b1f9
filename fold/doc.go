// Package fold computes the state of a run from its events: which nodes run, how far
// they are, what they show, what is asked, and how the run ended.
//
// [Run.Apply] is the reducer. It takes one event after the other, in the order in which a
// client or a subscriber of the hub receives them. A [Run] is plain data with a JSON form.
// The JSON form is a snapshot: a reader that has a snapshot needs only the later events.
// For every list of events, and for every place at which it is cut, this law holds:
//
//	the snapshot of the head, and then the tail = the whole list
//
// A server answers with a snapshot and continues with events; see the route
// /nodebus/runs of package comfy. The JavaScript client has the same reducer. Both have
// the same results for testdata/vectors.json.
package fold
