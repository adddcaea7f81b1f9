package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nodebus/nodebus/flow"
)

// fill writes n pieces to a file.
type fill struct {
	host func(h *host, n int) error
	raw  func() ([]byte, error)
}

var (
	fillPrompts = fill{func(h *host, n int) error {
		_, err := each(256, n, func(int, int) error { return h.db.Queue().Push(background, h.prompt(), nil) })
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

// recordBytes returns the bytes of a record in the file: its JSON, and 4 more.
func recordBytes() ([]byte, error) {
	h, err := newHost("")
	if err != nil {
		return nil, err
	}
	p := h.prompt()
	_, err = flow.Do(background, h.engine, p)
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

// opens has the peers that open a file with n pieces in it, and read what they need.
func opens(f fill, n int) []peer {
	return []peer{
		{"raw-bbolt", func(dir string) (*worker, error) {
			if err := f.fillRaw(dir, n); err != nil {
				return nil, err
			}
			return opener(func() (func() error, error) {
				r, err := openRaw(dir)
				if err != nil {
					return nil, err
				}
				return r.db.Close, r.reads(0, func([]byte) {})
			}), nil
		}},
		{"bolt-open", func(dir string) (*worker, error) {
			if err := f.fillHost(dir, n); err != nil {
				return nil, err
			}
			return opener(func() (func() error, error) {
				db, err := openDB(dir)
				if err != nil {
					return nil, err
				}
				return db.Close, nil
			}), nil
		}},
	}
}

// opener measures open. Closing the file does not count.
func opener(open func() (end func() error, err error)) *worker {
	return &worker{
		turn: func(n int) (took time.Duration, err error) {
			for range n {
				began := time.Now()
				end, err := open()
				took += time.Since(began)
				if err == nil {
					err = end()
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

// fillRaw writes the same pieces to a file of plain bbolt.
func (f fill) fillRaw(dir string, n int) error {
	r, err := openRaw(dir)
	if err != nil {
		return err
	}
	value, err := f.raw()
	for i := range n {
		if r.gathers(value); err == nil && i%256 == 255 {
			err = r.commits(256)
		}
	}
	if rest := n % 256; err == nil && rest > 0 {
		err = r.commits(rest)
	}
	return errors.Join(err, r.db.Close())
}

func (f fill) fillHost(dir string, n int) error {
	h, err := newHost(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.host(h, n), h.close())
}

// fills has the peers that fill a file. The further figure is how large the file is for each
// piece.
func fills(f fill) []peer {
	size := func(dir string) func(int) (string, error) {
		return func(n int) (string, error) {
			names, err := filepath.Glob(filepath.Join(dir, "*.db"))
			if err != nil || len(names) != 1 {
				return "", fmt.Errorf("files %v: %w", names, err)
			}
			info, err := os.Stat(names[0])
			if err != nil {
				return "", err
			}
			return ",bytes=" + strconv.FormatInt(info.Size()/int64(n), 10), nil
		}
	}
	timed := func(work func(n int) error) func(int) (time.Duration, error) {
		return func(n int) (time.Duration, error) {
			began := time.Now()
			err := work(n)
			return time.Since(began), err
		}
	}
	nothing := func() error { return nil }
	return []peer{
		{"raw-bbolt", func(dir string) (*worker, error) {
			return &worker{turn: timed(func(n int) error { return f.fillRaw(dir, n) }), end: nothing, more: size(dir)}, nil
		}},
		{"bolt-file", func(dir string) (*worker, error) {
			return &worker{turn: timed(func(n int) error { return f.fillHost(dir, n) }), end: nothing, more: size(dir)}, nil
		}},
		{"bytes", func(dir string) (*worker, error) { // what a piece has, without any file
			return &worker{turn: timed(func(int) error { return nil }), end: nothing, more: func(int) (string, error) {
				value, err := f.raw()
				return ",bytes=" + strconv.Itoa(len(value)), err
			}}, nil
		}},
	}
}

// binaries has the sizes of two programs that differ in one import.
func binaries() []peer {
	build := func(name, program string) peer {
		return peer{name, func(dir string) (*worker, error) {
			out := filepath.Join(dir, "program")
			return &worker{
				turn: func(int) (time.Duration, error) {
					began := time.Now()
					c := exec.Command("go", "build", "-o", out, "github.com/nodebus/nodebus/bench/durable/"+program)
					if text, err := c.CombinedOutput(); err != nil {
						return 0, fmt.Errorf("%w: %s", err, text)
					}
					return time.Since(began), nil
				},
				end: func() error { return nil },
				more: func(int) (string, error) {
					info, err := os.Stat(out)
					if err != nil {
						return "", err
					}
					return ",bytes=" + strconv.FormatInt(info.Size(), 10), nil
				},
			}, nil
		}}
	}
	return []peer{build("memory", "hello"), build("bolt", "hellobolt")}
}
