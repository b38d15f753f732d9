package fakelibvirt

import (
	"net/url"
	"strings"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// migrateProcedures are the five calls of a migration, in the order in which they are made.
var migrateProcedures = map[uint32]procedure{
	302: order("begin", begin),
	303: order("prepare", prepare),
	305: order("perform", perform),
	306: order("finish", finish),
	307: order("confirm", confirm),
}

// What a copy takes where nobody holds its steps.
const (
	copyTime       = 300 * time.Millisecond
	switchoverTime = 20 * time.Millisecond
)

// params are the typed parameters that matter here.
func params(list []libvirt.TypedParam) map[string]string {
	m := map[string]string{}
	for _, p := range list {
		if s, ok := p.Value.I.(string); ok {
			m[p.Field] = s
		}
	}
	return m
}

func begin(c *client, a libvirt.DomainMigrateBegin3ParamsArgs) (r libvirt.DomainMigrateBegin3ParamsRet, err error) {
	dom, err := c.daemon.active(a.Dom)
	if err == nil && dom.job != nil { // it does not wait for a migration
		err = invalid("another migration job is already running for domain '%s'", dom.name)
	}
	if err != nil {
		return r, err
	}
	dom.job = &job{owner: c, paused: dom.live.state.Paused(), flags: host.Flags(a.Flags)}
	r.XML, err = dom.live.XML(dom.live.id)
	r.CookieOut = []byte("<qemu-migration/>\x00")
	return r, err
}

func prepare(c *client, a libvirt.DomainMigratePrepare3ParamsArgs) (r libvirt.DomainMigratePrepare3ParamsRet, err error) {
	p := params(a.Params)
	desc, err := parse(p["destination_xml"])
	if err != nil {
		return r, err
	}
	if _, err = c.daemon.awaitIncoming(c, desc); err != nil {
		return r, err
	}
	r.CookieOut = []byte("<qemu-migration/>\x00")
	if at := p["migrate_uri"]; at != "" {
		r.UriOut = libvirt.OptString{at + ":49152"}
	}
	return r, nil
}

// awaitIncoming starts a QEMU that waits for the guest. It goes when c ends, until finish has begun.
func (d *Daemon) awaitIncoming(c *client, desc description) (*domain, error) {
	dom, err := d.place(desc)
	if err != nil {
		return nil, err
	}
	dom.start(desc, host.State{State: host.StatePaused, Reason: host.PausedMigration})
	dom.job = &job{incoming: true, phase: phasePrepared, owner: c}
	d.lifecycle(dom, host.EventStarted, host.StartedMigrated)
	d.lifecycle(dom, host.EventSuspended, host.SuspendedPaused)
	return dom, nil
}

// leaving finds a domain that is in a migration away.
func (d *Daemon) leaving(which libvirt.Domain) (*domain, error) {
	dom, err := d.active(which)
	if err == nil && (dom.job == nil || dom.job.incoming) {
		err = invalid("domain '%s' is not processing outgoing migration", dom.name)
	}
	return dom, err
}

func perform(c *client, a libvirt.DomainMigratePerform3ParamsArgs) (r libvirt.DomainMigratePerform3ParamsRet, err error) {
	if host.Flags(a.Flags)&host.FlagPeerToPeer != 0 {
		return r, c.daemon.drive(c, a)
	}
	dom, err := c.daemon.leaving(a.Dom)
	if err != nil {
		return r, err
	}
	if dom.job.phase != phaseBegun {
		return r, invalid("domain '%s' is in another phase of its migration", dom.name)
	}
	at, err := url.Parse(params(a.Params)["migrate_uri"])
	if err != nil {
		return r, fail(libvirt.ErrInvalidArg, "invalid argument: %v", err)
	}
	job := dom.job
	job.owner = nil // nothing is undone while it runs
	if err := dom.send(c.daemon.world.daemons[at.Hostname()]); err != nil {
		if dom.job == job {
			dom.job = nil
		}
		return r, err
	}
	job.phase, job.owner = phasePerformed, c
	r.CookieOut = []byte("<qemu-migration/>\x00")
	return r, nil
}

// send copies the guest to the incoming QEMU of the other host. When it fails, the guest goes on here.
func (dom *domain) send(to *Daemon) error {
	w, job, here := dom.daemon.world, dom.job, dom.live
	if job.abort {
		return fail(libvirt.ErrOperationAborted, "operation aborted: migration out: canceled by client")
	}
	if to == nil {
		return failed("unable to connect to the server: Name or service not known")
	}
	job.there, job.phase = to.domains[dom.uuid], phasePerforming
	if t := job.there; t == nil || t.live == nil || t.job == nil || t.job.phase != phasePrepared {
		return failed("unable to connect to the server: Connection refused")
	}
	there := job.there.live
	if here.sent {
		to.broken[dom.name] = true
		job.there.stop(host.ShutOffCrashed, host.StoppedFailed)
		return fail(libvirt.ErrInternalError,
			"internal error: unable to execute QEMU command 'migrate': Can't migrate the vm that was paused due to previous migration")
	}
	broken := func() error {
		switch {
		case dom.live != here:
			return failed("domain is not running")
		case job.abort:
			return fail(libvirt.ErrOperationAborted, "operation aborted: migration out: canceled by client")
		case job.there.live != there:
			return failed("job 'migration out' failed: Unable to write to socket: Connection reset by peer")
		}
		return nil
	}
	for _, part := range []struct {
		name  string
		takes time.Duration
		then  func()
	}{
		{"the copy comes to its switchover", copyTime, func() {
			if here.runs() {
				dom.pause(host.PausedMigration, host.SuspendedMigrated)
			}
		}},
		{"the last of the memory is sent", switchoverTime, func() {
			there.memory, there.held, here.sent = here.memory, here.held, true
		}},
	} {
		w.ownUnless(dom.daemon, part.name, part.takes, func() bool { return broken() != nil })
		if err := broken(); err != nil {
			if job.there.live == there { // its stream has ended too early
				to.broken[dom.name] = true
				job.there.stop(host.ShutOffCrashed, host.StoppedFailed)
			}
			if dom.live == here && here.state.PausedByMigration() && !job.paused {
				dom.run(host.RunningMigrationCanceled, host.ResumedMigrated)
			}
			return err
		}
		part.then()
	}
	return nil
}

func finish(c *client, a libvirt.DomainMigrateFinish3ParamsArgs) (r libvirt.DomainMigrateFinish3ParamsRet, err error) {
	name := params(a.Params)["destination_name"]
	if name == "" {
		return r, fail(libvirt.ErrNoDomain, "Domain not found: missing domain name")
	}
	dom := c.daemon.named(name)
	if c.daemon.broken[name] && (dom == nil || dom.live == nil) { // the first finish is told what was wrong
		delete(c.daemon.broken, name)
		return r, fail(libvirt.ErrInternalError, "internal error: qemu unexpectedly closed the monitor")
	}
	if dom == nil {
		return r, fail(libvirt.ErrNoDomain, "Domain not found: no domain with matching name '%s'", name)
	}
	if err := dom.arrive(host.Flags(a.Flags), a.Cancelled != 0); err != nil {
		return r, err
	}
	r.Dom, r.CookieOut = dom.wire(), []byte("<qemu-migration/>\x00")
	return r, nil
}

// arrive ends a migration at its destination. The definition is written before the processors start
// (qemuMigrationDstFinishFresh in libvirt's src/qemu/qemu_migration.c).
func (dom *domain) arrive(flags host.Flags, cancelled bool) error {
	if dom.live == nil || dom.job == nil || !dom.job.incoming || dom.job.phase >= phaseFinishing {
		return invalid("domain '%s' is not processing incoming migration", dom.name)
	}
	if cancelled {
		dom.stop(host.ShutOffFailed, host.StoppedFailed)
		return fail(libvirt.ErrMigrateFinishOk, "migration successfully aborted")
	}
	job, here := dom.job, dom.live
	job.phase = phaseFinishing
	if flags&host.FlagPersistDest != 0 {
		dom.persist(here.description)
		dom.daemon.lifecycle(dom, host.EventDefined, 0)
	}
	started := dom.daemon.world.own(dom.daemon, "finish is about to start the processors", switchoverTime) == Deliver
	switch {
	case dom.live != here:
		return failed("guest unexpectedly quit")
	case !started:
		dom.stop(host.ShutOffFailed, host.StoppedFailed)
		return failed("guest CPUs could not be started")
	}
	if flags&host.FlagPaused != 0 {
		dom.pause(host.PausedUser, host.SuspendedPaused)
	} else {
		dom.run(host.RunningMigrated, host.ResumedMigrated)
	}
	dom.daemon.world.own(dom.daemon, "finish is about to answer", 0)
	if dom.live != here {
		return failed("guest unexpectedly quit")
	}
	dom.job, dom.completed = nil, true
	return nil
}

func confirm(c *client, a libvirt.DomainMigrateConfirm3ParamsArgs) (none, error) {
	dom, err := c.daemon.leaving(a.Dom)
	if err == nil {
		dom.leave(host.Flags(a.Flags), a.Cancelled != 0)
	}
	return none{}, err
}

// leave ends a migration at its source.
func (dom *domain) leave(flags host.Flags, cancelled bool) {
	job := dom.job
	dom.job = nil
	switch {
	case !cancelled:
		dom.stop(host.ShutOffMigrated, host.StoppedMigrated)
		if flags&host.FlagUndefineSource != 0 && dom.config != nil {
			dom.undefine()
		}
	case dom.live.state.PausedByMigration() && !job.paused:
		dom.run(host.RunningMigrationCanceled, host.ResumedMigrated)
	}
}

func abort(c *client, a libvirt.DomainAbortJobArgs) (none, error) {
	dom, err := c.daemon.active(a.Dom)
	if err == nil && dom.job != nil && dom.job.incoming {
		dom, err = c.freeActive(a.Dom) // such a job is not to be aborted, but waited for
	}
	switch {
	case err != nil:
	case dom.job == nil:
		err = invalid("no job is active on the domain")
	default:
		dom.job.abort = true // once the copy has been sent it means nothing
	}
	return none{}, err
}

// jobStats has figures of the source's job alone, and the completed ones at the destination.
func jobStats(c *client, a libvirt.DomainGetJobStatsArgs) (r libvirt.DomainGetJobStatsRet, err error) {
	dom, err := c.daemon.find(a.Dom)
	if err != nil {
		return r, err
	}
	count := func(field string, n uint64) {
		r.Params = append(r.Params, libvirt.TypedParam{Field: field, Value: *libvirt.NewTypedParamValueUllong(n)})
	}
	operation := func(op libvirt.DomainJobOperation) {
		r.Params = append(r.Params, libvirt.TypedParam{Field: "operation", Value: *libvirt.NewTypedParamValueInt(int32(op))})
	}
	const mib = 1 << 20
	switch completed := a.Flags&libvirt.DomainJobStatsCompleted != 0; {
	case completed && dom.completed:
		r.Type = int32(libvirt.DomainJobCompleted)
		operation(libvirt.DomainJobOperationStrMigrationIn)
		count("time_elapsed", 400)
		count("downtime", 20)
		count("memory_total", 256*mib)
		count("memory_processed", 64*mib)
	case completed:
	case dom.live == nil:
		err = invalid("domain is not running")
	case dom.job != nil && dom.job.incoming:
		err = fail(libvirt.ErrOperationUnsupported, "migration statistics are available only on the source host")
	case dom.job != nil:
		r.Type = int32(libvirt.DomainJobUnbounded)
		operation(libvirt.DomainJobOperationStrMigrationOut)
		if dom.job.phase >= phasePerforming {
			count("memory_total", 256*mib)
			count("memory_processed", 64*mib)
			count("memory_remaining", 32*mib)
		}
	}
	return r, err
}

// hostOf is the host that a libvirt URI leads to.
func hostOf(uri string) string {
	u, err := url.Parse(strings.TrimSpace(uri))
	if err != nil {
		return ""
	}
	return u.Hostname()
}
