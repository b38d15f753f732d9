package migration

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// cancelAt starts a move and cancels its context when it reaches a step. It returns how long the move
// took to end after that.
func cancelAt(t *testing.T, l *lab.Lab, g *lab.Guest, control Control, step Step) (reached bool, err error, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	defer cancel()
	var once sync.Once
	var at time.Time
	_, err = labFleet(t, l).Migrate(ctx, Request{
		Guest: GuestRef{Name: g.Name}, Host: "beta",
		// slow enough that the copy is still going on when it is cancelled
		Options: Options{Control: control, BandwidthMiBPerSecond: 16},
		Watch: func(p Progress) {
			if p.Step == step {
				once.Do(func() { at = time.Now(); cancel() })
			}
		},
	})
	return !at.IsZero(), err, time.Since(at)
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
