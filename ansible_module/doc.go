// Command domain is the Ansible module virtmigrate.libvirt.domain: it brings a running guest to a host.
//
// Ansible starts a binary module with one argument, a JSON file of options, and reads one JSON document
// from its standard output. It checks nothing on the way: neither names nor types of options, nor whether
// the module may run in check mode. So this package does, before any host is dialled:
//
//	args file ── readArguments ──> arguments ──> migration.Fleet ──> response ── standard output
//
// What holds:
//   - Exactly one JSON document is printed, whatever happens: bad options, an unreachable host, SIGTERM.
//   - An option nobody knows is refused, because a misspelt allow_plain or host must not be passed over.
//   - In check mode only Fleet.Plan is called, which creates nothing on any host.
//   - Nothing that could be a secret is printed.
//
// The names of options and results are those of package migration; nothing is decided here.
package main
