package sched

import "math/bits"

// bitset is a set of small numbers that finds its smallest number fast. Level 0
// has a bit for each number. Each higher level has a bit for each word of the
// level below, set while this word is not zero. So add, remove and first touch one
// word per level: three words for up to 262 144 numbers.
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

// clear removes all numbers.
func (s *bitset) clear() {
	for _, level := range s.levels {
		clear(level)
	}
}

// first returns the smallest number, or -1 if the set is empty.
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

// grow makes room for n. The top level always has exactly one word.
func (s *bitset) grow(n int) {
	for l := 0; ; l++ {
		words := n>>6 + 1
		if l == len(s.levels) {
			s.levels = append(s.levels, make([]uint64, words))
			if l > 0 && s.levels[l-1][0] != 0 { // the old top level had numbers
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
