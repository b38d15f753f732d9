package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/google/uuid"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// A canary is a guest of our own, of no disks and little memory, that never runs: it is made on the source, moved as
// the guest would be, and destroyed. Nothing else can tell before a move whether the hosts' ports are open to one
// another, and whether each takes the other's certificate, or login. libvirt does not migrate a domain that would
// end with its connection, so that the guest's entry in the journal has the canary until it is gone.

const (
	canaryPrefix = "virtmigrate-canary-"
	canaryMiB    = 32
	// canaryLimit bounds its move, and is what a way takes on which nothing is answered; canaryEnd its destruction.
	canaryLimit = 45 * time.Second
	canaryEnd   = 30 * time.Second
)

func wayToBeConfirmed(p *Plan, _ Options, fa facts, _ blocker) string {
	toBeConfirmed(p, "that a guest makes the way from %s to %s", fa.source.key, fa.destination.key)
	return ""
}

// onTheWay are the checks whose open questions are answered by a canary that arrived.
var onTheWay = []string{"transport", "certificates", "address", "control"}

// sendCanary tries the way. The error says that it could not be tried, or that something of it is left.
func (r *run) sendCanary(ctx context.Context, o Options, results []CheckResult, becomes func(id, seen string, err error)) error {
	guest, err := r.source.Domain(ctx, r.id.UUID)
	if err != nil {
		return err
	}
	id := uuid.New()
	name := canaryPrefix + id.String()[:8]
	description, err := describeCanary(name, id.String(), guest)
	if err != nil {
		return err
	}
	r.entry.Canary = id.String()
	if err := r.remember(); err != nil {
		r.log.Warn("should this process be killed, a later one cannot take the canary away", "canary", name, "error", err)
	}
	gone := func() error {
		if err := r.fleet.destroyCanary(context.WithoutCancel(ctx), id.String(), r.plan.From, r.plan.To); err != nil {
			return fmt.Errorf("guest %s, by which the way was tried, is left, and the next run destroys it: %w", name, err)
		}
		r.entry.Canary = ""
		return r.page.finish(r.entry)
	}
	if err := r.source.CreatePaused(ctx, description); err != nil {
		if host.Code(err) == 0 {
			return errors.Join(err, gone())
		}
		becomes("way", "", fmt.Errorf("a guest of %d MiB like this one could not be started on %s: %w", canaryMiB, r.plan.From, err))
		return gone()
	}
	got, err := r.fleet.Migrate(ctx, Request{Guest: GuestRef{UUID: id.String()}, Host: r.plan.To, From: r.plan.From, Options: o.forCanary(), Timeout: canaryLimit})
	left := gone()
	var failed *Error
	switch {
	case ctx.Err() != nil:
		return errors.Join(err, left)
	case errors.As(err, &failed):
		becomes("way", "", failed.Err) // where the canary is interests nobody
	case err != nil:
		return errors.Join(err, left)
	case !got.Moved: // it cannot be there already
		return errors.Join(fmt.Errorf("guest %s was on %s before it was moved", name, r.plan.To), left)
	case got.Result.Transport != r.plan.Transport: // as auto may; of the plan's own nothing is confirmed
		i := slices.IndexFunc(results, func(c CheckResult) bool { return c.ID == "way" })
		row := checks[slices.IndexFunc(checks, func(c Check) bool { return c.ID == "way" })]
		results[i] = row.result(nil, append([]string{canaryWords(got.Result)}, got.Warnings...), nil, "")
	default:
		becomes("way", canaryWords(got.Result), nil)
		for _, c := range results {
			if c.Status == StatusToBeConfirmed && slices.Contains(onTheWay, c.ID) {
				becomes(c.ID, "the check of the way has confirmed it", nil)
			}
		}
	}
	return left
}

func canaryWords(r *Result) string {
	words := fmt.Sprintf("a paused guest of %d MiB went by %s, driven by %s", canaryMiB, r.Transport, r.Control)
	if r.TotalMS != nil {
		words += fmt.Sprintf(", in %d ms", *r.TotalMS)
	}
	if r.Encryption != nil {
		words += ", encrypted by " + r.Encryption.Protocol
		if r.Encryption.Cipher != nil {
			words += " (" + *r.Encryption.Cipher + ")"
		}
	}
	return words
}

// forCanary are the options of a move without what concerns the guest's disks, its writing and its user.
func (o Options) forCanary() Options {
	o.Storage, o.MigrateDisks, o.AssumeSharedDisks, o.ExistingImages, o.SourceImages = "", nil, nil, "", ""
	o.Convergence, o.ProgressFile = Convergence{}, ""
	return o
}

// describeCanary is the description of a domain that QEMU runs as it runs the guest.
func describeCanary(name, id string, guest host.Domain) (string, error) {
	doc := etree.NewDocument()
	domain := doc.CreateElement("domain")
	domain.CreateAttr("type", guest.Type)
	text := func(parent *etree.Element, name, value string) *etree.Element {
		e := parent.CreateElement(name)
		e.SetText(value)
		return e
	}
	text(domain, "name", name)
	text(domain, "uuid", id)
	text(domain, "memory", fmt.Sprint(canaryMiB)).CreateAttr("unit", "MiB")
	text(domain, "vcpu", "1")
	kind := text(domain.CreateElement("os"), "type", "hvm")
	kind.CreateAttr("arch", guest.Arch)
	kind.CreateAttr("machine", guest.Machine)
	if guest.CPUXML != "" {
		cpu := etree.NewDocument()
		if err := cpu.ReadFromString(guest.CPUXML); err != nil || cpu.Root() == nil {
			return "", fmt.Errorf("read the CPU of guest %s: %w", guest.ID.Name, err)
		}
		for _, e := range cpu.Root().ChildElements() { // these are about more CPUs and memory than it has
			if e.Tag == "topology" || e.Tag == "numa" {
				cpu.Root().RemoveChild(e)
			}
		}
		domain.AddChild(cpu.Root())
	}
	devices := domain.CreateElement("devices")
	if guest.Emulator != "" {
		text(devices, "emulator", guest.Emulator)
	}
	usb := devices.CreateElement("controller")
	usb.CreateAttr("type", "usb")
	usb.CreateAttr("model", "none")
	devices.CreateElement("memballoon").CreateAttr("model", "none")
	return doc.WriteToString()
}

// destroyCanary makes sure that none of the hosts has it. A host that is no longer configured is passed over.
func (f *Fleet) destroyCanary(ctx context.Context, id string, hosts ...string) error {
	ctx, cancel := context.WithTimeout(ctx, canaryEnd)
	defer cancel()
	for _, key := range hosts {
		m, known := f.members[key]
		if !known {
			continue
		}
		d, _, err := m.reach(ctx, true)
		if err != nil {
			return err
		}
		found, err := d.Lookup(ctx, id)
		switch {
		case errors.Is(err, host.ErrNoDomain):
			continue
		case err != nil:
			return err
		case !strings.HasPrefix(found.Name, canaryPrefix): // whatever a file of ours says, this is somebody's
			return fmt.Errorf("guest %s on %s is no canary", found.Name, key)
		}
		if err := d.Destroy(ctx, id); err != nil && !errors.Is(err, host.ErrNoDomain) {
			return err
		}
	}
	return nil
}
