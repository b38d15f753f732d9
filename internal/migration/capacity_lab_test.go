package migration

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab"
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/lab/labtest"
)

// TestARawDiskThatLooksLikeAnImageIsCopied: a guest may write what it likes to its disk, the header of a qcow2 image of
// 1 TiB among it, and is moved with its disk as it is.
func TestARawDiskThatLooksLikeAnImageIsCopied(t *testing.T) {
	l := labtest.Lab(t)
	alpha, beta := l.Host("alpha"), l.Host("beta")
	at := imageDir + "looks-like-qcow2.raw"
	g := labtest.Guest(t, lab.GuestConfig{Host: "alpha", FillMiB: 32, Devices: dataDisk(t, alpha, at, "raw")})
	header := make([]byte, 512)
	copy(header, "QFI\xfb")
	binary.BigEndian.PutUint32(header[4:], 2)      // version
	binary.BigEndian.PutUint32(header[20:], 16)    // cluster bits
	binary.BigEndian.PutUint64(header[24:], 1<<40) // size
	f, err := os.OpenFile(alpha.Path(at), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(header, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	before := content(t, alpha, at, "raw")
	request := Request{Guest: GuestRef{Name: g.Name}, Host: "beta", Options: Options{Storage: StorageCopy}}
	if _, err := labFleet(t, l).Migrate(labtest.Context(t, 2*time.Minute), request); err != nil {
		t.Fatal(err)
	}
	labtest.MustRun(t, g, "beta")
	if after := content(t, beta, at, "raw"); after != before {
		t.Errorf("the copy's checksum is %s, the source's was %s", after, before)
	}
	mustLeaveNoPool(t, l)
}
