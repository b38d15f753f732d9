package fakelibvirt

import (
	"strings"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// jobWait is for how long libvirt waits for another job of a domain (QEMU_JOB_WAIT_TIME in src/qemu/qemu_domainjob.c),
// and then answers: somewhat later than a client that waits as long gives up.
const jobWait = 30*time.Second + 200*time.Millisecond

// domainProcedures are about single domains.
var domainProcedures = map[uint32]procedure{
	10:  order("create", create),
	14:  question("description", describe),
	15:  question("autostart", autostart),
	24:  question("look up", lookup),
	28:  order("resume", resume),
	29:  order("set autostart", setAutostart),
	34:  order("suspend", suspend),
	151: question("persistent", persistent),
	164: order("abort", abort),
	166: order("set downtime", setDowntime),
	183: question("saved image",
		func(c *client, a libvirt.DomainHasManagedSaveImageArgs) (r libvirt.DomainHasManagedSaveImageRet, err error) {
			_, err = c.daemon.find(a.Dom)
			return r, err
		}),
	187: question("snapshots",
		func(c *client, a libvirt.DomainSnapshotNumArgs) (r libvirt.DomainSnapshotNumRet, err error) {
			_, err = c.daemon.find(a.Dom)
			return r, err
		}),
	212: question("state", state),
	231: order("undefine", undefine),
	234: order("destroy", destroy),
	264: order("set metadata", setMetadata),
	265: question("metadata", getMetadata),
	298: question("job", jobStats),
	350: order("define", defineDomain),
	387: question("downtime",
		func(c *client, a libvirt.DomainMigrateGetMaxDowntimeArgs) (r libvirt.DomainMigrateGetMaxDowntimeRet, err error) {
			dom, err := c.daemon.active(a.Dom)
			if err == nil {
				r.Downtime = dom.downtime
			}
			return r, err
		}),
	413: question("checkpoints",
		func(c *client, a libvirt.DomainListAllCheckpointsArgs) (r libvirt.DomainListAllCheckpointsRet, err error) {
			_, err = c.daemon.find(a.Dom)
			return r, err
		}),
}

// free waits until no job holds the domain, as an order does that changes it, and looks it up again.
func (c *client) free(which libvirt.Domain) (*domain, error) {
	dom, err := c.daemon.find(which)
	if err != nil {
		return nil, err
	}
	if !c.daemon.world.await(jobWait, c.gone, func() bool { return dom.job == nil }) {
		return nil, fail(libvirt.ErrOperationTimeout, "Timed out during operation: cannot acquire state change lock")
	}
	return c.daemon.find(which)
}

// freeActive is free for what needs a running instance.
func (c *client) freeActive(which libvirt.Domain) (*domain, error) {
	dom, err := c.free(which)
	if err == nil && dom.live == nil {
		err = invalid("domain is not running")
	}
	return dom, err
}

func create(c *client, a libvirt.DomainCreateXMLArgs) (r libvirt.DomainCreateXMLRet, err error) {
	desc, err := parse(a.XMLDesc)
	if err != nil {
		return r, err
	}
	dom, err := c.daemon.place(desc)
	if err != nil {
		return r, err
	}
	if a.Flags&libvirt.DomainStartPaused != 0 {
		dom.start(desc, host.State{State: host.StatePaused, Reason: host.PausedUser})
		dom.live.memory = c.daemon.world.disks[dom.uuid].version
		c.daemon.lifecycle(dom, host.EventStarted, 0)
	} else {
		dom.boot(desc)
	}
	r.Dom = dom.wire()
	return r, nil
}

// place finds or makes the domain in which an instance is to start.
func (d *Daemon) place(desc description) (*domain, error) {
	dom := d.domains[desc.uuid]
	switch other := d.named(desc.name); {
	case other != nil && other != dom:
		return nil, failed("domain '%s' already exists with uuid %s", desc.name, other.uuid)
	case dom == nil:
		return d.add(desc), nil
	case dom.name != desc.name:
		return nil, failed("domain '%s' is already defined with uuid %s", dom.name, dom.uuid)
	case dom.live != nil:
		return nil, invalid("domain '%s' is already active", desc.name)
	}
	return dom, nil
}

func describe(c *client, a libvirt.DomainGetXMLDescArgs) (r libvirt.DomainGetXMLDescRet, err error) {
	dom, err := c.daemon.find(a.Dom)
	switch {
	case err != nil:
		return r, err
	case dom.live != nil && (a.Flags&libvirt.DomainXMLInactive == 0 || dom.config == nil):
		r.XML, err = dom.live.XML(dom.live.id)
	default:
		r.XML, err = dom.config.XML(-1)
	}
	return r, err
}

func lookup(c *client, a libvirt.DomainLookupByUUIDArgs) (r libvirt.DomainLookupByUUIDRet, err error) {
	dom := c.daemon.domains[uuid.UUID(a.UUID).String()]
	if dom == nil {
		return r, fail(libvirt.ErrNoDomain, "Domain not found: no domain with matching uuid '%s'", uuid.UUID(a.UUID))
	}
	r.Dom = dom.wire()
	return r, nil
}

func autostart(c *client, a libvirt.DomainGetAutostartArgs) (r libvirt.DomainGetAutostartRet, err error) {
	dom, err := c.daemon.find(a.Dom)
	if err == nil && dom.autostart {
		r.Autostart = 1
	}
	return r, err
}

func setAutostart(c *client, a libvirt.DomainSetAutostartArgs) (none, error) {
	dom, err := c.daemon.find(a.Dom)
	if err == nil && dom.config == nil {
		err = invalid("cannot set autostart for transient domain")
	}
	if err != nil {
		return none{}, err
	}
	if dom, err = c.free(a.Dom); err == nil {
		dom.autostart = a.Autostart != 0
	}
	return none{}, err
}

func persistent(c *client, a libvirt.DomainIsPersistentArgs) (r libvirt.DomainIsPersistentRet, err error) {
	dom, err := c.daemon.find(a.Dom)
	if err == nil && dom.config != nil {
		r.Persistent = 1
	}
	return r, err
}

func state(c *client, a libvirt.DomainGetStateArgs) (r libvirt.DomainGetStateRet, err error) {
	dom, err := c.daemon.find(a.Dom)
	if err == nil {
		s := dom.state()
		r.State, r.Reason = int32(s.State), int32(s.Reason)
	}
	return r, err
}

func resume(c *client, a libvirt.DomainResumeArgs) (none, error) {
	dom, err := c.freeActive(a.Dom)
	if err == nil && !dom.live.state.Paused() {
		err = invalid("domain is already running")
	}
	if err == nil {
		dom.run(host.RunningUnpaused, host.ResumedUnpaused)
	}
	return none{}, err
}

// suspend is let through a migration, of which it then counts as a part (qemuDomainSuspend).
func suspend(c *client, a libvirt.DomainSuspendArgs) (none, error) {
	dom, err := c.daemon.active(a.Dom)
	if err == nil && (dom.job == nil || dom.job.incoming) {
		dom, err = c.freeActive(a.Dom)
	}
	switch {
	case err != nil || dom.live.state.Paused():
	case dom.job != nil:
		dom.pause(host.PausedMigration, host.SuspendedMigrated)
	default:
		dom.pause(host.PausedUser, host.SuspendedPaused)
	}
	return none{}, err
}

func undefine(c *client, a libvirt.DomainUndefineFlagsArgs) (none, error) {
	dom, err := c.free(a.Dom)
	if err == nil && dom.config == nil {
		err = invalid("cannot undefine transient domain")
	}
	if err == nil {
		dom.undefine()
	}
	return none{}, err
}

func destroy(c *client, a libvirt.DomainDestroyFlagsArgs) (none, error) {
	dom, err := c.daemon.active(a.Dom)
	if err == nil {
		if dom.live.runs() {
			c.daemon.world.violation("a running copy destroyed: %s destroys the guest on %s", c.name, c.daemon.name)
		}
		dom.stop(host.ShutOffDestroyed, host.StoppedDestroyed)
	}
	return none{}, err
}

func defineDomain(c *client, a libvirt.DomainDefineXMLFlagsArgs) (r libvirt.DomainDefineXMLFlagsRet, err error) {
	desc, err := parse(a.XML)
	if err != nil {
		return r, err
	}
	// a stub of virtmigrate's is nothing to lose
	if old := c.daemon.domains[desc.uuid]; old != nil && old.config != nil && old.config.text != desc.text &&
		!strings.Contains(old.config.text, "<title>virtmigrate:") {
		c.daemon.world.violation("a definition lost: %s writes another one over it on %s", c.name, c.daemon.name)
	}
	dom, err := c.daemon.define(desc)
	if err == nil {
		r.Dom = dom.wire()
	}
	return r, err
}

func setDowntime(c *client, a libvirt.DomainMigrateSetMaxDowntimeArgs) (none, error) {
	dom, err := c.daemon.active(a.Dom)
	if err == nil && dom.job != nil && dom.job.incoming {
		dom, err = c.freeActive(a.Dom)
	}
	if err == nil {
		dom.downtime = a.Downtime
	}
	return none{}, err
}
