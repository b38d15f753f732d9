// Package journal is the record of a move, kept on the hosts it concerns and nowhere else. Controllers come and go:
// any of them, with any user and an empty home, reads here what another one began, and finishes or undoes it.
//
// # What is kept where
//
//	on                            what                           written            gone
//	the guest, on the source      [Move], role leaving           before begin       with the source's definition
//	its definition, destination   [Move], role awaited           before begin       finish overwrites it
//	the guest, on the destination [Move], role leaving           came with it       when the source is seen clean
//	                              role arrived                   after finish
//	a definition of our own       [Files], one for each host     before each file   when no file is left
//
// The awaited record is a token that libvirt itself consumes. libvirt's finish writes the guest's definition over the
// one that the destination has, before it starts the processors (qemuMigrationDstFinishFresh in libvirt's
// src/qemu/qemu_migration.c: qemuMigrationDstPersist, then qemuProcessStartCPUs). So a token that is still there proves
// that the guest never ran there in this attempt. A token that is gone proves nothing.
//
// Where the destination has no definition of the guest, the token lives in a stub: a definition of the guest's name
// and UUID without disks and interfaces. libvirt's prepare accepts it, and a failed migration leaves it as it was.
//
// # Invariants
//
//  1. A record is bytes from outside. It is bounded, it is parsed strictly, and what does not parse is no record.
//  2. A record holds no secret: everybody who may connect read-only sees it.
//  3. A record that travelled with a guest never makes its host lose anything. A file is deleted only by the [Files]
//     that were written on its own host.
package journal
