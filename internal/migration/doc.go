// Package migration moves a running guest between two libvirt hosts and says truthfully what it cost.
// It is the whole of virtmigrate's thinking; the Terraform provider and the Ansible module only carry
// requests in and results out, and the package knows neither of them.
//
// # The story of one move
//
// A [Fleet] holds the hosts a user named. [Fleet.Migrate] takes a [Request] through six phases:
//
//	locate   ask every host at once where the guest is; bring what an interrupted run left to a good end
//	inspect  read-only facts of source, destination and domain
//	decide   a pure function of request and facts: transport, control, flags, blockers, warnings
//	run      perform, with one goroutine watching the job and one sampling both hosts' CPU beside it
//	verify   ask both hosts where the guest is now
//	result   the figures
//
// [Fleet.Plan] goes as far as decide and creates nothing on any host. decide goes through one table, [Checks];
// [Fleet.Preflight] reports what came of every row, and can ask libvirt itself by a dry run.
//
//	        controller (this process)
//	       /  begin, prepare, perform,  \
//	      /   finish, confirm (libvirt   \
//	     v    RPC over unix, tls or ssh)  v
//	libvirtd ── source        destination ── libvirtd
//	   │                                      │
//	 QEMU ═══════ guest memory (transport) ══> QEMU
//
// Over the transport relay two processes of package relay stand between the QEMUs. The run starts them before
// libvirt hears of the move, owns them, and ends them when the outcome is known.
//
// # Invariants
//
//  1. Never two running copies of a guest, and never none unless the guest itself had stopped. A stopped
//     source goes on only on proof that its copy never ran: the token of the attempt is still on the
//     destination, or this very process saw the copy end without having started. That nothing is to be seen
//     is no proof. Under peer_to_peer libvirt's own rule applies, and what it can leave is detected and named.
//  2. Never an unencrypted byte of guest memory, or of a copied disk, unless the request says allow_plain.
//  3. Whatever fails, the [Error] says in which phase, where the guest is now, and what to do.
//  4. After a failure nothing of ours stays behind, except a pair only a person may decide, which is named.
//     What a killed process left is in the records of package journal on the hosts, and the next run of
//     any controller takes it away.
//  5. A reported figure agrees with an independent measurement. A figure that could not be had is nil
//     and [Result.MissingFigures] says why. No duration subtracts two hosts' clocks.
//  6. No image is written to that was not made for the move, or that the request did not give up; none that
//     a domain uses is deleted. Shared storage is proved before libvirt is told to take our word for it.
//
// The outcome of a run has one owner, the goroutine that called Migrate: watchers observe, and never
// write it.
package migration
