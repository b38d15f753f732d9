package migration

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/beevik/etree"
)

// maxCookie is libvirt's own limit of a migration cookie.
const maxCookie = 4 << 20

// clockDelta reads, out of the cookie the destination returns at the end, by how many milliseconds its
// clock was ahead of the source's time stamp when that arrived. libvirt keeps it beside the statistics
// of the job (https://gitlab.com/libvirt/libvirt/-/blob/master/src/qemu/qemu_migration_cookie.c), and
// there, other than in the statistics it reports, also when it is negative.
func clockDelta(cookie []byte) (ms int64, known bool) {
	if len(cookie) > maxCookie {
		return 0, false
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(bytes.TrimRight(cookie, "\x00")); err != nil {
		return 0, false
	}
	delta := doc.FindElement("//statistics/delta")
	if delta == nil {
		return 0, false
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(delta.Text()), 10, 64)
	return ms, err == nil
}
