// Package relay is the side-band path of guest memory: two small processes that carry the bytes of two
// QEMUs' sockets over TLS 1.3, with nothing installed or configured on the hosts beforehand. It knows
// sockets and bytes; of libvirt it knows which calls belong to a migration (guard.go), and of migrations nothing else.
//
//	source host                                    destination host
//	QEMU ──UNIX socket──> relay ═══ TLS 1.3 ═══> relay ──UNIX socket──> QEMU
//	                       ^  one TLS connection     ^
//	                       │  for each of QEMU's     │
//	          control channel (standard input and output, over SSH)
//	                       └──── controller ─────────┘
//
// # The story of one channel
//
// The source's relay listens on a UNIX socket. Each connection it accepts is a [channel]: a TLS
// connection ([link]) is opened for it, the destination's relay connects to a UNIX socket of the same
// name, and only when it has is the next connection accepted, because QEMU takes the first that arrives
// for the main one. Both directions of a channel are numbered chunks. The sender keeps each until the
// receiver says that it stands in QEMU's socket; so when a link breaks, another takes its place and both
// sides go on from what the other has, and QEMU never notices.
//
// # Speed
//
// What costs is moving bytes between processors and waking their next owner, more than encrypting them. So a chunk is
// sealed by the processor that has just read it and written by the one that has just opened it ([Settings] says on how
// many a relay works), little waits in the kernel ([wire]), QEMU's sockets hold more than a chunk (room.go), system calls
// are hidden from Go's scheduler ([socket]), and the whole process lets others go first.
//
// # Invariants
//
//  1. Nobody but the one peer gets a word in: each relay makes a key for this one migration, never
//     written to a file, and accepts only the certificate whose hash came over the control channel. Unfinished
//     handshakes are bounded in number and time.
//  2. The UNIX sockets lie in a directory that only the relay and QEMU can enter, and whoever connects is
//     asked for its user all the same.
//  3. Every chunk is delivered once and in order, or the channel fails, with a text that reaches the
//     other side and the controller.
//  4. Memory is bounded: at most a window of chunks each way and channel. A slow QEMU slows the other down.
//  5. A relay ends by itself: with its control channel, or under [Settings.Detached] with its channels.
//     It removes what it made.
//
// Each goroutine has one owner: a [channel]'s are ended and awaited by its run, everything else by [Serve].
package relay
