package diskcache

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// stagedPrefix begins the names of files that are not complete. They stay if a process
	// ends while it writes; after stagedFor nobody writes them any more.
	stagedPrefix = ".new-"
	stagedFor    = time.Hour
)

// stored is a file of the cache.
type stored struct {
	path   string
	bytes  int64
	used   time.Time
	staged bool
}

// list returns the files of the cache. It leaves out files with other names.
func (c *Cache) list() (files []stored) {
	for n := range 256 {
		prefix := hex.EncodeToString([]byte{byte(n)})
		dir := filepath.Join(c.dir, prefix)
		entries, _ := os.ReadDir(dir) // most of the folders do not exist in a small cache
		for _, e := range entries {
			staged := strings.HasPrefix(e.Name(), stagedPrefix)
			if !staged && !isName(e.Name(), prefix) {
				continue
			}
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				files = append(files, stored{filepath.Join(dir, e.Name()), info.Size(), info.ModTime(), staged})
			}
		}
	}
	return files
}

func isName(name, prefix string) bool {
	raw, err := hex.DecodeString(name)
	return err == nil && len(raw) == 32 && strings.HasPrefix(name, prefix)
}

// wrote counts a file that was written, and sweeps if it is time: when a limit is exceeded
// as far as this process knows, or when this process has written so much that others may
// have, too.
func (c *Cache) wrote(bytes int64) {
	c.mu.Lock()
	c.size.add(bytes)
	c.fresh.add(bytes)
	sweeps := !c.sweeping && c.isDue()
	c.sweeping = c.sweeping || sweeps
	c.mu.Unlock()
	if sweeps {
		c.sweep()
	}
}

// isDue reports whether it is time for a sweep. mu is held.
func (c *Cache) isDue() bool {
	return c.size.bytes > c.opts.Bytes || c.size.entries > c.opts.Entries ||
		c.fresh.bytes > c.opts.Bytes/8 || c.fresh.entries > c.opts.Entries/8+1
}

// sweep counts all files, also what other processes wrote, and removes the oldest if there
// are too many. It ends when nothing more is due; the caller has set sweeping.
func (c *Cache) sweep() {
	for due := true; due; {
		c.mu.Lock()
		c.fresh = totals{}
		c.mu.Unlock()
		size := c.removeOldest()
		c.mu.Lock()
		c.size = totals{size.bytes + c.fresh.bytes, size.entries + c.fresh.entries} // some may count twice
		due = c.isDue() && c.fresh.entries > 0
		c.sweeping = due
		c.mu.Unlock()
	}
}

// removeOldest removes files until the limits have room again, and returns what is left.
func (c *Cache) removeOldest() (size totals) {
	files := c.list()
	kept := files[:0]
	for _, f := range files {
		if f.staged && time.Since(f.used) > stagedFor {
			c.remove(f.path)
			continue
		}
		size.add(f.bytes)
		kept = append(kept, f)
	}
	if size.bytes <= c.opts.Bytes && size.entries <= c.opts.Entries {
		return size
	}
	slices.SortFunc(kept, func(a, b stored) int { return a.used.Compare(b.used) })
	for _, f := range kept {
		if size.bytes <= c.opts.Bytes-c.opts.Bytes/8 && size.entries <= c.opts.Entries-c.opts.Entries/8 {
			break
		}
		if f.staged {
			continue // another goroutine writes it
		}
		c.remove(f.path)
		size.bytes -= blocks(f.bytes)
		size.entries--
	}
	return size
}
