package migration

import (
	"bytes"
	"time"

	"github.com/beevik/etree"
)

// clockStamp is a host's own wall clock, in milliseconds of the Unix era, as libvirt wrote it into a
// migration cookie, and the moment at which that cookie arrived here.
type clockStamp struct {
	hostMS int64
	at     time.Time
}

// stampOf reads the time of sending out of a cookie. libvirt puts it beside the statistics of the job
// (element statistics, sent; https://gitlab.com/libvirt/libvirt/-/blob/master/src/qemu/qemu_migration_cookie.c).
// A cookie without it, or one that cannot be read, gives a stamp that is not known.
func stampOf(cookie []byte) clockStamp {
	now := time.Now()
	if len(cookie) > 4<<20 {
		return clockStamp{}
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(bytes.TrimRight(cookie, "\x00")); err != nil {
		return clockStamp{}
	}
	sent := doc.FindElement("//statistics/sent")
	if sent == nil {
		return clockStamp{}
	}
	ms, ok := parseMS(sent.Text())
	if !ok {
		return clockStamp{}
	}
	return clockStamp{hostMS: ms, at: now}
}

func (c clockStamp) known() bool { return c.hostMS != 0 }

// skew is how far the destination's clock is ahead of the source's: the difference of the stamps, less
// the time that passed here between them.
func skew(source, destination clockStamp) (ms int64, known bool) {
	if !source.known() || !destination.known() {
		return 0, false
	}
	return destination.hostMS - source.hostMS - destination.at.Sub(source.at).Milliseconds(), true
}
