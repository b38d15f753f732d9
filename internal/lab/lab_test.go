package lab_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

type testLog struct{ t *testing.T }

func (l testLog) Info(msg string, args ...any) { l.t.Log(append([]any{msg}, args...)...) }
func (l testLog) Warn(msg string, args ...any) { l.t.Log(append([]any{msg}, args...)...) }

func TestTry(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t0 := time.Now()
	l, err := lab.Start(ctx, lab.Config{Name: "labtest", Log: testLog{t}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("up", time.Since(t0))
	defer func() { t0 := time.Now(); t.Log(l.Close(), time.Since(t0)) }()
	t0 = time.Now()
	g, err := l.StartGuest(ctx, lab.GuestConfig{Name: "g1", FillMiB: 64, Disk: true, NIC: true, DirtyMiBPerSecond: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("guest", time.Since(t0))
	_ = g
	t.Log("check", g.Check(ctx))
	since := time.Now()
	out, err := l.Hosts[0].Virsh(ctx, "migrate", "g1", "qemu+tls://beta/system", "--live", "--p2p", "--tls", "--parallel", "--persistent", "--undefinesource")
	t.Log(out, err)
	for _, h := range l.Hosts {
		t.Log(h.Virsh(ctx, "list", "--all"))
	}
	t.Log(g.LongestGap(ctx, since))
	t.Log("check", g.Check(ctx))
	t.Log(g.Health(ctx, since))
	if os.Getenv("PAUSE") != "" {
		time.Sleep(40 * time.Second)
	}
}
