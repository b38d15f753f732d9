package migration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/host"
)

// diskWork is what a decision says of the source's own disks: what is to be proved, and what is copied.
type diskWork struct {
	// prove are disks that both hosts must reach as one and the same; find are read-only images that the
	// destination must have at the same path and of the same size.
	prove, find []diskFacts
	copied      []diskFacts
	incremental bool
	overwrite   bool
	deleteOld   bool
}

// decideStorage says what becomes of the source's own disks.
func decideStorage(p *Plan, o Options, fa facts, block blocker) {
	work := &p.recipe.disks
	work.incremental, work.overwrite, work.deleteOld = o.Storage == StorageCopyIncremental, o.ExistingImages == ExistingImagesOverwrite, o.SourceImages == SourceImagesDelete
	named := slices.Concat(o.MigrateDisks, o.AssumeSharedDisks)
	slices.Sort(named)
	for _, target := range slices.Compact(named) {
		blockName(target, o, fa, block)
	}
	for _, d := range fa.disks {
		assumed := slices.Contains(o.AssumeSharedDisks, d.Target)
		switch {
		case copies(o, d) && !fa.guest.ID.Active():
			block("copy_shut_off", "start the guest, or copy the images yourself and choose storage shared",
				"disk %s cannot be copied: libvirt copies only disks of guests that run", d.words())
		case copies(o, d):
			decideCopy(work, o, d, fa, block)
		case d.ReadOnly || d.Device == "cdrom" || d.Device == "floppy":
			if d.sharing == sharingDisproved && !assumed {
				block("read_only_disk", "put it there, or eject it", "host %q has no %s, which drive %s of the guest reads", fa.destination.key, d.Source, d.Target)
			} else if d.sharing == sharingOpen && !assumed {
				work.find = append(work.find, d)
				p.ToBeConfirmed = append(p.ToBeConfirmed, fmt.Sprintf("that %s has %s of drive %s", fa.destination.key, d.Source, d.Target))
			}
		default:
			decideShared(p, d, assumed, fa, block)
		}
	}
	for _, d := range work.copied {
		p.recipe.params.MigrateDisks = append(p.recipe.params.MigrateDisks, d.Target)
	}
	switch {
	case len(work.copied) == 0:
	case work.incremental:
		p.recipe.flags |= host.FlagNonSharedInc
	default:
		p.recipe.flags |= host.FlagNonSharedDisk
	}
	if o.copies() && len(work.copied) == 0 && len(fa.disks) == 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("storage is %q, but guest %q has no disk that is a file or device of its host: nothing is copied", o.Storage, p.Name))
	}
}

// copies says whether the request wants this disk copied.
func copies(o Options, d diskFacts) bool {
	if !o.copies() {
		return false
	}
	if o.MigrateDisks != nil {
		return slices.Contains(o.MigrateDisks, d.Target)
	}
	return !d.ReadOnly && !d.Shareable && d.Device == "disk" && !slices.Contains(o.AssumeSharedDisks, d.Target)
}

// blockName refuses the name of a disk that cannot be meant.
func blockName(target string, o Options, fa facts, block blocker) {
	i := slices.IndexFunc(fa.guest.Disks, func(d host.Disk) bool { return d.Target == target })
	var have []string
	for _, d := range fa.disks {
		have = append(have, d.Target)
	}
	local := strings.Join(have, ", ")
	if local == "" {
		local = "none"
	}
	switch {
	case i < 0:
		block("disk_name", "", "guest %q has no disk %q; disks that are files or devices of its host: %s", fa.guest.ID.Name, target, local)
	case !fa.guest.Disks[i].Local || fa.guest.Disks[i].Empty:
		block("disk_name", "take it out of the list", "disk %q is no file or device of host %q, and needs neither a copy nor a word for it; those are: %s", target, fa.source.key, local)
	case slices.Contains(o.MigrateDisks, target) && slices.Contains(o.AssumeSharedDisks, target):
		block("disk_name", "choose one of the two", "disk %q is to be copied and assumed to be shared", target)
	}
}

