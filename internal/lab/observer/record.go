package observer

import (
	"fmt"
	"slices"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/beat"
)

// Report is what is known of a guest from outside it. Times are readings of Now.
type Report struct {
	At         time.Duration // when this was written
	Host       string        // where the last beat came from; empty before the first
	Connected  []string      // hosts with a QEMU process of this guest, running or waiting
	FirstBeat  time.Duration
	LastBeat   time.Duration
	Pulse      beat.Pulse    // the last
	Status     beat.Status   // the last
	StatusAt   time.Duration // when it came
	Boots      []uint32      // every boot that was ever heard, in order; a guest that never restarted has one
	Beats      int           // arrived after the question's Since
	Lost       int           // sequence numbers that never came, after Since
	Gap        Gap           // the longest after Since
	Switchover Gap           // the longest after Since between beats of two QEMU processes; zero if there was none
	Faults     []string      // what must never happen: beats from two QEMU processes at once, beats repeated
	Sessions   int           // TCP sessions ever opened by the guest
	OpenNow    int           // and open now
	EchoedBack uint64        // lines echoed over them
}

// Gap is a time without a beat.
type Gap struct {
	Length   time.Duration
	From     time.Duration // the last beat before it
	FromHost string
	ToHost   string // empty while no beat has ended it
}

// keep bounds the arrivals remembered for each guest: about an hour and a half of beats.
const keep = 1 << 19

type arrival struct {
	at   time.Duration
	seq  uint64
	from uint16 // the connection it came by
	lost uint32 // numbers missing before this one
}

// record is everything heard of one guest. It has no clock and no lock of its own.
type record struct {
	hosts     []string // by connection number, which starts at 1
	open      map[int]bool
	producing int // the connection the last pulse came from
	partial   map[int][]byte

	arrivals []arrival
	pulse    beat.Pulse
	status   beat.Status
	statusAt time.Duration
	first    time.Duration
	boots    []uint32
	faults   []string

	sessions     int
	sessionOpen  int
	sessionLines uint64
}

func (r *record) connected(host string) int {
	if r.open == nil {
		r.open, r.partial = map[int]bool{}, map[int][]byte{}
	}
	r.hosts = append(r.hosts, host)
	id := len(r.hosts)
	r.open[id] = true
	return id
}

func (r *record) closed(id int) { delete(r.open, id) }

func (r *record) host(id int) string {
	if id < 1 || id > len(r.hosts) {
		return ""
	}
	return r.hosts[id-1]
}

// rest remembers the unfinished line of a connection: the other half may come from elsewhere.
func (r *record) rest(id int, _ time.Duration, partial []byte) {
	r.partial[id] = append([]byte(nil), partial...)
}

func (r *record) line(id int, now time.Duration, line []byte) {
	pulse, status, err := beat.Parse(line)
	if err != nil && id != r.producing && len(r.partial[r.producing]) > 0 {
		// The guest moved in the middle of a line.
		pulse, status, err = beat.Parse(append(r.partial[r.producing], line...))
		delete(r.partial, r.producing)
	}
	switch {
	case err != nil: // torn: its number will be missing, which is counted
	case pulse != nil:
		r.beat(id, now, *pulse)
	case status != nil:
		r.status, r.statusAt = *status, now
	}
}

func (r *record) beat(id int, now time.Duration, p beat.Pulse) {
	a := arrival{at: now, seq: p.Seq, from: uint16(id)}
	switch {
	case r.producing == 0:
		r.first = now
		r.boots = append(r.boots, p.Boot)
	case p.Boot != r.pulse.Boot:
		r.fault("the guest restarted: boot %08x followed boot %08x, on %s after %s", p.Boot, r.pulse.Boot, r.host(id), r.host(r.producing))
		if !slices.Contains(r.boots, p.Boot) {
			r.boots = append(r.boots, p.Boot)
		}
	case p.Seq <= r.pulse.Seq:
		r.fault("beat %d of %s came after beat %d of %s: the guest went back in time or runs twice", p.Seq, r.host(id), r.pulse.Seq, r.host(r.producing))
	default:
		a.lost = uint32(p.Seq - r.pulse.Seq - 1)
	}
	// A QEMU process that starts later takes over; one that took over never gives back to an
	// older one, except by dying, as a failed destination does.
	if id < r.producing && r.open[r.producing] {
		r.fault("an older QEMU process on %s beats although a newer one on %s had taken over: two copies run", r.host(id), r.host(r.producing))
	}
	r.producing, r.pulse = id, p
	if len(r.arrivals) >= keep {
		r.arrivals = append(r.arrivals[:0:0], r.arrivals[keep/4:]...)
	}
	r.arrivals = append(r.arrivals, a)
}

func (r *record) fault(format string, args ...any) {
	if len(r.faults) < 20 {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

func (r *record) report(now, since time.Duration) Report {
	answer := Report{
		At: now, Host: r.host(r.producing), FirstBeat: r.first, Pulse: r.pulse, Status: r.status, StatusAt: r.statusAt,
		Boots: slices.Clone(r.boots), Faults: slices.Clone(r.faults),
		Sessions: r.sessions, OpenNow: r.sessionOpen, EchoedBack: r.sessionLines,
	}
	for id := range r.open {
		answer.Connected = append(answer.Connected, r.host(id))
	}
	slices.Sort(answer.Connected)
	if len(r.arrivals) == 0 {
		return answer
	}
	last := r.arrivals[len(r.arrivals)-1]
	answer.LastBeat = last.at
	// The gap that is still open counts too: a dead guest has not had a short one.
	answer.Gap = Gap{Length: now - max(last.at, since), From: last.at, FromHost: answer.Host}
	begin, _ := slices.BinarySearchFunc(r.arrivals, since+1, func(a arrival, t time.Duration) int { return int(a.at - t) })
	for i := begin; i < len(r.arrivals); i++ {
		a := r.arrivals[i]
		answer.Beats++
		if i == 0 {
			continue
		}
		answer.Lost += int(a.lost)
		before := r.arrivals[i-1]
		gap := Gap{Length: a.at - before.at, From: before.at, FromHost: r.host(int(before.from)), ToHost: r.host(int(a.from))}
		if gap.Length >= answer.Gap.Length {
			answer.Gap = gap
		}
		if a.from != before.from && gap.Length >= answer.Switchover.Length {
			answer.Switchover = gap
		}
	}
	return answer
}
