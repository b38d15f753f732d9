package migration

// Checks is the table of everything that is looked at before a guest moves, in the order in which it is.
// Some rows also decide: which transport, who drives, what becomes of disks.
func Checks() []Check { return append([]Check{}, checks...) }

// silently is a check whose pass needs no words.
func silently(look func(p *Plan, o Options, fa facts, block blocker)) func(*Plan, Options, facts, blocker) string {
	return func(p *Plan, o Options, fa facts, block blocker) string {
		look(p, o, fa, block)
		return ""
	}
}

var checks = []Check{
	{
		ID: "driver", LooksAt: "libvirt's hypervisor driver on both hosts", look: checkDrivers,
		Why: "only guests of QEMU can be moved", ToDo: "use a qemu URI",
	},
	{
		ID: "host_uuid", LooksAt: "whether the two hosts have UUIDs of their own", look: checkHostUUIDs,
		Why: "libvirt takes two hosts with one UUID for the same, and refuses to migrate between them", ToDo: "set a distinct host_uuid in libvirtd.conf of one of them and restart its daemon",
	},
	{
		ID: "architecture", LooksAt: "the architectures of both hosts", look: checkArchitectures,
		Why: "a running guest cannot go on with processors of another architecture", ToDo: "choose a host of the same architecture",
	},
	{
		ID: "clocks", LooksAt: "the clocks of both hosts, where there is an SSH login", look: checkClocks,
		Why: "certificates are judged by each host's own clock, and a guest's clock may jump with its host's", ToDo: "let NTP set both hosts' clocks",
	},
	{
		ID: "name", LooksAt: "whether name and UUID of the guest are free on the destination", look: checkName,
		Why: "a host has one domain of a name and of a UUID", ToDo: "rename or undefine the other domain",
	},
	{
		ID: "state", LooksAt: "the state of the guest", look: checkState,
		Why: "a guest in between states cannot be moved", ToDo: "bring it to a running state, or shut it off",
	},
	{
		ID: "job", LooksAt: "whether a job of another kind runs on the guest", look: checkJob,
		Why: "libvirt runs one job on a guest at a time", ToDo: "wait for its end: virsh domjobinfo shows it",
	},
	{
		ID: "devices", LooksAt: "devices of the host and other things that QEMU cannot migrate", runs: true, look: checkDevices,
		Why: "their state stays on the host", ToDo: "detach them, or shut the guest off to move it",
	},
	{
		ID: "snapshots", LooksAt: "snapshots of the guest", look: checkSnapshots,
		Why: "libvirt does not migrate a guest with snapshots", ToDo: "delete them, or their metadata: virsh snapshot-delete --metadata",
	},
	{
		ID: "checkpoints", LooksAt: "checkpoints of the guest", look: checkCheckpoints,
		Why: "libvirt would drop them without a word, and the next incremental backup would fail", ToDo: "delete them: virsh checkpoint-delete",
	},
	{
		ID: "shut_off", LooksAt: "what lies beside the definition of a guest that is shut off: saved state, TPM, variables of the firmware", off: true, look: silently(checkShutOff),
		Why: "only the definition of such a guest moves", ToDo: "start the guest, and move it while it runs",
	},
	{
		ID: "machine", LooksAt: "whether the destination has the guest's emulator and machine type", look: checkMachine,
		Why: "the guest's QEMU is started there with the same ones", ToDo: "install the same or a newer QEMU there, at the same path",
	},
	{
		ID: "models", LooksAt: "whether the destination's QEMU has the models of the guest's devices", look: checkModels,
		Why: "distributions leave out parts of QEMU", ToDo: "install the missing part there, or give the guest another model",
	},
	{
		ID: "cpu", LooksAt: "whether the destination's hypervisor can give the guest its CPU", look: checkGuestCPU,
		Why: "a guest whose CPU loses a feature while it runs crashes", ToDo: "choose a host with the same or newer CPUs, or give the guest a CPU model that both hosts have (virsh hypervisor-cpu-baseline)",
	},
	{
		ID: "networks", LooksAt: "the networks, bridges and devices on the destination that the guest's interfaces are on", look: checkNetworks,
		Why:  "the guest is not started there without them, and loses its connections where they are another network",
		ToDo: "make them there, with the same names; connections that must last need a bridge on a network that both hosts are on",
	},
	{
		ID: "memory", LooksAt: "free memory of the destination", runs: true, look: checkMemory,
		Why: "QEMU starts without its memory being set aside, so that a lack shows later: the host swaps, or kills a guest", ToDo: "free memory there, or choose another host",
	},
	{
		ID: "huge_pages", LooksAt: "free huge pages of the destination, for a guest that uses them", runs: true, look: checkHugePages,
		Why: "QEMU does not start without them", ToDo: "set huge pages aside there: virsh allocpages",
	},
	{
		ID: "disks", LooksAt: "every disk that is a file or device of its host: whether it is shared, or can be copied", look: silently(decideStorage),
		Why: "the guest reads and writes the same data on the destination, or loses it", ToDo: "choose storage copy, or put the disk on storage that both hosts reach; a dry run proves what is shared",
	},
	{
		ID: "network_disks", LooksAt: "whether the destination reaches the servers of the guest's network disks, where there is an SSH login", look: checkNetworkDisks,
		Why: "the guest's QEMU there opens them itself; an SSH server that opens no connections for its users tells nothing", ToDo: "mend the way from the destination to the server",
	},
	{
		ID: "cache_modes", LooksAt: "cache modes of disks that are shared", look: checkCacheModes,
		Why: "what a cache of the source holds back, the destination does not read", ToDo: "set cache='none' in the disk's <driver>",
	},
	{
		ID: "transport", LooksAt: "which transports both hosts can do, and whether the chosen one is encrypted", runs: true, look: checkTransport,
		Why: "guest memory holds keys and passwords", ToDo: "choose transport auto; the guide on transports says what each needs",
	},
	{
		ID: "certificates", LooksAt: "QEMU's certificates on both hosts, where there is an SSH login: present, valid by the host's clock, of one CA, for the destination's name", runs: true, look: checkCertificates,
		Why: "transport tls fails at its handshake without them", ToDo: "renew the certificate; the guide on transports says where they lie",
	},
	{
		ID: "address", LooksAt: "the destination's address and ports for migrations", runs: true, look: checkAddress,
		Why: "the source connects to the destination itself, not by way of this machine", ToDo: "set migration_address, and open the ports in the destination's firewall",
	},
	{
		ID: "control", LooksAt: "who can drive the migration", runs: true, look: checkControl,
		Why: "with peer_to_peer the source's daemon logs in to the destination's", ToDo: "set peer_uri, and try it on the source: virsh -c PEER_URI list",
	},
	{
		ID: "post_copy", LooksAt: "whether post-copy, where it is asked for, is allowed and safe", runs: true, look: checkPostCopy,
		Why: "once it has begun, a failure stops the guest", ToDo: "set vm.unprivileged_userfaultfd = 1 on both hosts, or choose another convergence.on_timeout",
	},
	{
		ID: "versions", LooksAt: "versions of libvirt and QEMU with known defects", runs: true, look: checkVersions,
		Why: "some pairs of versions fail only at the end of a migration", ToDo: "update the host, or choose another one",
	},
	{
		ID: "concurrent", LooksAt: "other guests that are arriving at either host", look: checkConcurrent,
		Why: "migrations share the network and the hosts' processors, and a busy guest may then not converge", ToDo: "wait for their end",
	},
	{
		ID: "begin", LooksAt: "what libvirt and QEMU themselves say of the guest on the source: their own list of what cannot be migrated", runs: true, deep: true, look: beginToBeConfirmed,
		Why: "they know of things that no description shows", ToDo: "a dry run asks them; so does every move, before any guest memory leaves",
	},
	{
		ID: "prepare", LooksAt: "whether the destination starts a QEMU that waits for the guest", runs: true, deep: true, look: prepareToBeConfirmed,
		Why: "this opens its disks and bridges, and reads its certificates and keys", ToDo: "a dry run tries it; so does every move, before any guest memory leaves",
	},
	{
		ID: "way", LooksAt: "whether a paused guest of our own, of 32 MiB and without disks, makes the whole way to the destination", runs: true, deep: true, look: wayToBeConfirmed,
		Why: "no other question shows closed ports, or a certificate or login that the other side does not take", ToDo: "a dry run tries it; a move that fails at it leaves the guest where it is",
	},
}
