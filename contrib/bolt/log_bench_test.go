package bolt_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// note is an event that no other event replaces. Its frame has about 100 bytes.
type note struct {
	Text string `json:"text"`
	N    int    `json:"n"`
}

func (note) EventType() string { return "bench.note" }

const noteText = "a line of text that a node says while it works, of usual length"

func noteEvent(n int) nodebus.Event { return about("prompt", note{noteText, n}) }

// BenchmarkLogLatency publishes one event at a time, and waits until a follower has it. Bare
// is the same bytes in a transaction of bbolt.
func BenchmarkLogLatency(b *testing.B) {
	b.Run("log", func(b *testing.B) {
		db := openBench(b, nil)
		heard := make(chan struct{}, 1)
		_, stop, err := db.Log().Follow(func(nodebus.Event) { heard <- struct{}{} })
		require.NoError(b, err)
		defer stop()
		for n := 0; b.Loop(); n++ {
			require.NoError(b, db.Log().Append(noteEvent(n)))
			<-heard
		}
	})
	b.Run("bare", func(b *testing.B) {
		db := bareFile(b)
		for n := 0; b.Loop(); n++ {
			bareCommit(b, db, n, 1)
		}
	})
}

// BenchmarkLogEvents publishes through a hub, over the log of a file and over the log in
// memory, until a follower has all events. Bare commits as many bytes in transactions of 1000
// events.
func BenchmarkLogEvents(b *testing.B) {
	for _, publishers := range []int{1, 8} {
		b.Run(fmt.Sprint("file/publishers=", publishers), func(b *testing.B) {
			publishNotes(b, openBench(b, nil).Log(), publishers)
		})
		b.Run(fmt.Sprint("memory/publishers=", publishers), func(b *testing.B) {
			publishNotes(b, nodebus.NewMemoryLog(nil), publishers)
		})
	}
	b.Run("bare", func(b *testing.B) {
		db := bareFile(b)
		b.ResetTimer()
		for n := 0; n < b.N; n += 1000 {
			bareCommit(b, db, n, 1000)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

func publishNotes(b *testing.B, l nodebus.Log, publishers int) {
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: l})
	defer hub.Close()
	left := b.N
	done := make(chan struct{})
	_, stop, err := l.Follow(func(nodebus.Event) {
		if left--; left == 0 {
			close(done)
		}
	})
	require.NoError(b, err)
	defer stop()
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for n := p; n < b.N; n += publishers {
				if err := hub.Publish(noteEvent(n)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLogOpen opens a file with 100 000 events.
func BenchmarkLogOpen(b *testing.B) {
	db := openBench(b, nil)
	for n := range 100_000 {
		require.NoError(b, db.Log().Append(noteEvent(n)))
	}
	path := db.Path()
	require.NoError(b, db.Close())
	info, err := os.Stat(path)
	require.NoError(b, err)
	before := heap()
	for b.Loop() {
		db, err := bolt.Open(path, nil)
		require.NoError(b, err)
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/100_000, "memory-B/event")
		require.NoError(b, db.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(info.Size())/100_000, "file-B/event")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func openBench(b *testing.B, opts *bolt.Options) *bolt.DB {
	db, err := bolt.Open(b.TempDir()+"/log.db", opts)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	return db
}

func bareFile(b *testing.B) *bbolt.DB {
	db, err := bbolt.Open(b.TempDir()+"/bare.db", 0o600, nil)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	require.NoError(b, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("bare"))
		return err
	}))
	return db
}

func bareCommit(b *testing.B, db *bbolt.DB, n, events int) {
	require.NoError(b, db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("bare"))
		for i := range events {
			value := bolt.Entry{PromptID: "prompt", To: "ann", Data: []byte(`{"type":"bench.note","data":{"text":"` + noteText + `","n":1}}`)}.Append(nil)
			if err := bucket.Put(binary.BigEndian.AppendUint64(nil, uint64(n+i+1)), value); err != nil {
				return err
			}
		}
		return nil
	}))
}
