//go:build linux

package main

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

const page = 4096

// pattern knows what every filled page must hold, so that a page that a migration spoiled is
// noticed. The first word of a page counts how often it was dirtied: that is known as well, and it
// is how a write that was made while the guest moved, and got lost, comes to light.
type pattern struct {
	random int    // bytes of each page that do not compress
	marker string // repeated through the page when set
}

// compressibleRandom makes a page compress about 2.5 : 1.
const compressibleRandom = page * 10 / 26

func (p pattern) write(to []byte, index uint64) {
	x := (index + 1) * 0x9e3779b97f4a7c15
	i := 0
	for ; i+8 <= p.random; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(to[i:], x)
	}
	for ; i < len(to); i++ {
		to[i] = "all the rest of this page is the same words again and again. "[i%61]
	}
	if p.marker != "" {
		for at := 64; at+len(p.marker) <= len(to); at += 512 {
			copy(to[at:], p.marker)
		}
	}
}

// holdMemory fills memory, then rewrites it at the chosen rate and slowly reads it all again.
func (s *self) holdMemory(config settings, ready func()) {
	size := config.number("fill") << 20
	if size == 0 {
		ready()
		return
	}
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		s.complain("memory to fill: %v", err)
		return
	}
	p := pattern{random: page, marker: config.text("marker")}
	if config["pattern"] == "compressible" {
		p.random = compressibleRandom
	}
	for at := 0; at < size; at += page {
		p.write(memory[at:at+page], uint64(at/page))
		binary.LittleEndian.PutUint64(memory[at:], 0)
		s.filled.Add(page)
	}
	ready()

	pages := size / page
	expected := make([]byte, page)
	var written, read int // the next page to dirty, to check
	var rounds uint64     // how often all pages were dirtied
	check := func(index int) {
		p.write(expected, uint64(index))
		times := rounds
		if index < written {
			times++
		}
		found := memory[index*page : (index+1)*page]
		if got := binary.LittleEndian.Uint64(found); got != times {
			s.memoryErrors.Add(1)
			s.complain("memory page %d was dirtied %d times and shows %d", index, times, got)
			binary.LittleEndian.PutUint64(found, times)
		}
		if string(expected[8:]) != string(found[8:]) {
			s.memoryErrors.Add(1)
			s.complain("memory page %d is not what was written", index)
		}
		s.memoryChecked.Add(1)
	}
	const busy, quiet = 10 * time.Millisecond, 50 * time.Millisecond
	var debt int64 // bytes that ought to be dirtied already
	last := monotonic()
	for {
		rate := s.dirtyRate.Load() << 20
		if rate > 0 {
			time.Sleep(busy)
		} else {
			time.Sleep(quiet)
		}
		now := monotonic()
		// A clock that jumped (a blackout, a starved processor) must not cause a burst.
		debt += rate * int64(min(now-last, 5*busy)) / int64(time.Second)
		last = now
		for ; debt >= page; debt -= page {
			word := memory[written*page:]
			binary.LittleEndian.PutUint64(word, binary.LittleEndian.Uint64(word)+1)
			if written++; written == pages {
				written, rounds = 0, rounds+1
			}
			s.dirtied.Add(page)
		}
		if s.verify.CompareAndSwap(true, false) {
			for index := range pages {
				check(index)
			}
			s.verified.Add(1)
		}
		for range 2 {
			check(read)
			read = (read + 1) % pages
		}
	}
}
