package migration

import (
	"testing"
	"time"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

func TestMomentsOfOneGuestAreToldFromThoseOfOthers(t *testing.T) {
	const guest, other = "u", "v"
	at := time.Now()
	told := func(source, destination []host.Event) *moments {
		stream := func(events []host.Event) <-chan host.Event {
			c := make(chan host.Event, len(events))
			for i, e := range events {
				e.At = at.Add(time.Duration(i) * time.Second)
				c <- e
			}
			close(c)
			return c
		}
		var m moments
		tell, err := newTeller(Request{})
		if err != nil {
			t.Fatal(err)
		}
		m.listen(guest, stream(source), stream(destination), tell)
		return &m
	}
	m := told([]host.Event{{UUID: guest, Kind: host.EventSuspended, Detail: host.SuspendedMigrated}},
		[]host.Event{{UUID: guest, Kind: host.EventStarted}, {UUID: guest, Kind: host.EventResumed}, {UUID: guest, Kind: host.EventIOError}})
	if stopped, received, resumed := m.read(); !stopped.Equal(at) || !received.Equal(at) || !resumed.Equal(at.Add(time.Second)) || !m.disksFailed() {
		t.Errorf("stopped %v, received %v, resumed %v, disks failed %v", stopped, received, resumed, m.disksFailed())
	}
	m = told([]host.Event{{UUID: guest, Kind: host.EventIOError}},
		[]host.Event{{UUID: other, Kind: host.EventIOError}, {UUID: other, Kind: host.EventResumed}})
	if _, _, resumed := m.read(); !resumed.IsZero() || m.disksFailed() {
		t.Errorf("another guest's, or the source's, count: resumed %v, disks failed %v", resumed, m.disksFailed())
	}
}
