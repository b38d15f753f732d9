package migration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

const imageDir = "/var/lib/libvirt/images/"

// dataDisk makes an image with something in a tenth of it and returns the XML of a disk vdc; the guest
// does not touch it.
func dataDisk(t *testing.T, h *lab.Host, at, format string) string {
	t.Helper()
	ctx := labtest.Context(t, time.Minute)
	script := fmt.Sprintf("mkdir -p $(dirname %[1]s) && truncate -s 48M %[1]s.raw && dd if=/dev/urandom of=%[1]s.raw bs=1M seek=7 count=5 conv=notrunc status=none && qemu-img convert -f raw -O %[2]s %[1]s.raw %[1]s && rm %[1]s.raw", at, format)
	mustExec(t, ctx, h, "sh", "-c", script)
	t.Cleanup(func() {
		for _, h := range labtest.Lab(t).Hosts {
			_ = os.Remove(h.Path(at))
		}
	})
	return diskXML(at, format, "none")
}

func diskXML(at, format, cache string) string {
	return fmt.Sprintf("<disk type='file' device='disk'><driver name='qemu' type='%s' cache='%s'/><source file='%s'/><target dev='vdc' bus='virtio'/></disk>", format, cache, at)
}

func mustExec(t *testing.T, ctx context.Context, h *lab.Host, args ...string) string {
	t.Helper()
	out, err := h.Exec(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// content is the checksum of what a guest sees of an image, also while it runs.
func content(t *testing.T, h *lab.Host, at, format string) string {
	t.Helper()
	ctx := labtest.Context(t, time.Minute)
	return mustExec(t, ctx, h, "sh", "-c", fmt.Sprintf("qemu-img convert -U -f %s -O raw %s /tmp/content && sha256sum < /tmp/content && rm /tmp/content", format, at))
}

// allocated is the room an image takes.
func allocated(t *testing.T, h *lab.Host, at string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(h.Path(at), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func isThereOn(h *lab.Host, at string) bool {
	_, err := os.Lstat(h.Path(at))
	return err == nil
}

// mustLeaveNoPool asserts that no storage pool of ours and no probe is left on any host.
func mustLeaveNoPool(t *testing.T, l *lab.Lab) {
	t.Helper()
	ctx := labtest.Context(t, time.Minute)
	for _, h := range l.Hosts {
		out, err := h.Virsh(ctx, "pool-list", "--all", "--name")
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("storage pools on %s: %q (%v)", h.Name, out, err)
		}
		if left, _ := filepath.Glob(h.Path(imageDir) + "/" + probePrefix + "*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestCopyOfDisks(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	for _, c := range []struct {
		name, format string
		options      Options
	}{
		{"qcow2_tls_controller", "qcow2", Options{Control: ControlController}},
		{"raw_tls_peer_to_peer", "raw", Options{Control: ControlPeerToPeer, SourceImages: SourceImagesDelete}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := imageDir + strings.ReplaceAll(c.name, "_", "-") + "." + c.format
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 32, LocalDisk: true, Devices: dataDisk(t, alpha, at, c.format)})
			before, taken := content(t, alpha, at, c.format), allocated(t, alpha, at)
			c.options.Storage = StorageCopy
			o, err := labFleet(t, l).Migrate(labtest.Context(t, 2*time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: c.options})
			if err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			mustKeep(t, l, g, "beta", true, false)
			mustLeaveNoPool(t, l)
			if after := content(t, beta, at, c.format); after != before {
				t.Errorf("the copy's checksum is %s, the source's was %s", after, before)
			}
			if now := allocated(t, beta, at); now > taken+4<<20 {
				t.Errorf("the copy takes %d bytes, the source's image %d: it is not sparse any more", now, taken)
			}
			if kept := isThereOn(alpha, at); kept == (c.options.SourceImages == SourceImagesDelete) {
				t.Errorf("the source's image is there: %v", kept)
			}
			r := o.Result
			t.Logf("disk_total_bytes %v, disk_processed_bytes %v, disk_copy_ms %v, missing %v, warnings %q", deref(r.DiskTotalBytes), deref(r.DiskProcessedBytes), deref(r.DiskCopyMS), r.MissingFigures, o.Warnings)
			if strings.Join(r.CopiedDisks, " ") != "vdb vdc" || r.Storage != StorageCopy || !*r.Encrypted {
				t.Errorf("copied %q, storage %s, encrypted %v", r.CopiedDisks, r.Storage, *r.Encrypted)
			}
			if r.DiskCopyMS == nil || *r.DiskCopyMS <= 0 || *r.DiskCopyMS > *r.CopyMS {
				t.Errorf("disk_copy_ms %v of copy_ms %v", deref(r.DiskCopyMS), deref(r.CopyMS))
			}
			if r.DiskTotalBytes != nil && (*r.DiskTotalBytes < 112<<20 || *r.DiskTotalBytes > 116<<20) {
				t.Errorf("disk_total_bytes %d", *r.DiskTotalBytes)
			}
		})
	}
}

func deref(n *int64) any {
	if n == nil {
		return nil
	}
	return *n
}

func TestSelectedDisksAreCopiedAndOthersAreNot(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	at, shared := imageDir+"selected.qcow2", sharedDir(t)+"/other.raw"
	mustExec(t, labtest.Context(t, time.Minute), alpha, "truncate", "-s", "8M", shared)
	devices := dataDisk(t, alpha, at, "qcow2") + strings.ReplaceAll(diskXML(shared, "raw", "none"), "vdc", "vdd")
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Disk: true, Devices: devices})
	before := content(t, alpha, at, "qcow2")
	o, err := labFleet(t, l).Migrate(labtest.Context(t, 2*time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta",
		Options: Options{Storage: StorageCopy, MigrateDisks: []string{"vdc"}}})
	if err != nil {
		t.Fatal(err)
	}
	labtest.MustRun(t, g, "beta")
	if got := strings.Join(o.Result.CopiedDisks, " "); got != "vdc" {
		t.Errorf("copied %s", got)
	}
	if content(t, beta, at, "qcow2") != before {
		t.Error("the copy is not equal")
	}
	mustLeaveNoPool(t, l)
}

