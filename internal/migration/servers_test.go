package migration

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// knocks counts who was reached, and loses a server after a while.
type knocks struct {
	began time.Time
	at    map[string][]time.Duration
	lost  map[string]time.Duration
}

func (k *knocks) Reach(_ context.Context, addresses []string) host.Answer {
	address, now := addresses[0], time.Since(k.began)
	k.at[address] = append(k.at[address], now)
	after, known := k.lost[address]
	return host.Answer{Known: true, Can: !known || now < after, Why: "refused"}
}

func (k *knocks) Close() error { return nil }

// TestServersAreReachedAsOftenAsTheyBear: an sshd shuts out whoever connects and says nothing, many times in a row.
func TestServersAreReachedAsOftenAsTheyBear(t *testing.T) {
	disks := []host.Disk{
		{Target: "vda", Protocol: "nbd", Servers: []string{"nbd:10809"}},
		{Target: "vdb", Protocol: "ssh", Servers: []string{"ssh:22"}},
	}
	synctest.Test(t, func(t *testing.T) {
		k := &knocks{began: time.Now(), at: map[string][]time.Duration{}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := watchFrom(ctx, k, disks); err != nil {
			t.Fatal(err)
		}
		if n := len(k.at["nbd:10809"]); n < 1190 {
			t.Errorf("the NBD server was reached %d times in ten minutes", n)
		}
		last := time.Duration(0)
		for _, at := range k.at["ssh:22"] {
			if at-last < 30*time.Second {
				t.Errorf("the SSH server was reached at %s, after %s", at, last)
			}
			last = at
		}
		if n := len(k.at["ssh:22"]); n < 19 {
			t.Errorf("the SSH server was reached %d times in ten minutes", n)
		}
	})
}

// TestALostServerIsNoticed, an SSH server later than others.
func TestALostServerIsNoticed(t *testing.T) {
	for protocol, within := range map[string]time.Duration{"nbd": time.Second, "ssh": 31 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			after := 3 * time.Minute
			k := &knocks{began: time.Now(), at: map[string][]time.Duration{}, lost: map[string]time.Duration{"server": after}}
			err := watchFrom(t.Context(), k, []host.Disk{{Target: "vda", Protocol: protocol, Servers: []string{"server"}}})
			if took := time.Since(k.began) - after; !errors.Is(err, errServerLost) || took > within {
				t.Errorf("%s: noticed after %s: %v", protocol, took, err)
			}
		})
	}
}
