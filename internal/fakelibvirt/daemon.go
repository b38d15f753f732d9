package fakelibvirt

import (
	"fmt"
	"maps"
	"slices"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// Daemon is one host with its libvirt daemon. Everything in it is guarded by its world's lock.
type Daemon struct {
	world *World
	name  string
	uuid  string
	down  bool

	domains map[string]*domain // by UUID
	pools   map[string]*pool   // by name
	clients map[*client]struct{}
	// broken are the names of incoming domains whose QEMU ended before its finish.
	broken map[string]bool
	// lastID numbers running instances, lastCallback those who listen.
	lastID, lastCallback int32
}

// UUID is the host's in libvirt's capabilities.
func (d *Daemon) UUID() string { return d.uuid }

// pool is a storage pool, as far as a boot mark needs one.
type pool struct {
	name, text      string
	active, defined bool
}

// domain is one guest on one host.
type domain struct {
	daemon     *Daemon
	name, uuid string
	// config is the persistent definition, nil for none. before is what it was before it was last written, at that time:
	// until the kernel has brought the folder to the disk, a power cut may bring that back.
	config, before *description
	written        time.Time
	// live is the running instance, nil when the domain is off. off says why it is.
	live      *instance
	off       host.State
	autostart bool
	job       *job
	downtime  uint64
	// completed: the destination of a migration that ended well keeps its figures.
	completed bool
}

// instance is one QEMU.
type instance struct {
	description
	id    int32
	state host.State
	// memory is the number up to which the guest's memory is new; 0 in a QEMU that waits for it.
	memory int
	// sent: the guest has left this QEMU, which sends it no second time. held: its user has paused it.
	sent, held bool
}

func (i *instance) runs() bool { return i.state.Running() }

// job is a migration that holds a domain.
type job struct {
	// incoming: at its destination.
	incoming bool
	phase    phase
	// owner's end ends what is unfinished.
	owner *client
	// paused: the guest stood still by its user's wish when it began.
	paused bool
	// abort: somebody has asked for its end. peer: the daemon drives.
	abort, peer bool
	flags       host.Flags
	// there is the other half.
	there *domain
}

// phase is how far a migration is.
type phase int

const (
	phaseBegun phase = iota
	phasePrepared
	phasePerforming
	phasePerformed
	phaseFinishing
)

func (dom *domain) wire() libvirt.Domain {
	id := int32(-1)
	if dom.live != nil {
		id = dom.live.id
	}
	return libvirt.Domain{Name: dom.name, UUID: libvirt.UUID(uuid.MustParse(dom.uuid)), ID: id}
}

// state is what libvirt says of the domain.
func (dom *domain) state() host.State {
	if dom.live != nil {
		return dom.live.state
	}
	return dom.off
}

// find looks a domain up as the daemon does for most calls: by its UUID.
func (d *Daemon) find(dom libvirt.Domain) (*domain, error) {
	id := uuid.UUID(dom.UUID).String()
	found := d.domains[id]
	if found == nil {
		return nil, fail(libvirt.ErrNoDomain, "Domain not found: no domain with matching uuid '%s' (%s)", id, dom.Name)
	}
	return found, nil
}

// active is find for calls that need a running instance.
func (d *Daemon) active(dom libvirt.Domain) (*domain, error) {
	found, err := d.find(dom)
	if err == nil && found.live == nil {
		err = invalid("domain is not running")
	}
	return found, err
}

// named finds a domain by its name, nil for none.
func (d *Daemon) named(name string) *domain {
	for _, dom := range d.domains {
		if dom.name == name {
			return dom
		}
	}
	return nil
}

// sorted are the domains in an order that does not change.
func (d *Daemon) sorted() []*domain {
	var list []*domain
	for _, id := range slices.Sorted(maps.Keys(d.domains)) {
		list = append(list, d.domains[id])
	}
	return list
}

// define writes a persistent definition, new or over the one that is there.
func (d *Daemon) define(desc description) (*domain, error) {
	dom := d.domains[desc.uuid]
	if dom == nil {
		if other := d.named(desc.name); other != nil {
			return nil, failed("domain '%s' already exists with uuid %s", desc.name, other.uuid)
		}
		dom = d.add(desc)
	}
	if dom.name != desc.name {
		return nil, failed("domain '%s' is already defined with uuid %s", dom.name, dom.uuid)
	}
	dom.persist(desc)
	d.lifecycle(dom, host.EventDefined, 0)
	return dom, nil
}

func (d *Daemon) add(desc description) *domain {
	dom := &domain{daemon: d, name: desc.name, uuid: desc.uuid, off: host.State{State: host.StateShutOff}, downtime: 300}
	d.domains[desc.uuid] = dom
	if d.world.disks[desc.uuid] == nil {
		d.world.disks[desc.uuid] = &disk{}
	}
	return dom
}

// persist replaces the definition. A power cut may bring the one before back.
func (dom *domain) persist(desc description) {
	dom.rewrite()
	written := desc.clone()
	dom.config = &written
}

// rewrite notes that the definition is about to be another one, or none.
func (dom *domain) rewrite() {
	dom.before, dom.written = nil, time.Now()
	if dom.config != nil {
		before := dom.config.clone()
		dom.before = &before
	}
}

// unsynced says that a power cut brings back what the definition was before.
func (dom *domain) unsynced() bool { return dom.before != nil && time.Since(dom.written) < syncTime }

// syncTime is for how long Linux may keep what was written in memory alone (vm.dirty_expire_centisecs).
const syncTime = 30 * time.Second

// undefine removes the definition, and the domain with it when nothing runs.
func (dom *domain) undefine() {
	dom.rewrite()
	dom.config, dom.autostart = nil, false
	dom.daemon.lifecycle(dom, host.EventUndefined, 0)
	dom.dropIfEmpty()
}

func (dom *domain) dropIfEmpty() {
	if dom.live == nil && dom.config == nil {
		delete(dom.daemon.domains, dom.uuid)
	}
}

// start makes an instance that does not run yet.
func (dom *domain) start(desc description, state host.State) {
	dom.daemon.lastID++
	dom.live = &instance{description: desc.clone(), id: dom.daemon.lastID, state: state}
}

// boot starts the guest anew, from its disk.
func (dom *domain) boot(desc description) {
	dom.start(desc, host.State{State: host.StatePaused, Reason: host.PausedStartingUp})
	dom.live.memory = dom.daemon.world.disks[dom.uuid].version
	dom.daemon.lifecycle(dom, host.EventStarted, 0)
	dom.run(host.RunningBooted, 0)
}

// run lets the processors go on, which is where a guest may be harmed.
func (dom *domain) run(reason, detail int) {
	w := dom.daemon.world
	for _, other := range w.daemons {
		if o := other.domains[dom.uuid]; o != nil && o != dom && o.live != nil && o.live.runs() {
			w.violation("two running copies: on %s beside %s", dom.daemon.name, other.name)
		}
	}
	if dom.live.memory < w.disks[dom.uuid].version {
		w.violation("old memory: on %s the guest goes on with memory %d, and its disk is at %d",
			dom.daemon.name, dom.live.memory, w.disks[dom.uuid].version)
	}
	if dom.live.held {
		w.violation("let go on: on %s the guest runs, and its user had paused it", dom.daemon.name)
	}
	dom.live.sent, dom.live.held = false, false
	w.disks[dom.uuid].version++ // it writes at once
	dom.live.memory = w.disks[dom.uuid].version
	dom.live.state = host.State{State: host.StateRunning, Reason: reason}
	dom.daemon.lifecycle(dom, host.EventResumed, int32(detail))
}

// pause stops the processors.
func (dom *domain) pause(reason, detail int) {
	dom.live.state = host.State{State: host.StatePaused, Reason: reason}
	dom.daemon.lifecycle(dom, host.EventSuspended, int32(detail))
}

// stop ends the QEMU, with whatever job it was in.
func (dom *domain) stop(reason, detail int) {
	dom.live, dom.job, dom.off = nil, nil, host.State{State: host.StateShutOff, Reason: reason}
	dom.daemon.lifecycle(dom, host.EventStopped, int32(detail))
	dom.dropIfEmpty()
}

// abandoned undoes what a connection left unfinished when it ended, as libvirt's close callbacks do.
func (d *Daemon) abandoned(c *client) {
	for _, dom := range d.sorted() {
		switch {
		case dom.job == nil || dom.job.owner != c:
		case dom.job.incoming && dom.job.phase < phaseFinishing:
			dom.stop(host.ShutOffDestroyed, host.StoppedDestroyed)
		case !dom.job.incoming:
			dom.job = nil // a guest that has left stays paused: nobody knows whether it runs elsewhere
		}
	}
}

func (d *Daemon) String() string { return fmt.Sprintf("%s (%s)", d.name, d.uuid) }
