package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	libvirt "github.com/digitalocean/go-libvirt"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/terminal"
)

// Abort asks for the end of the domain's job. That the daemon agrees proves nothing: after the switchover
// it agrees and does nothing, so the state must be read again.
func (h *Host) Abort(ctx context.Context, uuid string) error {
	return tellDomain(ctx, h, "abort the job of", uuid, callLimit, (*libvirt.Libvirt).DomainAbortJob)
}

// EndCancel lets a QEMU go that is stuck in calling off a migration: told to just as it paused the guest for the
// switchover (libvirt has it wait there), QEMU 7.2 waits for ever for the word to go on, and libvirt with it. Here it is
// given that word, by libvirt's way to QEMU's monitor. QEMU takes it only while it is calling the migration off, so
// that it cannot let one go on; the guest runs on then. An error: there is nothing to free.
func (h *Host) EndCancel(ctx context.Context, uuid string) error {
	return tellDomain(ctx, h, "free the called-off migration of", uuid, callLimit, func(l *libvirt.Libvirt, d libvirt.Domain) error {
		said, err := l.QEMUDomainMonitorCommand(d, `{"execute":"migrate-continue","arguments":{"state":"cancelling"}}`, 0)
		if err == nil && strings.Contains(said, `"error"`) {
			return errors.New(terminal.Line(said))
		}
		return err
	})
}

// Resume lets a paused guest run.
func (h *Host) Resume(ctx context.Context, uuid string) error {
	return tellDomain(ctx, h, "resume", uuid, jobLimit, (*libvirt.Libvirt).DomainResume)
}

// Suspend pauses a guest. In a migration it counts as part of it: the guest is let run where it ends up.
func (h *Host) Suspend(ctx context.Context, uuid string) error {
	return tellDomain(ctx, h, "suspend", uuid, jobLimit, (*libvirt.Libvirt).DomainSuspend)
}

// StartPostCopy lets a guest that migrates away run on the destination from now on, which fetches the rest of
// its memory. The migration must have been begun with FlagPostCopy.
func (h *Host) StartPostCopy(ctx context.Context, uuid string) error {
	return tellDomain(ctx, h, "start post-copy of", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) error {
		return l.DomainMigrateStartPostCopy(d, 0)
	})
}

// Destroy ends the domain's QEMU at once. The definition stays, if there is one.
func (h *Host) Destroy(ctx context.Context, uuid string) error {
	return tellDomain(ctx, h, "destroy", uuid, processLimit, func(l *libvirt.Libvirt, d libvirt.Domain) error {
		return l.DomainDestroyFlags(d, libvirt.DomainDestroyDefault)
	})
}

// Undefine removes the domain's definition. Its NVRAM file and the state of its TPM stay on the host, since they may be
// those of the guest where it runs now, on storage that both hosts share. A running guest becomes transient.
func (h *Host) Undefine(ctx context.Context, uuid string) error {
	attempts := []libvirt.DomainUndefineFlagsValues{
		libvirt.DomainUndefineKeepNvram | libvirt.DomainUndefineKeepTpm,
		libvirt.DomainUndefineKeepNvram, // libvirt before 8.9 keeps no TPM
	}
	if h.target.driver != "qemu" {
		attempts = append(attempts, 0) // the test driver knows neither
	}
	var err error
	for _, flags := range attempts {
		err = tellDomain(ctx, h, "undefine", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) error {
			return l.DomainUndefineFlags(d, flags)
		})
		if Code(err) != CodeInvalidArgument {
			return err
		}
	}
	return err
}

// CreatePaused makes a domain without a definition, and does not let it run.
func (h *Host) CreatePaused(ctx context.Context, xml string) error {
	_, err := ask(ctx, h, "create a domain", processLimit, func(l *libvirt.Libvirt) (libvirt.Domain, error) {
		return l.DomainCreateXML(xml, libvirt.DomainStartPaused)
	})
	return err
}

