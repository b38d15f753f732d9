package host_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

// TestLibvirtConforms plays every scenario on real daemons: where it fails, the daemon in memory is wrong as well.
func TestLibvirtConforms(t *testing.T) {
	if os.Getenv("VIRTMIGRATE_FAULTS") != "all" {
		t.Skip("VIRTMIGRATE_FAULTS=all is not set: two scenarios depend on how fast the machine copies")
	}
	a := alpha(t)
	b := testLab.Hosts[1]
	for _, sc := range scenarios {
		t.Run(strings.ReplaceAll(sc.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 5*time.Minute)
			s := &stage{ctx: ctx, busy: sc.busy, flags: conformFlags, params: host.Params{MigrateURI: "tcp://" + b.MigrationAddress()}}
			s.hosts = [2]*host.Host{dial(t, a.URI(lab.TLS)), dial(t, b.URI(lab.TLS))}
			t.Cleanup(func() { s.clear(within(t, time.Minute)) })
			if err := s.startReal(t); err != nil {
				t.Fatal(err)
			}
			if err := s.enter(); err != nil {
				t.Fatal(err)
			}
			sc.play(s)
			if wrong := s.differs(sc.want); wrong != "" {
				t.Error(wrong)
			}
		})
	}
}

// startReal starts the guest of a scenario. One whose copy takes seconds is one of the lab's.
func (s *stage) startReal(t *testing.T) error {
	if !s.busy {
		return s.start()
	}
	g, err := testLab.StartGuest(s.ctx, lab.GuestConfig{Name: "conform-" + uuid.NewString()[:8], FillMiB: 96})
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = g.Remove(within(t, time.Minute)) })
	s.dom.UUID = g.UUID
	return errors.Join(s.hosts[0].Suspend(s.ctx, g.UUID), s.hosts[0].Resume(s.ctx, g.UUID))
}
