package sched

import "math/bits"

// bitset is a set of small numbers that knows its least one. Each level has a
// bit for every word of the level below that is not zero, so that adding,
// removing and finding touch one word a level: three for 262 144 numbers.
type bitset struct {
	levels [][]uint64
}

func (s *bitset) add(n int32) {
	s.grow(int(n))
	for l := range s.levels {
		w := &s.levels[l][n>>6]
		was := *w
		*w |= 1 << (n & 63)
		if was != 0 {
			return
		}
		n >>= 6
	}
}

func (s *bitset) remove(n int32) {
	for l := range s.levels {
		w := &s.levels[l][n>>6]
		*w &^= 1 << (n & 63)
		if *w != 0 {
			return
		}
		n >>= 6
	}
}

// first returns the least number, or -1 if there is none.
func (s *bitset) first() int32 {
	if len(s.levels) == 0 || s.levels[len(s.levels)-1][0] == 0 {
		return -1
	}
	n := 0
	for l := len(s.levels) - 1; l >= 0; l-- {
		n = n<<6 | bits.TrailingZeros64(s.levels[l][n])
	}
	return int32(n)
}

// grow makes room for n; the top level is always a single word.
func (s *bitset) grow(n int) {
	for l := 0; ; l++ {
		words := n>>6 + 1
		if l == len(s.levels) {
			s.levels = append(s.levels, make([]uint64, words))
			if l > 0 && s.levels[l-1][0] != 0 { // what the old top word stood for
				s.levels[l][0] = 1
			}
		}
		for len(s.levels[l]) < words {
			s.levels[l] = append(s.levels[l], 0)
		}
		if len(s.levels[l]) == 1 && l == len(s.levels)-1 {
			return
		}
		n >>= 6
	}
}
