package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nodebus/nodebus/flow"
)

// fill is what a backend is filled with.
type fill struct {
	host  func(h *host, n int) error // n pieces
	bytes func() ([]byte, error)     // of a piece
}

var (
	fillPrompts = fill{func(h *host, n int) error {
		_, err := each(256, n, func(int, int) error { return h.parts.Queue().Push(background, h.prompt(), nil) })
		return err
	}, promptBytes}
	fillEvents = fill{func(h *host, n int) error {
		_, err := first(h, n)
		return err
	}, eventBytes}
	fillRecords = fill{func(h *host, n int) error {
		h.run()
		_, err := each(32, n, func(int, int) error {
			_, err := flow.Do(background, h.engine, h.prompt())
			return err
		})
		return err
	}, recordBytes}
)

// recordBytes returns about the bytes of a record in a backend: its JSON, and 4 more.
func recordBytes() ([]byte, error) {
	h := hostOf(nil)
	p := h.prompt()
	_, err := flow.Do(background, h.engine, p)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	r, err := h.engine.Store().Get(background, p.ID)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	text, err := json.Marshal(r)
	return append(make([]byte, 4), text...), errors.Join(err, h.close())
}

// opens has the peers that open a backend with n pieces in it, and read what they need.
func (b *backend) opens(f fill, n int) []peer {
	return []peer{
		{b.bare, func(dir string) (*worker, error) {
			if err := f.fillBare(b, dir, n); err != nil {
				return nil, err
			}
			return opener(func() (io.Closer, error) {
				r, err := b.openBare(dir)
				if err != nil {
					return nil, err
				}
				return r, r.read(0, n, func([]byte) {})
			}), nil
		}},
		{b.name + "-open", func(dir string) (*worker, error) {
			if err := f.fillHost(b, dir, n); err != nil {
				return nil, err
			}
			return opener(func() (io.Closer, error) { return b.open(dir) }), nil
		}},
	}
}

// begins has the peers that open a backend for the first time.
func (b *backend) begins() []peer {
	anew := func(name string, open func(dir string) (io.Closer, error)) peer {
		return peer{name, func(dir string) (*worker, error) {
			n := 0
			return opener(func() (io.Closer, error) {
				n++
				own := filepath.Join(dir, strconv.Itoa(n))
				if err := os.Mkdir(own, 0o700); err != nil {
					return nil, err
				}
				return open(own)
			}), nil
		}}
	}
	return []peer{
		anew(b.bare, func(dir string) (io.Closer, error) { return b.openBare(dir) }),
		anew(b.name+"-open", func(dir string) (io.Closer, error) { return b.open(dir) }),
	}
}

// opener measures open. Closing does not count.
func opener(open func() (io.Closer, error)) *worker {
	return &worker{
		turn: func(n int) (took time.Duration, err error) {
			for range n {
				began := time.Now()
				opened, err := open()
				took += time.Since(began)
				if err == nil {
					err = opened.Close()
				}
				if err != nil {
					return 0, err
				}
			}
			return took, nil
		},
		end: func() error { return nil },
	}
}

// fillBare fills a backend with the same bytes, without nodebus.
func (f fill) fillBare(b *backend, dir string, n int) error {
	value, err := f.bytes()
	if err != nil {
		return err
	}
	r, err := b.filling().openBare(dir)
	if err != nil {
		return err
	}
	for at := 0; at < n && err == nil; at += 256 {
		err = r.stream(1, min(256, n-at), value)
	}
	return errors.Join(err, r.Close())
}

func (f fill) fillHost(b *backend, dir string, n int) error {
	h, err := newHost(b.filling(), dir)
	if err != nil {
		return err
	}
	return errors.Join(f.host(h, n), h.close())
}

// fills has the peers that fill a backend. The figure to look at is how large the files are
// for each piece.
func (b *backend) fills(f fill) []peer {
	nothing := func() error { return nil }
	filler := func(name string, fill func(b *backend, dir string, n int) error) peer {
		return peer{name, func(dir string) (*worker, error) {
			return &worker{
				turn: timed(func(n int) error { return fill(b, dir, n) }), end: nothing,
				more: func(n int) (string, error) {
					size, err := folderSize(dir)
					return ",bytes=" + strconv.FormatInt(size/int64(n), 10), err
				},
			}, nil
		}}
	}
	return []peer{
		filler(b.bare, f.fillBare),
		filler(b.name+"-file", f.fillHost),
		{"bytes", func(string) (*worker, error) { // what a piece has, without any file
			return &worker{turn: timed(func(int) error { return nil }), end: nothing, more: func(int) (string, error) {
				value, err := f.bytes()
				return ",bytes=" + strconv.Itoa(len(value)), err
			}}, nil
		}},
	}
}

// folderSize returns the size of all files in a folder.
func folderSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// binaries has the sizes of stripped programs that differ in their imports.
func (b *backend) binaries() (peers []peer) {
	for _, program := range b.programs {
		peers = append(peers, peer{program, func(dir string) (*worker, error) {
			out := filepath.Join(dir, "program")
			return &worker{
				turn: timed(func(int) error {
					c := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, "github.com/nodebus/nodebus/bench/durable/"+program)
					if text, err := c.CombinedOutput(); err != nil {
						return fmt.Errorf("%w: %s", err, text)
					}
					return nil
				}),
				end: func() error { return nil },
				more: func(int) (string, error) {
					size, err := folderSize(dir)
					return ",bytes=" + strconv.FormatInt(size, 10), err
				},
			}, nil
		}})
	}
	return peers
}
