// Package fakelibvirt is libvirt's daemon and QEMU driver in memory, as far as virtmigrate uses them, for tests. It
// speaks libvirt's RPC over pipes in memory, so that internal/host talks to it as to a real daemon, and it lives
// within a bubble of testing/synctest: nothing in it is real I/O, nothing holds a lock while it waits, and all its
// waiting is on the bubble's clock.
//
// A [World] is several hosts ([Daemon]) that reach one another, and the disks that their guests share. A guest's
// memory is a number that counts up while the guest runs, and its disk remembers the number of the last write. So the
// world sees what must never happen: two copies that run, memory older than the guest's last run, a running copy that
// is destroyed. It keeps these as [World.Violations].
//
// A test may hold every request before it takes effect ([World.Gate]), and so choose in which order they do, lose one
// or its reply, and let something foreign happen in between. What a migration does by itself (the switchover, the end
// of the copy, the start of the processors) passes the same gate.
//
// The conformance suite of internal/host runs on this package and on real daemons. Where the two differ, this one is
// wrong.
package fakelibvirt
