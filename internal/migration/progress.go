package migration

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ProgressLine is one line of a progress file. Its JSON form is the same whichever face asked for it.
type ProgressLine struct {
	At    time.Time `json:"at"`
	Guest string    `json:"guest"`
	To    string    `json:"to"`
	Step  Step      `json:"step"`
	// The rest is null while nothing is known of it. Totals and remainders are memory and copied disks
	// together; a guest that writes makes the remainder grow.
	Percent        *float64   `json:"percent"`
	TotalBytes     *uint64    `json:"total_bytes"`
	RemainingBytes *uint64    `json:"remaining_bytes"`
	BytesPerSecond *uint64    `json:"bytes_per_second"`
	ExpectedEnd    *time.Time `json:"expected_end"`
}

// meter turns observations into progress lines: it alone remembers the one before, for the rate.
type meter struct {
	guest, to  string
	lastAt     time.Time
	processed  uint64
	rate       float64
	rateSample bool
}

// line is what one observation means.
func (m *meter) line(p Progress) ProgressLine {
	l := ProgressLine{At: p.At.UTC().Truncate(time.Millisecond), Guest: m.guest, To: m.to, Step: p.Step}
	total, remaining := sum(p.MemoryTotalBytes, p.DiskTotalBytes), sum(p.MemoryRemainingBytes, p.DiskRemainingBytes)
	if p.Step == StepDone {
		all := 100.0
		l.Percent = &all
		return l
	}
	if total == nil || remaining == nil || *total == 0 {
		return l
	}
	l.TotalBytes, l.RemainingBytes = total, remaining
	percent := max(0, 100*(1-float64(*remaining)/float64(*total)))
	l.Percent = &percent
	if processed := sum(p.MemoryProcessedBytes, p.DiskProcessedBytes); processed != nil {
		m.measure(p.At, *processed)
	}
	if m.rateSample && m.rate >= 1 {
		rate := uint64(m.rate)
		end := l.At.Add(time.Duration(float64(*remaining) / m.rate * float64(time.Second))).Truncate(time.Millisecond)
		l.BytesPerSecond, l.ExpectedEnd = &rate, &end
	}
	return l
}

// measure smooths the rate over about the last four readings, so that the expected end does not jump.
func (m *meter) measure(at time.Time, processed uint64) {
	elapsed := at.Sub(m.lastAt).Seconds()
	if !m.lastAt.IsZero() && elapsed > 0 && processed >= m.processed {
		now := float64(processed-m.processed) / elapsed
		if m.rateSample {
			now = m.rate*0.7 + now*0.3
		}
		m.rate, m.rateSample = now, true
	}
	m.lastAt, m.processed = at, processed
}

// sum adds what is known; nil when nothing is.
func sum(a, b *uint64) *uint64 {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	s := *a + *b
	return &s
}

// progressFile appends lines to a file of the controller. A failing write is remembered and told once,
// at the end: a full disk must not touch a move.
type progressFile struct {
	file *os.File
	fail error
}

// openProgress opens the file for appending, for this user alone when it makes it. It follows no symbolic
// link in the last place, and takes nothing but a regular file.
func openProgress(path string) (*progressFile, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("progress_file: %w", err)
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, fmt.Errorf("progress_file %s is not a regular file", path)
	}
	return &progressFile{file: file}, nil
}

func (f *progressFile) write(l ProgressLine) {
	if f.fail != nil {
		return
	}
	text, err := json.Marshal(l)
	if err == nil {
		_, err = f.file.Write(append(text, '\n'))
	}
	f.fail = err
}

// close returns the first write that failed.
func (f *progressFile) close() error {
	if err := f.file.Close(); f.fail == nil {
		f.fail = err
	}
	return f.fail
}