func TestIncrementalCopyStandsOnTheImageThatIsThere(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	ctx := labtest.Context(t, 3*time.Minute)
	for _, storage := range []Storage{StorageCopyIncremental, StorageCopy} {
		t.Run(string(storage), func(t *testing.T) {
			base := imageDir + strings.ReplaceAll(string(storage), "_", "-") + "-base.qcow2"
			top := strings.Replace(base, "base", "top", 1)
			_ = dataDisk(t, alpha, base, "qcow2")
			mustExec(t, ctx, alpha, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
			mustExec(t, ctx, alpha, "qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 2M", top)
			t.Cleanup(func() {
				for _, h := range l.Hosts {
					_ = os.Remove(h.Path(top))
				}
			})
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Devices: diskXML(top, "qcow2", "none")})
			before := content(t, alpha, top, "qcow2")
			request := Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Storage: storage}}
			if storage == StorageCopyIncremental {
				_, err := labFleet(t, l).Migrate(ctx, request)
				if err == nil || !strings.Contains(err.Error(), base) || !strings.Contains(err.Error(), "untouched on alpha") {
					t.Errorf("without the image below: %v", err)
				}
				if isThereOn(beta, top) {
					t.Error("an image was left on beta")
				}
				text, err := os.ReadFile(alpha.Path(base))
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(beta.Path(base)), 0o755), os.WriteFile(beta.Path(base), text, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := labFleet(t, l).Migrate(ctx, request); err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			if content(t, beta, top, "qcow2") != before {
				t.Error("what the guest sees is not the same any more")
			}
			info := mustExec(t, ctx, beta, "qemu-img", "info", "-U", top)
			if based := strings.Contains(info, "backing file"); based != (storage == StorageCopyIncremental) {
				t.Errorf("the copy: %s", info)
			}
			// it also starts there from nothing
			if _, err := beta.Virsh(ctx, "destroy", g.Name); err != nil {
				t.Fatal(err)
			}
			if _, err := beta.Virsh(ctx, "start", g.Name); err != nil {
				t.Errorf("start it anew on beta: %v", err)
			}
			mustLeaveNoPool(t, l)
		})
	}
}

