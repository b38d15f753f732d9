// Package beat is the language in which a lab guest tells that it is alive.
//
// The guest writes one line per message to a serial port. A Pulse says only "I run, and this is
// my n-th beat since I booted"; a Status, ten times rarer, carries everything else the guest
// knows about itself. Times of arrival are never part of a line: a guest's clock stops while it
// is moved, so whoever listens has to stamp the lines outside.
//
// Every line ends with a checksum, because the two halves of a line may leave through two
// different QEMU processes when the guest moves in the middle of it.
package beat

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// Interval is the time between two pulses, StatusEvery the number of pulses per status.
const (
	Interval    = 10 * time.Millisecond
	StatusEvery = 10
)

// Pulse is one heartbeat.
type Pulse struct {
	Boot   uint32        // drawn at random when the guest boots
	Seq    uint64        // 1 for the first pulse of a boot, then one more each time
	Uptime time.Duration // the guest's own clock, which does not run during a blackout
}

// Status is what a guest reports about itself. All counts are since boot.
type Status struct {
	Boot         uint32
	Ready        bool // memory filled, disk mounted, session open
	FilledBytes  uint64
	DirtiedBytes uint64

	MemoryChecked uint64 // pages compared with what was written
	MemoryErrors  uint64
	Verified      uint64 // how often all of it was compared on demand

	DiskWritten uint64 // blocks
	DiskChecked uint64 // blocks read back and found right
	DiskErrors  uint64

	NetSent   uint64 // numbered messages of the one TCP session
	NetEchoed uint64
	NetBroken bool // it broke; the guest never opens another

	Note string // why something above is wrong, in words
}

// numbers lists a status's fields in the order in which they are sent.
func (s *Status) numbers() []*uint64 {
	return []*uint64{
		&s.FilledBytes, &s.DirtiedBytes, &s.MemoryChecked, &s.MemoryErrors, &s.Verified,
		&s.DiskWritten, &s.DiskChecked, &s.DiskErrors, &s.NetSent, &s.NetEchoed,
	}
}

// ErrTorn says that a line is not whole.
var ErrTorn = errors.New("not a whole line")

// AppendPulse appends p as a line.
func AppendPulse(line []byte, p Pulse) []byte {
	start := len(line)
	line = append(line, 'p', ' ')
	line = strconv.AppendUint(line, uint64(p.Boot), 16)
	line = append(line, ' ')
	line = strconv.AppendUint(line, p.Seq, 10)
	line = append(line, ' ')
	line = strconv.AppendInt(line, p.Uptime.Milliseconds(), 10)
	return seal(line, start)
}

// AppendStatus appends s as a line. It is written for an emulated processor, on which the
// standard library's encoders would take a tenth of the time between two statuses.
func AppendStatus(line []byte, s Status) []byte {
	start := len(line)
	line = append(line, 's', ' ')
	line = strconv.AppendUint(line, uint64(s.Boot), 16)
	for _, flag := range []bool{s.Ready, s.NetBroken} {
		if flag {
			line = append(line, " 1"...)
		} else {
			line = append(line, " 0"...)
		}
	}
	for _, number := range s.numbers() {
		line = append(line, ' ')
		line = strconv.AppendUint(line, *number, 10)
	}
	line = append(line, ' ')
	line = strconv.AppendQuote(line, s.Note)
	return seal(line, start)
}

func seal(line []byte, start int) []byte {
	sum := crc32.ChecksumIEEE(line[start:])
	line = append(line, ' ')
	for shift := 28; shift >= 0; shift -= 4 {
		line = append(line, "0123456789abcdef"[sum>>shift&15])
	}
	return append(line, '\n')
}

// Parse reads one line, without its line end. Exactly one of the two results is set.
func Parse(line []byte) (*Pulse, *Status, error) {
	line = bytes.TrimRight(line, "\r\n")
	cut := len(line) - 9
	if cut < 2 || line[cut] != ' ' || line[1] != ' ' {
		return nil, nil, ErrTorn
	}
	sum, err := strconv.ParseUint(string(line[cut+1:]), 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(line[:cut]) {
		return nil, nil, ErrTorn
	}
	text := line[2:cut]
	switch line[0] {
	case 'p':
		var p Pulse
		var ms int64
		if _, err := fmt.Sscanf(string(text), "%x %d %d", &p.Boot, &p.Seq, &ms); err != nil {
			return nil, nil, fmt.Errorf("pulse %q: %w", text, err)
		}
		p.Uptime = time.Duration(ms) * time.Millisecond
		return &p, nil, nil
	case 's':
		s, err := parseStatus(string(text))
		if err != nil {
			return nil, nil, fmt.Errorf("status %q: %w", text, err)
		}
		return nil, s, nil
	}
	return nil, nil, fmt.Errorf("a line of unknown kind %q", line[0])
}

func parseStatus(text string) (*Status, error) {
	var s Status
	numbers := s.numbers()
	words := strings.SplitN(text, " ", 3+len(numbers)+1)
	if len(words) != 3+len(numbers)+1 {
		return nil, errors.New("too few words")
	}
	boot, err := strconv.ParseUint(words[0], 16, 32)
	if err != nil {
		return nil, err
	}
	s.Boot, s.Ready, s.NetBroken = uint32(boot), words[1] == "1", words[2] == "1"
	for i, number := range numbers {
		if *number, err = strconv.ParseUint(words[3+i], 10, 64); err != nil {
			return nil, err
		}
	}
	s.Note, err = strconv.Unquote(words[len(words)-1])
	return &s, err
}
