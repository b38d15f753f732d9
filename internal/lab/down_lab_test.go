package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// traces lists everything on the machine that a lab of that name could have left: processes,
// network namespaces, interfaces, mounts and files.
func traces(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		text, _ := os.ReadFile(path)
		line := string(bytes.ReplaceAll(text, []byte{0}, []byte(" ")))
		if strings.Contains(line, "/virtmigrate-lab/"+name+"/") || strings.HasSuffix(strings.TrimSpace(line), "/virtmigrate-lab/"+name) {
			found = append(found, "process "+line)
		}
	}
	for _, pattern := range []string{"/run/netns/vml-" + name + "-*", "/sys/class/net/vm-" + name, "/var/lib/virtmigrate-lab/" + name} {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "virtmigrate-lab/"+name) || strings.Contains(line, "vml-"+name+"-") {
			found = append(found, "mount "+line)
		}
	}
	return found
}

func TestTwoLabsLiveSideBySideAndGoWithoutATrace(t *testing.T) {
	first := labtest.Lab(t)
	ctx := labtest.Context(t, 2*time.Minute)
	kept := labtest.Guest(t, lab.GuestConfig{NIC: true, Disk: true})
	second, err := lab.Start(ctx, lab.Config{Name: "labother", Hosts: []string{"one", "two", "three"}})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if first.Network.Overlaps(second.Network) {
		t.Fatalf("both labs have the network %v", first.Network)
	}
	g, err := second.StartGuest(ctx, lab.GuestConfig{Name: kept.Name, NIC: true, Disk: true})
	if err != nil {
		t.Fatal(err)
	}
	mustBeGood(t, g)

	attached, err := lab.Attach("labother")
	if err != nil {
		t.Fatal(err)
	}
	again := attached.Guest(kept.Name)
	if again == nil || again.UUID != g.UUID {
		t.Fatalf("the attached lab knows the guest as %+v", again)
	}
	virshMove(t, again, attached.Host("one"), attached.Host("three"))
	mustBeGood(t, again)

	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, "labother"); len(left) > 0 {
		t.Errorf("the second lab left:\n%s", strings.Join(left, "\n"))
	}
	mustBeGood(t, kept)
	if _, err := lab.Attach("labother"); err == nil || !strings.Contains(err.Error(), `no lab "labother" is up`) {
		t.Errorf("attaching to a lab that is gone: %v", err)
	}
}

// crashName is the variable that makes this test program start a lab and wait to be killed.
const crashName = "VIRTMIGRATE_LAB_CRASH"

func TestStartALabToBeKilled(t *testing.T) {
	name := os.Getenv(crashName)
	if name == "" {
		t.Skip("only TestALabKilledHalfWayUpIsTakenDownByItsName runs this, as a program of its own")
	}
	l, err := lab.Start(t.Context(), lab.Config{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.StartGuest(t.Context(), lab.GuestConfig{Name: "g"}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("up")
	<-t.Context().Done()
}

func TestALabKilledHalfWayUpIsTakenDownByItsName(t *testing.T) {
	labtest.Lab(t) // brings what is missing on this machine, and skips where no lab can be
	const name = "labcrash"
	dir := "/var/lib/virtmigrate-lab/" + name
	exists := func(path string) func() bool {
		return func() bool { _, err := os.Stat(path); return err == nil }
	}
	moments := map[string]func() bool{
		"the folder is there":        exists(dir),
		"the switch is there":        exists("/run/netns/vml-" + name + "-switch"),
		"a host has its files":       exists(dir + "/alpha/root/etc/libvirt/qemu.conf"),
		"the observer listens":       exists(dir + "/observer.sock"),
		"a host is mounted":          exists(dir + "/alpha/init.ready"),
		"a host has a network":       exists("/run/netns/vml-" + name + "-beta"),
		"a daemon runs":              exists(dir + "/beta/root/run/libvirtd.pid"),
		"the lab is up":              exists(dir + "/lab.json"),
		"a guest's process is there": exists(dir + "/alpha/root/run/libvirt/qemu/g.pid"),
	}
	for moment, reached := range moments {
		t.Run(moment, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestStartALabToBeKilled$", "-test.timeout", "1m")
			cmd.Env = append(os.Environ(), crashName+"="+name)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			defer lab.Down(context.Background(), name)
			await(t, moment, func() bool {
				select {
				case err := <-ended:
					t.Fatalf("the program that starts the lab ended: %v", err)
				default:
				}
				return reached()
			})
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			if len(traces(t, name)) == 0 {
				t.Fatal("the killed program left nothing, so this proves nothing")
			}
			if err := lab.Down(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if left := traces(t, name); len(left) > 0 {
				t.Errorf("it left:\n%s", strings.Join(left, "\n"))
			}
		})
	}
	t.Run("and can be started again over what is left", func(t *testing.T) {
		if err := os.MkdirAll(dir+"/alpha", 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := lab.Start(t.Context(), lab.Config{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if left := traces(t, name); len(left) > 0 {
			t.Errorf("it left:\n%s", strings.Join(left, "\n"))
		}
	})
}

func TestStartRefusesWhatCannotBe(t *testing.T) {
	l := labtest.Lab(t)
	for want, config := range map[string]lab.Config{
		"lab name":  {Name: "../x"},
		"host name": {Name: "labbad", Hosts: []string{"alpha", "alpha"}},
		"overlaps":  {Name: "labbad", Network: l.Network},
	} {
		if _, err := lab.Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", config, err)
		}
	}
	if left := traces(t, "labbad"); len(left) > 0 {
		t.Errorf("a refused lab left:\n%s", strings.Join(left, "\n"))
	}
	for want, config := range map[string]lab.GuestConfig{
		"no host":          {Name: "bad", Host: "gamma"},
		"cannot be filled": {Name: "bad", MemoryMiB: 128, FillMiB: 128},
		"guest name":       {Name: "a b"},
		"start guest":      {Name: "bad", Devices: "<nonsense"},
	} {
		if _, err := l.StartGuest(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", config, err)
		}
	}
	if l.Guest("bad") != nil {
		t.Error("a guest that could not be started is still there")
	}
}
