package host_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
)

func TestServersAreReachedFromTheHostItself(t *testing.T) {
	a := alpha(t)
	noHome(t)
	const port = "2298"
	sshd(t, a, port, "AllowTcpForwarding=no")
	ctx := within(t, time.Minute)
	disks := fmt.Sprintf("%s:10809", testLab.Controller)
	parameters := fmt.Sprintf("keyfile=%s&known_hosts=%s", testLab.SSHKey(), knownAt(t, a, port))
	from := func(uri string) *host.Vantage {
		v, err := dial(t, uri).Vantage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		return v
	}
	free, bound := from(a.SSHURI(lab.Operator)), from(fmt.Sprintf("qemu+ssh://root@%s:%s/system?%s", a.Address, port, parameters))
	ask := func(what string, v *host.Vantage, addresses []string, known, can bool) {
		t.Helper()
		if got := v.Reach(ctx, addresses); got.Known != known || got.Can != can || got.Can != (got.Why == "") {
			t.Errorf("%s: %+v, want known %v, can %v", what, got, known, can)
		}
	}
	ask("a server", free, []string{disks}, true, true)
	ask("one that does not listen", free, []string{testLab.Controller.String() + ":9"}, true, false)
	ask("one of a name that nobody has", free, []string{"nobody.invalid:10809"}, true, false)
	ask("the second of two", free, []string{testLab.Controller.String() + ":9", disks}, true, true)
	ask("where sshd opens no connections", bound, []string{disks}, false, false)

	if err := a.LoseDisks(ctx); err != nil {
		t.Fatal(err)
	}
	ask("a server that was lost", free, []string{disks}, true, false)
	if err := a.Heal(ctx); err != nil {
		t.Fatal(err)
	}
	ask("and is back", free, []string{disks}, true, true)
	_ = free.Close()
	ask("without a connection", free, []string{disks}, false, false)

	if _, err := dial(t, a.URI(lab.TLS)).Vantage(ctx); !errors.Is(err, host.ErrNoLogin) || !strings.Contains(err.Error(), "qemu+ssh") {
		t.Errorf("over TLS: %v", err)
	}
}
