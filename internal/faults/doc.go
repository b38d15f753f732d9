// Package faults breaks real migrations and then asks what became of the guest. It has no code but its tests, and
// ships with nothing.
//
// # The story of one row
//
// A guest runs on host alpha of a lab: it beats, writes and checks memory and disk, and holds a TCP session open. A
// controller, a process of its own, moves it to beta over a slow link. When it reports the row's moment (so many bytes
// copied; the switchover has begun), the row's fault happens. Nothing here waits for a time instead of an event. When
// the controller has ended, or was killed, what a person or a service manager would mend is mended: daemons start, cables
// are plugged in. Then both hosts and the guest itself are asked for the truth, and another run is made, as a person
// would. In the end:
//
//   - never did two copies run, and the guest's memory, disk and session are as they were
//   - after the next run it runs on beta, and nothing of any attempt is left on either host
//   - an error said where the guest is, and it was there
//
// What physics or libvirt do not allow otherwise is named in the row's fault, with the reason, and held to that.
//
// All rows take hours; `make test-faults` plays them, and writes build/faults/results.json. VIRTMIGRATE_FAULTS=missing
// plays those that are not in it yet. Without either, a few that stand for the others are played.
package faults
