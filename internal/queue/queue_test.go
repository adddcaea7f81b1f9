package queue_test

import (
	"slices"
	"testing"

	"github.com/nodebus/nodebus/internal/queue"
	"github.com/stretchr/testify/require"
)

// item is keyed by its letter unless that is 0.
type item struct {
	letter byte
	n      int
	size   int
}

func (i item) Key() (byte, bool) { return i.letter, i.letter != 0 }
func (i item) Size() int         { return i.size }

func newQueue(maxLen, maxBytes int) *queue.Queue[byte, item] {
	return &queue.Queue[byte, item]{MaxLen: maxLen, MaxBytes: maxBytes}
}

// model is the same thing, naively.
type model struct {
	maxLen, maxBytes int
	items            []item
}

func (m *model) bytes() (n int) {
	for _, i := range m.items {
		n += i.size
	}
	return n
}

func (m *model) push(v item) bool {
	was := slices.Clone(m.items)
	if v.letter != 0 {
		m.items = slices.DeleteFunc(m.items, func(i item) bool { return i.letter == v.letter })
	}
	m.items = append(m.items, v)
	if len(m.items) > m.maxLen || m.bytes() > m.maxBytes && len(m.items) > 1 {
		m.items = was
		return false
	}
	return true
}

// FuzzQueue holds the queue against the model: two bytes are one operation.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{1, 1, 2, 2, 1, 1, 255, 0})
	f.Add([]byte("aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzzaabbccdd\xff\x05\xff\xffabab"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		q, m := newQueue(24, 900), &model{maxLen: 24, maxBytes: 900}
		for n := 0; n+1 < len(ops); n += 2 {
			op, arg := ops[n], ops[n+1]
			if op >= 200 { // take some
				k := min(int(arg), len(m.items))
				require.Equal(t, append([]item{}, m.items[:k]...), q.Take([]item{}, int(arg)))
				m.items = m.items[k:]
			} else {
				v := item{letter: op % 20, n: n + 1, size: int(arg)}
				require.Equal(t, m.push(v), q.Push(v))
			}
			if v, ok := q.Peek(); ok {
				require.Equal(t, m.items[0], v)
			}
			require.Equal(t, len(m.items), q.Len())
			require.Equal(t, m.bytes(), q.Bytes())
			require.Equal(t, append([]item{}, m.items...), append([]item{}, slices.Collect(q.All())...))
		}
	})
}

func TestNewerReplacesOlderAndGoesToTheTail(t *testing.T) {
	q := newQueue(10, 1000)
	for n, l := range []byte{'a', 0, 'b', 'a'} {
		require.True(t, q.Push(item{l, n + 1, 1}))
	}
	require.Equal(t, []item{{0, 2, 1}, {'b', 3, 1}, {'a', 4, 1}}, q.Take(nil, 10))
	require.Zero(t, q.Len())
}

func TestFullQueueStillMerges(t *testing.T) {
	q := newQueue(2, 1000)
	require.True(t, q.Push(item{'a', 0, 1}))
	require.True(t, q.Push(item{0, 1, 1}))
	require.False(t, q.Push(item{0, 2, 1}))
	require.True(t, q.Push(item{'a', 3, 1}))
	require.Equal(t, []item{{0, 1, 1}, {'a', 3, 1}}, q.Take(nil, 10))
}

func TestOneItemMayExceedTheBytes(t *testing.T) {
	q := newQueue(5, 100)
	require.True(t, q.Push(item{0, 0, 500}))
	require.False(t, q.Push(item{0, 1, 1}))
}

func TestTwentyNodesOf1024EventsRemainTwenty(t *testing.T) {
	q := newQueue(1024, 1<<20)
	for n := range 1024 {
		require.True(t, q.Push(item{byte(n%20) + 1, n, 100}))
	}
	require.Equal(t, 20, q.Len())
	require.Equal(t, 1004, q.Take(nil, 1)[0].n)
}

func BenchmarkPush(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		q := newQueue(1<<62, 1<<62)
		buf := make([]item, 0, 256)
		for b.Loop() {
			for n := range 256 {
				q.Push(item{0, n + 1, 1})
			}
			buf = q.Take(buf[:0], 256)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/item")
	})
	b.Run("keyed", func(b *testing.B) {
		q := newQueue(1<<62, 1<<62)
		buf := make([]item, 0, 256)
		for b.Loop() {
			for n := range 256 {
				q.Push(item{byte(n%20) + 1, n, 1})
			}
			buf = q.Take(buf[:0], 256)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/item")
	})
}
