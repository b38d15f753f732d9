package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/observer"
)

// Health is what is known of a guest from outside it, at one moment.
type Health struct {
	observer.Report
	// Age is how long ago the last beat came.
	Age time.Duration
}

// Health tells what the observer knows; beats, losses and gaps are counted after since (the
// zero time: since the guest started).
func (g *Guest) Health(ctx context.Context, since time.Time) (Health, error) {
	var from time.Duration
	if !since.IsZero() {
		from = observer.Now() - time.Since(since)
	}
	report, err := g.lab.observer.Report(ctx, g.Name, from)
	if err != nil {
		return Health{}, err
	}
	return Health{Report: report, Age: report.At - report.LastBeat}, nil
}

// Gap is a time in which no beat of a guest arrived. ToHost is empty while it lasts.
type Gap struct {
	Length           time.Duration
	From             time.Time
	FromHost, ToHost string
}

// LongestGap returns the longest time without a beat that ended after since, or still lasts.
func (g *Guest) LongestGap(ctx context.Context, since time.Time) (Gap, error) {
	health, err := g.Health(ctx, since)
	return gapOf(health.Gap), err
}

// SwitchoverGap returns the longest time after since between the last beat of one QEMU process
// and the first of another: the blackout as the world outside sees it. No such time is an error.
func (g *Guest) SwitchoverGap(ctx context.Context, since time.Time) (Gap, error) {
	health, err := g.Health(ctx, since)
	if err == nil && health.Switchover.Length == 0 {
		err = fmt.Errorf("guest %q has not changed its QEMU process since %v", g.Name, since)
	}
	return gapOf(health.Switchover), err
}

func gapOf(gap observer.Gap) Gap {
	return Gap{gap.Length, time.Now().Add(gap.From - observer.Now()), gap.FromHost, gap.ToHost}
}

// tell makes the guest obey an order.
func (g *Guest) tell(ctx context.Context, order string) error {
	return g.lab.observer.Tell(ctx, g.Name, order)
}

// SetDirtyRate changes how much memory the guest rewrites each second.
func (g *Guest) SetDirtyRate(ctx context.Context, mebibytes int) error {
	return g.tell(ctx, fmt.Sprintf("dirty %d", mebibytes))
}

// VerifyMemory makes the guest compare all its filled memory with what was written there, waits
// until it has, and reports what is wrong. Under emulation it reads about 200 MiB a second.
func (g *Guest) VerifyMemory(ctx context.Context) error {
	before, err := g.Health(ctx, time.Time{})
	if err != nil {
		return err
	}
	if err := g.tell(ctx, "verify"); err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		now, err := g.Health(ctx, time.Time{})
		if err == nil && now.Status.MemoryErrors > 0 {
			err = fmt.Errorf("guest %q: %d pages of memory are wrong: %s", g.Name, now.Status.MemoryErrors, now.Status.Note)
		}
		return now.Status.Verified > before.Status.Verified, err
	})
}

// PowerOff makes the guest switch itself off.
func (g *Guest) PowerOff(ctx context.Context) error { return g.tell(ctx, "poweroff") }

// Reboot makes the guest restart itself, which Check notices.
func (g *Guest) Reboot(ctx context.Context) error { return g.tell(ctx, "reboot") }

// Check proves that the guest is the one that was started, unharmed and running now: the same
// boot, beats without end, repetition or a second copy, memory and disk as written and still
// being read and written, the same TCP session still answering. It waits up to 5 seconds (or
// until ctx ends) for fresh evidence, and its error lists all that is wrong.
func (g *Guest) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	before, err := g.Health(ctx, time.Time{})
	if err != nil {
		return fmt.Errorf("guest %q: %w", g.Name, err)
	}
	now := before
	var missing []string
	err = until(ctx, func() (bool, error) {
		fresh, err := g.Health(ctx, time.Time{})
		if err != nil {
			return false, err
		}
		now, missing = fresh, g.notSeen(before.Report, fresh.Report)
		return len(missing) == 0, nil
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("guest %q: %w", g.Name, err)
	}
	if wrong := append(g.wrong(now.Report), missing...); len(wrong) > 0 {
		return fmt.Errorf("guest %q, last heard of on %s %v ago: %s", g.Name, orNowhere(now.Host), now.Age.Round(time.Millisecond), strings.Join(wrong, "; "))
	}
	return nil
}

func orNowhere(host string) string {
	if host == "" {
		return "no host"
	}
	return host
}

// wrong lists what must not be, whenever one looks.
func (g *Guest) wrong(r observer.Report) []string {
	var wrong []string
	if len(g.started.Boots) > 0 && (len(r.Boots) != 1 || r.Boots[0] != g.started.Boots[0]) {
		wrong = append(wrong, fmt.Sprintf("it booted %d times", len(r.Boots)))
	}
	wrong = append(wrong, r.Faults...)
	s := r.Status
	if s.MemoryErrors > 0 || s.DiskErrors > 0 || s.NetBroken {
		wrong = append(wrong, fmt.Sprintf("%d memory errors, %d disk errors, TCP session broken: %t (%s)", s.MemoryErrors, s.DiskErrors, s.NetBroken, s.Note))
	}
	if g.NIC && (r.Sessions != 1 || r.OpenNow != 1) {
		wrong = append(wrong, fmt.Sprintf("%d TCP sessions were opened, %d are open, where it must be the same one all the time", r.Sessions, r.OpenNow))
	}
	return wrong
}

// notSeen lists what has not been seen to go on between two reports.
func (g *Guest) notSeen(before, now observer.Report) []string {
	var missing []string
	need := func(seen bool, what string) {
		if !seen {
			missing = append(missing, what)
		}
	}
	need(now.Pulse.Seq > before.Pulse.Seq && now.LastBeat > before.At, "no beat arrives")
	need(now.Pulse.Uptime > before.Pulse.Uptime, "its uptime does not grow")
	a, b := before.Status, now.Status
	if g.FillMiB > 0 {
		need(b.MemoryChecked > a.MemoryChecked, "its memory is not being checked")
	}
	if g.Disk || g.LocalDisk {
		need(b.DiskWritten > a.DiskWritten && b.DiskChecked > a.DiskChecked, "its disk is not being written and read")
	}
	if g.NIC {
		need(b.NetEchoed > a.NetEchoed && now.EchoedBack > before.EchoedBack, "its TCP session does not answer")
	}
	return missing
}