// decideCopy takes one disk among those to copy, or says why it cannot be.
func decideCopy(work *diskWork, o Options, d diskFacts, fa facts, block blocker) {
	to := fa.destination.key
	switch {
	case d.ReadOnly || d.Device != "disk":
		block("copy_read_only", "put the image there yourself, and leave it out of migrate_disks", "disk %s is read-only, and libvirt copies only disks that can be written", d.words())
	case d.Shareable:
		block("copy_shareable", "", "disk %s is shareable: other guests may write to it, and a copy would part them", d.words())
	case d.Transient:
		block("copy_transient", "", "disk %s is transient: what the guest wrote to it lies in a temporary image, which does not travel", d.words())
	case !d.file() && d.Type != "block":
		block("copy_type", "put it on storage that both hosts reach", "disk %s is neither a file nor a block device, and cannot be copied", d.words())
	case d.file() && d.Format != "raw" && d.Format != "qcow2":
		block("copy_format", "convert it to qcow2 or raw", "disk %s has format %q, of which no image can be made on %s", d.words(), d.Format, to)
	case d.Encrypted:
		block("copy_encrypted", "put it on storage that both hosts reach", "disk %s is encrypted with a secret of host %q, which does not travel", d.words(), fa.source.key)
	case d.sharing == sharingProved:
		block("copy_shared", "leave it out of migrate_disks, or choose storage shared", "disk %s is on storage that both hosts share: a copy would overwrite it with itself", d.words())
	case len(d.usedBy) > 0:
		block("image_in_use", "", "host %q has a domain that uses %s: %s", to, d.Source, strings.Join(d.usedBy, ", "))
	case d.Type == "block" && d.thereKnown && !d.there:
		block("no_device", "make it there, of the same size or larger", "host %q has no device %s for the copy of disk %s", to, d.Source, d.Target)
	case d.Type == "block" && o.ExistingImages != ExistingImagesOverwrite:
		block("image_exists", "set existing_images = overwrite if nobody needs what is on it",
			"the copy of disk %s would overwrite the device %s of host %q", d.Target, d.Source, to)
	case d.there && o.ExistingImages != ExistingImagesOverwrite:
		block("image_exists", fmt.Sprintf("remove it on %s, or set existing_images = overwrite if nobody needs what is in it", to),
			"host %q already has %s, which the copy of disk %s would overwrite", to, d.Source, d.Target)
	case o.Storage == StorageCopyIncremental && (!d.BackingKnown || len(d.Backing) == 0):
		block("no_backing", "choose storage copy", "disk %s has no image below it that could be on %s already", d.words(), to)
	default:
		work.copied = append(work.copied, d)
	}
}

// decideShared takes a disk that stays where it is, and that both hosts must reach.
func decideShared(p *Plan, d diskFacts, assumed bool, fa facts, block blocker) {
	work, to := &p.recipe.disks, fa.destination.key
	const copyHint = "choose storage copy, or put it on storage that both hosts reach"
	switch {
	case d.Cache == "unsafe": // the check of cache modes refuses it
		p.recipe.unsafe = append(p.recipe.unsafe, d)
	case d.sharing == sharingProved, assumed:
		p.recipe.vouch(d)
	case d.sharing == sharingDisproved:
		block("not_shared", copyHint, "host %q has no %s: disk %s is not on storage that both hosts share", to, d.Source, d.Target)
	case !d.file():
		block("not_proved", "name it in assume_shared_disks if it is, or choose storage copy",
			"disk %s cannot be proved to be on storage that both hosts share", d.words())
	default:
		work.prove = append(work.prove, d)
		p.recipe.vouch(d)
		p.ToBeConfirmed = append(p.ToBeConfirmed, fmt.Sprintf("that %s and %s reach disk %s as one and the same file", fa.source.key, to, d.words()))
	}
}

// checkCacheModes judges the cache modes of the disks that stay where they are.
func checkCacheModes(p *Plan, _ Options, fa facts, block blocker) string {
	r := p.recipe
	for _, d := range r.unsafe {
		block("cache_mode", "set cache='none' in its <driver>, which takes a restart of the guest",
			"disk %s has cache mode unsafe: what the guest has written may still be in the memory of host %q alone, and would be lost", d.words(), fa.source.key)
	}
	if r.unvouched > 0 && !r.mayVouch() && !fa.guest.State.ShutOff() {
		toBeConfirmed(p, "that libvirt takes the cache modes of the shared disks for safe")
	}
	return fmt.Sprintf("%d shared disks", r.vouched+r.unvouched)
}

// vouch notes a disk that is proved, or will be before anything happens, to be the same on both hosts.
// libvirt knows that only of some file systems, and refuses others. It is told to take our word when no
// cache can hold back what was written; with another cache mode the decision is left to it.
func (r *recipe) vouch(d diskFacts) {
	if d.Cache == "none" || d.Cache == "directsync" {
		r.vouched++
	} else {
		r.unvouched++
	}
}

// mayVouch says whether libvirt's check of the disks may be replaced by our own proof.
func (r recipe) mayVouch() bool { return r.vouched > 0 && r.unvouched == 0 }
