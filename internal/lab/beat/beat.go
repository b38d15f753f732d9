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
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
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
	Boot         uint32 `json:"boot"`
	FilledBytes  uint64 `json:"filled,omitempty"`
	Ready        bool   `json:"ready,omitempty"` // memory filled, disk mounted, session open
	DirtiedBytes uint64 `json:"dirtied,omitempty"`

	MemoryChecked uint64 `json:"memory_checked,omitempty"` // pages compared with what was written
	MemoryErrors  uint64 `json:"memory_errors,omitempty"`

	DiskWritten uint64 `json:"disk_written,omitempty"` // blocks
	DiskChecked uint64 `json:"disk_checked,omitempty"` // blocks read back and found right
	DiskErrors  uint64 `json:"disk_errors,omitempty"`

	NetSent   uint64 `json:"net_sent,omitempty"` // numbered messages of the one TCP session
	NetEchoed uint64 `json:"net_echoed,omitempty"`
	NetBroken bool   `json:"net_broken,omitempty"` // it broke; the guest never opens another

	Note string `json:"note,omitempty"` // why something above is wrong, in words
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

// AppendStatus appends s as a line.
func AppendStatus(line []byte, s Status) []byte {
	start := len(line)
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // only plain fields: cannot be
	}
	line = append(line, 's', ' ')
	line = append(line, text...)
	return seal(line, start)
}

func seal(line []byte, start int) []byte {
	sum := crc32.ChecksumIEEE(line[start:])
	return fmt.Appendf(line, " %08x\n", sum)
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
		var s Status
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, nil, fmt.Errorf("status %q: %w", text, err)
		}
		return nil, &s, nil
	}
	return nil, nil, fmt.Errorf("a line of unknown kind %q", line[0])
}