// sharedDir is a folder that all hosts of the lab have at the same path.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "virtmigrate-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSharedStorageIsProved(t *testing.T) {
	l := labtest.Lab(t)
	alpha := l.Host("alpha")
	ctx := labtest.Context(t, 3*time.Minute)
	shared := sharedDir(t)
	for _, control := range []Control{ControlController, ControlPeerToPeer} {
		t.Run(string(control), func(t *testing.T) {
			at := shared + "/" + string(control) + ".raw"
			mustExec(t, ctx, alpha, "truncate", "-s", "8M", at)
			g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Devices: diskXML(at, "raw", "none")})
			o, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Control: control}})
			if err != nil {
				t.Fatal(err)
			}
			labtest.MustRun(t, g, "beta")
			if len(o.Result.CopiedDisks) != 0 || o.Result.DiskTotalBytes != nil {
				t.Errorf("result %+v", o.Result)
			}
		})
	}
	if left, _ := filepath.Glob(shared + "/" + probePrefix + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	mustLeaveNoPool(t, l)
}

func TestStorageThatIsNotSharedIsRefused(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	ctx := labtest.Context(t, 3*time.Minute)
	patience := probePatience
	probePatience = 2 * time.Second
	t.Cleanup(func() { probePatience = patience })
	at := imageDir + "not-shared.raw"
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Devices: dataDisk(t, alpha, at, "raw")})
	refused := func(t *testing.T, o Options, says ...string) {
		t.Helper()
		_, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: o})
		var e *Error
		if !errors.As(err, &e) || e.Host != "alpha" || !strings.Contains(err.Error(), "untouched on alpha") {
			t.Fatalf("error %v", err)
		}
		for _, text := range says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%q does not say %q", err, text)
			}
		}
	}
	refused(t, Options{}, "not on storage that both hosts share", "storage copy")
	// a file of the same name and size there proves nothing
	if err := os.MkdirAll(beta.Path(imageDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beta.Path(at), make([]byte, 48<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, Options{}, "not on storage that both hosts share", "does not appear on beta")
	refused(t, Options{Storage: StorageCopy}, "already has "+at, "existing_images")
	labtest.MustRun(t, g, "alpha")
	before := content(t, alpha, at, "raw")
	if _, err := labFleet(t, l).Migrate(ctx, Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Storage: StorageCopy, ExistingImages: ExistingImagesOverwrite}}); err != nil {
		t.Fatal(err)
	}
	labtest.MustRun(t, g, "beta")
	if content(t, beta, at, "raw") != before {
		t.Error("the copy is not equal")
	}
	mustLeaveNoPool(t, l)
}

func TestImageOfAnotherDomainIsNeverOverwritten(t *testing.T) {
	l := labtest.Lab(t)
	at := imageDir + "somebodys.raw"
	owner := labtest.Guest(t, lab.GuestConfig{Host: "beta", Devices: dataDisk(t, l.Host("beta"), at, "raw")})
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Devices: dataDisk(t, l.Host("alpha"), at, "raw")})
	before := content(t, l.Host("beta"), at, "raw")
	_, err := labFleet(t, l).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta",
		Options: Options{Storage: StorageCopy, ExistingImages: ExistingImagesOverwrite}})
	if err == nil || !strings.Contains(err.Error(), owner.Name) {
		t.Errorf("error %v", err)
	}
	if content(t, l.Host("beta"), at, "raw") != before {
		t.Error("it was overwritten")
	}
	labtest.MustRun(t, g, "alpha")
	labtest.MustRun(t, owner, "beta")
}

// TestCopyNeverOverwritesTheDiskItself: who asks for a copy on storage that is shared, and for existing images
// to be overwritten, would lose the only one.
func TestCopyNeverOverwritesTheDiskItself(t *testing.T) {
	l := labtest.Lab(t)
	at := sharedDir(t) + "/only.raw"
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", Devices: dataDisk(t, l.Host("alpha"), at, "raw")})
	before := content(t, l.Host("alpha"), at, "raw")
	_, err := labFleet(t, l).Migrate(labtest.Context(t, time.Minute), Request{Guest: GuestRef{Name: g.Name}, Host: "beta",
		Options: Options{Storage: StorageCopy, ExistingImages: ExistingImagesOverwrite}})
	if err == nil || !strings.Contains(err.Error(), "overwrite it with itself") || !strings.Contains(err.Error(), "untouched on alpha") {
		t.Errorf("error %v", err)
	}
	labtest.MustRun(t, g, "alpha")
	if content(t, l.Host("alpha"), at, "raw") != before {
		t.Error("it was overwritten")
	}
	mustLeaveNoPool(t, l)
}
