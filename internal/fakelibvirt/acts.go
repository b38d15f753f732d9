package fakelibvirt

import (
	"errors"
	"fmt"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// What people, guests and machines do, without a connection. An act that cannot be done just now is an error.

var errNotNow = errors.New("that cannot be done just now")

// act does something to a domain that there is.
func (d *Daemon) act(uuid string, do func(*domain) error) error {
	w := d.world
	w.mu.Lock()
	defer w.mu.Unlock()
	dom := d.domains[uuid]
	if dom == nil || d.down {
		return errNotNow
	}
	err := do(dom)
	w.change()
	return err
}

// Define writes a definition, as virsh define does.
func (d *Daemon) Define(xml string) error {
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	desc, err := parse(xml)
	if err == nil {
		_, err = d.define(desc)
	}
	d.world.change()
	return err
}

// Create boots a guest that has no definition, as virsh create does.
func (d *Daemon) Create(xml string) error {
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	desc, err := parse(xml)
	if err != nil {
		return err
	}
	dom, err := d.place(desc)
	if err == nil {
		dom.boot(desc)
	}
	d.world.change()
	return err
}

// Start boots the guest from its definition.
func (d *Daemon) Start(uuid string) error {
	return d.act(uuid, func(dom *domain) error {
		if dom.live != nil || dom.config == nil || dom.job != nil {
			return errNotNow
		}
		dom.boot(*dom.config)
		return nil
	})
}

// Shutdown lets the guest shut itself down.
func (d *Daemon) Shutdown(uuid string) error {
	return d.act(uuid, func(dom *domain) error {
		if dom.live == nil || !dom.live.runs() {
			return errNotNow
		}
		d.lifecycle(dom, host.EventShutdown, 0)
		const byItself = 1
		dom.stop(byItself, host.StoppedShutdown)
		return nil
	})
}

// Destroy is virsh destroy, of a person who means it.
func (d *Daemon) Destroy(uuid string) error {
	return d.act(uuid, func(dom *domain) error {
		if dom.live == nil {
			return errNotNow
		}
		dom.stop(host.ShutOffDestroyed, host.StoppedDestroyed)
		return nil
	})
}

// Undefine is virsh undefine.
func (d *Daemon) Undefine(uuid string) error {
	return d.act(uuid, func(dom *domain) error {
		if dom.config == nil || dom.job != nil {
			return errNotNow
		}
		dom.undefine()
		return nil
	})
}

// Suspend is virsh suspend.
func (d *Daemon) Suspend(uuid string) error {
	return d.act(uuid, func(dom *domain) error {
		if dom.live == nil || !dom.live.runs() || dom.job != nil && dom.job.incoming {
			return errNotNow
		}
		if dom.job != nil {
			dom.pause(host.PausedMigration, host.SuspendedMigrated)
		} else {
			dom.pause(host.PausedUser, host.SuspendedPaused)
			dom.live.held = true
		}
		return nil
	})
}

// Resume is virsh resume, by a person who has looked: it is not done where it would harm the guest.
func (d *Daemon) Resume(uuid string) error {
	return d.act(uuid, func(dom *domain) error {
		if !dom.mayResume() {
			return errNotNow
		}
		dom.live.held = false
		dom.run(host.RunningUnpaused, host.ResumedUnpaused)
		return nil
	})
}

// MigrateAway is virsh migrate --persistent --undefinesource to another host, from its begin to its end.
func (d *Daemon) MigrateAway(uuid, to string) error {
	return d.act(uuid, func(dom *domain) error {
		there := d.world.daemons[to]
		if dom.live == nil || !dom.live.runs() || dom.job != nil || there == nil || there.down || there == d {
			return errNotNow
		}
		came, err := there.place(dom.live.description)
		if err != nil {
			return fmt.Errorf("%w: %w", errNotNow, err)
		}
		desc, memory := dom.live.description, dom.live.memory
		dom.stop(host.ShutOffMigrated, host.StoppedMigrated)
		if dom.config != nil {
			dom.undefine()
		}
		came.start(desc, host.State{State: host.StatePaused, Reason: host.PausedMigration})
		came.live.memory = memory
		came.persist(desc)
		came.run(host.RunningMigrated, host.ResumedMigrated)
		return nil
	})
}

// Reboot ends everything that runs on the host. With powerCut the last write of every definition is lost, too: libvirt
// renames a new one into place without a sync of its folder.
func (d *Daemon) Reboot(powerCut bool) {
	w := d.world
	w.mu.Lock()
	for _, dom := range d.sorted() {
		if dom.live != nil {
			dom.live, dom.off = nil, host.State{State: host.StateShutOff}
		}
		dom.job, dom.completed = nil, false
		if powerCut && dom.unsynced() {
			dom.config = dom.before
		}
		dom.before = nil
		dom.dropIfEmpty()
		if dom.autostart && dom.config != nil {
			dom.boot(*dom.config)
		}
	}
	for name, p := range d.pools {
		if p.active = false; !p.defined {
			delete(d.pools, name)
		}
	}
	var cut []*client
	for c := range d.clients {
		cut = append(cut, c)
	}
	w.change()
	w.mu.Unlock()
	for _, c := range cut {
		_ = c.conn.Close()
	}
}

// is asks something of a domain; false where there is none.
func (d *Daemon) is(uuid string, what func(*domain) bool) bool {
	d.world.mu.Lock()
	defer d.world.mu.Unlock()
	dom := d.domains[uuid]
	return dom != nil && what(dom)
}

// Runs says that the guest's processors run here, Active that there is a QEMU of it, Defined that it has a definition,
// and Free that no job holds it.
func (d *Daemon) Runs(uuid string) bool {
	return d.is(uuid, func(dom *domain) bool { return dom.live != nil && dom.live.runs() })
}

// Active: see Runs.
func (d *Daemon) Active(uuid string) bool {
	return d.is(uuid, func(dom *domain) bool { return dom.live != nil })
}

// Defined: see Runs.
func (d *Daemon) Defined(uuid string) bool {
	return d.is(uuid, func(dom *domain) bool { return dom.config != nil })
}

// Free: see Runs.
func (d *Daemon) Free(uuid string) bool {
	return d.is(uuid, func(dom *domain) bool { return dom.job == nil })
}

// Stuck says that a guest, paused by its user, cannot be migrated before somebody lets it run: QEMU has sent it
// already.
func (d *Daemon) Stuck(uuid string) bool {
	return d.is(uuid, func(dom *domain) bool { return dom.live != nil && dom.live.sent && dom.live.held })
}

// MayResume says that letting the guest go on here harms nobody.
func (d *Daemon) MayResume(uuid string) bool { return d.is(uuid, (*domain).mayResume) }

func (dom *domain) mayResume() bool {
	w := dom.daemon.world
	if dom.live == nil || dom.live.runs() || dom.job != nil || dom.live.memory < w.disks[dom.uuid].version {
		return false
	}
	for _, other := range w.daemons {
		if o := other.domains[dom.uuid]; o != nil && o.live != nil && o != dom {
			return false
		}
	}
	return true
}
