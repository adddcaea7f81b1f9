package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// bbolt trusts the pages of its file: it maps them into memory and follows their numbers.
// A wrong number can end the process, for example because a page points at itself. So Open
// looks at all numbers before bbolt does. It reads with ReadAt, which cannot fault.

// The layout of bbolt's pages. The byte order is the byte order of the machine.
const (
	headerLen   = 16 // page: id 8, flags 2, count 2, overflow 4
	elementLen  = 16 // in branches: pos 4, ksize 4, id 8; in leaves: flags 4, pos 4, ksize 4, vsize 4
	bucketLen   = 16 // a bucket in a leaf: root 8, sequence 8; a page follows if root is 0
	metaLen     = 64 // the last 8 bytes are a checksum
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	noFreelist = ^uint64(0)
)

var order = binary.NativeEndian

// meta is the head of the file: bbolt has two, and uses the newer valid head.
type meta struct {
	pageSize                    int64
	root, freelist, pages, txid uint64
}

// errNoBolt means that a file has no head at all.
var errNoBolt = errors.New("it does not begin like one")

// readMeta reads the newer valid head.
func readMeta(f io.ReaderAt) (best meta, err error) {
	err = errNoBolt
	found := false
	try := func(at int64) {
		buf := make([]byte, headerLen+metaLen)
		if n, _ := f.ReadAt(buf, at); n < len(buf) {
			return
		}
		b := buf[headerLen:]
		if order.Uint32(b) != metaMagic {
			return
		}
		if !found {
			err = errors.New("its head is wrong")
		}
		h := fnv.New64a()
		_, _ = h.Write(b[:metaLen-8])
		size := int64(order.Uint32(b[8:]))
		if order.Uint32(b[4:]) != metaVersion || order.Uint64(b[metaLen-8:]) != h.Sum64() || size < 512 || size > 1<<24 {
			return
		}
		m := meta{size, order.Uint64(b[16:]), order.Uint64(b[32:]), order.Uint64(b[40:]), order.Uint64(b[48:])}
		if !found || m.txid > best.txid {
			best, found, err = m, true, nil
		}
	}
	try(0)
	if found {
		try(best.pageSize)
		return best, err
	}
	for size := int64(1024); size <= 1<<24; size *= 2 {
		try(size)
	}
	return best, err
}

// checkHead looks at what bbolt uses when it opens a file: the heads, the length and the
// list of free pages.
func checkHead(f *os.File) (*pages, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, errors.New("it is empty")
	}
	m, err := readMeta(f)
	if err != nil {
		return nil, err
	}
	// The numbers of pages are compared before they are multiplied.
	have := uint64(info.Size() / m.pageSize)
	if m.pages > have || m.pages < 4 {
		return nil, fmt.Errorf("it has %d bytes, and %d pages of %d bytes belong to it", info.Size(), m.pages, m.pageSize)
	}
	c := &pages{f: f, meta: m, seen: make([]bool, m.pages)}
	c.seen[0], c.seen[1] = true, true
	return c, c.checkFreelist()
}

// pages checks the pages of a file.
type pages struct {
	f io.ReaderAt
	meta
	seen []bool // by number
	head [headerLen]byte
	buf  []byte // of the page that was read last
}

// page is a page with its overflow. Its data is valid until the next page is read.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte // with the header
}

// read reads a page, and marks its numbers as seen.
func (c *pages) read(id uint64) (p page, err error) {
	if id >= c.pages {
		return p, fmt.Errorf("page %d does not exist", id)
	}
	head := c.head[:]
	if _, err := c.f.ReadAt(head, int64(id)*c.pageSize); err != nil {
		return p, err
	}
	p = page{id: order.Uint64(head), flags: order.Uint16(head[8:]), count: int(order.Uint16(head[10:]))}
	n := 1 + uint64(order.Uint32(head[12:]))
	if p.id != id || n > c.pages-id {
		return p, fmt.Errorf("page %d is another page", id)
	}
	for i := id; i < id+n; i++ {
		if c.seen[i] {
			return p, fmt.Errorf("page %d is used twice", i)
		}
		c.seen[i] = true
	}
	c.buf = slices.Grow(c.buf[:0], int(n)*int(c.pageSize))[:int(n)*int(c.pageSize)]
	p.data = c.buf
	_, err = c.f.ReadAt(p.data, int64(id)*c.pageSize)
	return p, err
}

func (c *pages) checkFreelist() error {
	if c.freelist == noFreelist {
		return nil
	}
	p, err := c.read(c.freelist)
	if err != nil {
		return err
	}
	ids, count := p.data[headerLen:], uint64(p.count)
	if p.count == 0xFFFF {
		count, ids = order.Uint64(ids), ids[8:]
	}
	if p.flags != flagFreelist || count > uint64(len(ids))/8 {
		return errors.New("its list of free pages is wrong")
	}
	for i := range count {
		id := order.Uint64(ids[8*i:])
		if id >= c.pages || c.seen[id] {
			return fmt.Errorf("page %d is free and used", id)
		}
		c.seen[id] = true
	}
	return nil
}

// checkTree looks at all pages that belong to buckets.
func (c *pages) checkTree() error {
	todo := []uint64{c.root}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		p, err := c.read(id)
		if err != nil {
			return err
		}
		next, err := c.children(p.data, p.flags, p.count)
		if err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
		todo = append(todo, next...)
	}
	return nil
}

var errElement = errors.New("an element is wrong")

// children returns the pages that a page points at.
func (c *pages) children(data []byte, flags uint16, count int) (ids []uint64, err error) {
	if flags != flagBranch && flags != flagLeaf || headerLen+count*elementLen > len(data) || flags == flagBranch && count == 0 {
		return nil, errElement
	}
	for i := range count {
		at := headerLen + i*elementLen
		e := data[at:]
		if flags == flagBranch {
			if int64(at)+int64(order.Uint32(e))+int64(order.Uint32(e[4:])) > int64(len(data)) {
				return nil, errElement
			}
			ids = append(ids, order.Uint64(e[8:]))
			continue
		}
		from := int64(at) + int64(order.Uint32(e[4:])) + int64(order.Uint32(e[8:]))
		end := from + int64(order.Uint32(e[12:]))
		if end > int64(len(data)) {
			return nil, errElement
		}
		if order.Uint32(e)&1 == 0 { // no bucket
			continue
		}
		bucket := data[from:end]
		if len(bucket) < bucketLen {
			return nil, errElement
		}
		if root := order.Uint64(bucket); root != 0 {
			ids = append(ids, root)
			continue
		}
		inline := bucket[bucketLen:]
		if len(inline) < headerLen || order.Uint16(inline[8:]) != flagLeaf {
			return nil, errElement
		}
		more, err := c.children(inline, flagLeaf, int(order.Uint16(inline[10:])))
		if err != nil || len(more) > 0 {
			return nil, errElement
		}
	}
	return ids, nil
}