// Define makes a domain's persistent definition, or replaces that of the same UUID.
func (h *Host) Define(ctx context.Context, xml string) error {
	_, err := ask(ctx, h, "define the guest", jobLimit, func(l *libvirt.Libvirt) (libvirt.Domain, error) {
		return l.DomainDefineXMLFlags(xml, 0)
	})
	return err
}

// SetAutostart says whether the domain starts with its host. It needs a persistent definition.
func (h *Host) SetAutostart(ctx context.Context, uuid string, on bool) error {
	return tellDomain(ctx, h, "set the autostart of", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) error {
		return l.DomainSetAutostart(d, asInt(on))
	})
}

// MaxDowntime is the pause that QEMU may plan for a migration of this domain.
func (h *Host) MaxDowntime(ctx context.Context, uuid string) (time.Duration, error) {
	ms, err := askDomain(ctx, h, "read the downtime limit of", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) (uint64, error) {
		return l.DomainMigrateGetMaxDowntime(d, 0)
	})
	return time.Duration(ms) * time.Millisecond, err
}

// SetMaxDowntime sets the pause that QEMU may plan, in whole milliseconds; before or during a migration.
func (h *Host) SetMaxDowntime(ctx context.Context, uuid string, limit time.Duration) error {
	ms := limit.Milliseconds()
	if ms < 1 {
		return &Error{Host: h.cfg.Name, Call: "set the downtime limit", Err: fmt.Errorf("%s is less than a millisecond", limit)}
	}
	return tellDomain(ctx, h, "set the downtime limit of", uuid, jobLimit, func(l *libvirt.Libvirt, d libvirt.Domain) error {
		return l.DomainMigrateSetMaxDowntime(d, uint64(ms), 0)
	})
}

// CPUComparison says how a wanted CPU relates to what the host's hypervisor can give.
type CPUComparison int

const (
	// CPUIncompatible: the guest would see a CPU with something missing.
	CPUIncompatible CPUComparison = iota
	// CPUIdentical: exactly what the host gives.
	CPUIdentical
	// CPUSuperset: the host gives all of it and more.
	CPUSuperset
)

func (c CPUComparison) String() string {
	switch c {
	case CPUIncompatible:
		return "incompatible"
	case CPUIdentical:
		return "identical"
	case CPUSuperset:
		return "superset"
	}
	return fmt.Sprintf("CPU comparison %d", int(c))
}

// CompareCPU asks whether the host can give a guest the CPU described by cpuXML, the <cpu> element of its
// description. Empty arguments take the daemon's default. Where the CPU does not fit, the error says what
// is missing and the comparison is CPUIncompatible.
func (h *Host) CompareCPU(ctx context.Context, emulator, arch, machine, virtType, cpuXML string) (CPUComparison, error) {
	const failIncompatible = 1
	n, err := ask(ctx, h, "compare the guest's CPU", callLimit, func(l *libvirt.Libvirt) (int32, error) {
		return l.ConnectCompareHypervisorCPU(optional(emulator), optional(arch), optional(machine), optional(virtType), cpuXML, failIncompatible)
	})
	if err != nil {
		return CPUIncompatible, err
	}
	return CPUComparison(n), nil
}

// DomainCapabilities is libvirt's XML of what the emulator can do on this host; an error where it does not
// have the machine type. Empty arguments take the daemon's default.
func (h *Host) DomainCapabilities(ctx context.Context, emulator, arch, machine, virtType string) (string, error) {
	return ask(ctx, h, "ask for the emulator's capabilities", callLimit, func(l *libvirt.Libvirt) (string, error) {
		return l.ConnectGetDomainCapabilities(optional(emulator), optional(arch), optional(machine), optional(virtType), 0)
	})
}

func optional(s string) libvirt.OptString {
	if s == "" {
		return nil
	}
	return libvirt.OptString{s}
}

func asInt(on bool) int32 {
	if on {
		return 1
	}
	return 0
}
