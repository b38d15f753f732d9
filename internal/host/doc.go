// Package host reaches one libvirt host and speaks with its daemon in typed Go.
//
// A [Host] is made by [Dial] from a libvirt URI. It owns two kinds of connection to the daemon:
//
//   - the control connection, shared by every question about the host (facts, domain state, job
//     statistics, CPU counters) and by the calls that must get through while a migration blocks
//     (abort, resume, destroy). When it breaks, the next question dials it again;
//   - a [Session] for each migration, on a connection of its own. libvirt ties an unfinished migration
//     to the connection that began it and undoes it when that connection closes, so a Session is never
//     redialled behind its owner's back and [Session.Close] is the hard end of the migration.
//
// Invariants:
//
//   - Every call takes a context and, but for the one that sends a guest, has a deadline. libvirt's RPC
//     cannot take a call back: a call that is not answered in time costs its connection. A session's is
//     closed at once; the control connection takes no more calls and closes when the others under way
//     on it are answered.
//   - A daemon that gives no sign of life for 30 s is given up, and it is told to do the same with us.
//   - Close closes every socket the host opened, the SSH connection included, and never waits for the
//     daemon.
//   - The far side is always verified: host keys against known_hosts or the keys given with the host,
//     certificates against the CA. Parameters that would switch this off are refused.
//   - Nothing a user wrote reaches a shell.
//   - An error from libvirt keeps its code ([Code]); a host that cannot be reached is [ErrUnreachable].
//
// The package knows nothing of migrations beyond their calls: which to make, and in which order, is the
// engine's business.
package host
