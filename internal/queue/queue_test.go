package queue_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodebus/nodebus/internal/queue"
	"github.com/stretchr/testify/require"
)

// item has its letter as key, or no key if the letter is 0.
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

// model is a simple queue with the same behaviour.
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

// FuzzQueue compares the queue with the model. The first byte is the maximum
// length; each pair of bytes after it is one operation.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{24, 1, 1, 2, 2, 1, 1, 255, 0})
	f.Add([]byte("xaabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzzaabbccdd\xff\x05\xff\xffabab"))
	for seed := range uint64(20) { // long enough to compact the slots many times
		ops := make([]byte, 1+4000)
		rnd := rand.New(rand.NewPCG(seed, 1))
		for i := range ops {
			ops[i] = byte(rnd.Uint32())
		}
		for i := 1; i < len(ops); i += 2 { // at first, few operations take items out
			if i < 2000 && rnd.IntN(10) > 0 {
				ops[i] %= 200
			}
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) == 0 {
			return
		}
		maxLen := int(ops[0])
		q, m := newQueue(maxLen, 40*maxLen), &model{maxLen: maxLen, maxBytes: 40 * maxLen}
		for n := 1; n+1 < len(ops); n += 2 {
			op, arg := ops[n], ops[n+1]
			switch {
			case op >= 250: // take several items
				k := min(int(arg), len(m.items))
				require.Equal(t, append([]item{}, m.items[:k]...), q.Take([]item{}, int(arg)))
				m.items = m.items[k:]
			case op >= 200:
				v, ok := q.Pop()
				require.Equal(t, len(m.items) > 0, ok)
				if ok {
					require.Equal(t, m.items[0], v)
					m.items = m.items[1:]
				}
			default: // half of the items have no key
				v := item{letter: max(op%60, 30) - 30, n: n + 1, size: int(arg) / 3}
				require.Equal(t, m.push(v), q.Push(v))
			}
			same(t, m, q)
		}
	})
}

func same(t *testing.T, m *model, q *queue.Queue[byte, item]) {
	t.Helper()
	v, ok := q.Peek()
	require.Equal(t, len(m.items) > 0, ok)
	if ok {
		require.Equal(t, m.items[0], v)
	}
	require.Equal(t, len(m.items), q.Len())
	require.Equal(t, m.bytes(), q.Bytes())
	if got := slices.Collect(q.All()); !slices.Equal(m.items, got) { // require.Equal for each step is slow
		require.Equal(t, m.items, got)
	}
}

func TestReadingMayStopEarly(t *testing.T) {
	q := newQueue(10, 1000)
	for n := range 3 {
		require.True(t, q.Push(item{0, n + 1, 1}))
	}
	for v := range q.All() {
		require.Equal(t, 1, v.n)
		break
	}
	require.Equal(t, 3, q.Len())
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
