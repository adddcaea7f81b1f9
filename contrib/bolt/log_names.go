package bolt

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// namedID holds the newest ID for each of a limited number of names, in memory and, see
// logPlan, in a bucket of the file.
type namedID struct {
	ids   map[string]uint64
	dirty map[string]struct{} // the names that the bucket has to change
}

// namesMax is the number of names that a namedID keeps at least. It keeps at most twice as
// many.
const namesMax = 4096

func newNamedID() namedID {
	return namedID{ids: map[string]uint64{}, dirty: map[string]struct{}{}}
}

func (n *namedID) has(name string) bool {
	_, has := n.ids[name]
	return has
}

// nameMax is the size, in bytes, of the longest name that is kept. bbolt has a limit, too.
const nameMax = maxID

// add adds a name. It returns the newest ID of the names that it forgets, or 0.
func (n *namedID) add(name string, id uint64) (forgotten uint64) {
	if len(name) > nameMax {
		return id
	}
	n.ids[name] = max(n.ids[name], id)
	n.dirty[name] = struct{}{}
	if len(n.ids) <= 2*namesMax {
		return 0
	}
	for _, name := range n.sorted()[:namesMax] {
		forgotten = n.ids[name] // IDs rise
		n.remove(name)
	}
	return forgotten
}

func (n *namedID) remove(name string) {
	if n.has(name) {
		delete(n.ids, name)
		n.dirty[name] = struct{}{}
	}
}

// sorted returns the names in the order of their IDs.
func (n *namedID) sorted() []string {
	names := make([]string, 0, len(n.ids))
	for name := range n.ids {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(n.ids[a], n.ids[b]) })
	return names
}

// nameChange is a change of a bucket: a name and its ID, or 0 if the name is removed.
type nameChange struct {
	name string
	id   uint64
}

// take returns the changes since the last call.
func (n *namedID) take() []nameChange {
	changes := make([]nameChange, 0, len(n.dirty))
	for name := range n.dirty {
		changes = append(changes, nameChange{name, n.ids[name]})
	}
	clear(n.dirty)
	return changes
}

// lossMark begins each name of lossName. Files of an earlier format have names without it: a
// prompt, a zero byte and a client. UTF-8 has no such byte.
const lossMark = 0xFF

// lossName is the name of the losses of a prompt at a client: a mark, the length of the id of
// the prompt, and both ids, which may have any bytes.
func lossName(promptID, to string) string {
	name := binary.AppendUvarint([]byte{lossMark}, uint64(len(promptID)))
	return string(append(name, promptID...)) + to
}

// splitLossName is the reverse of lossName.
func splitLossName(name string) (promptID, to string) {
	if rest, found := strings.CutPrefix(name, string([]byte{lossMark})); found {
		size, n := binary.Uvarint([]byte(rest))
		if n > 0 && size <= uint64(len(rest)-n) {
			at := n + int(size)
			return rest[n:at], rest[at:]
		}
	}
	i := strings.LastIndexByte(name, 0)
	if i < 0 {
		return name, ""
	}
	return name[:i], name[i+1:]
}
