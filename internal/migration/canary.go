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
	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/journal"
)

// A canary is a guest of our own, of no disks and little memory, that never runs: it is made on the source, moved as
// the guest would be, and destroyed. Nothing else can tell before a move whether the hosts' ports are open to one
// another, and whether each takes the other's certificate, or login. libvirt does not migrate a domain that would
// end with its connection, so that the canary carries a record by which any later run knows it, and destroys it.

const (
	canaryPrefix = "virtmigrate-canary-"
	canaryMiB    = 32
	// canaryLimit bounds its move, and is what a way takes on which nothing is answered; canaryEnd its destruction.
	canaryLimit = 45 * time.Second
	canaryEnd   = 30 * time.Second
	// canaryKept is for how long a canary may still be in use; the clocks of two controllers may differ by some of it.
	canaryKept = 10 * time.Minute
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
	gone := func() error {
		if err := r.fleet.destroyCanary(context.WithoutCancel(ctx), id.String(), r.plan.From, r.plan.To); err != nil {
			return fmt.Errorf("guest %s, by which the way was tried, is left, and the next run destroys it: %w", name, err)
		}
		return nil
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
	record, err := journal.Canary{Controller: controllerName(), Since: time.Now()}.Encode()
	if err != nil {
		return "", err
	}
	if err := journal.Embed(domain, record, journal.CanaryNamespace); err != nil {
		return "", err
	}
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
		if err := endCanary(ctx, d, found); err != nil {
			return err
		}
	}
	return nil
}

// endCanary destroys a canary, and removes the stub that awaited it.
func endCanary(ctx context.Context, d daemon, id host.DomainID) error {
	if id.Active() {
		if err := d.Destroy(ctx, id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) {
			return err
		}
	}
	if err := d.Undefine(ctx, id.UUID); err != nil && !errors.Is(err, host.ErrNoDomain) && host.Code(err) != host.CodeOperationInvalid {
		return err // that one: a transient domain that is not gone yet
	}
	return nil
}

// sweepCanaries takes away the canaries that controllers left which did not come to their end. What cannot be taken away
// is left to the next run: it uses little, and never runs.
func (f *Fleet) sweepCanaries(ctx context.Context, inv *inventory) {
	for key, domains := range inv.domains {
		for _, id := range domains {
			if !strings.HasPrefix(id.Name, canaryPrefix) {
				continue
			}
			d, _, err := f.members[key].reach(ctx, true)
			if err == nil {
				err = sweepCanary(ctx, d, id)
			}
			if err != nil {
				f.log.Warn("a guest that tried the way between two hosts is left", "guest", id.Name, "host", key, "error", err)
			}
		}
	}
}

// sweepCanary ends one canary that is too old to be in use. Of its stub, the token says when it was made.
func sweepCanary(ctx context.Context, d daemon, id host.DomainID) error {
	var since time.Time
	if id.Active() {
		text, err := d.Metadata(ctx, id.UUID, journal.CanaryNamespace, host.FormLive)
		if err != nil {
			return err
		}
		c, err := journal.ParseCanary(text)
		if err != nil {
			return nil // whatever its name says, this is somebody's
		}
		since = c.Since
	} else {
		token, err := readMove(ctx, d, id.UUID, host.FormConfig)
		if err != nil || token == nil || !token.Stub {
			return err
		}
		since = token.Since
	}
	if time.Since(since) < canaryKept {
		return nil
	}
	return endCanary(ctx, d, id)
}
